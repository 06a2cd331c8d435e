"""Precision, recall and F1 of one attribute whose value may be "unknown", as PAM reports them.

Source: Lin et al., KDD 2021, section 6. The paper says no more than "percentage of match values generated" and "of
ground truth values retrieved"; that "unknown" is no answer is the only reading by which the precision and the recall of
a single slot differ.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from facetmill.encoders.folding import fold_value
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

UNKNOWN = "unknown"


def tally_answer(product: Product, predicted: Iterable[Facet], attribute: str, *, count_unknown: bool = False) -> Tally:
    """The slot of one attribute in one product.

    The answer is its predicted facet of highest confidence, the first of equals; none is "unknown", and so is a gold
    slot without a value. It matches when its words are those of a gold value, see `words`. An "unknown" is neither
    answered nor there to be found; with `count_unknown` it is a value like others, so that precision, recall and F1 all
    are accuracy. The category before the value, which PAM writes, is not part of a facet's value.
    """
    gold = {words(facet.value) for facet in product.facets if facet.attribute == attribute} or {words(UNKNOWN)}
    said = [facet for facet in predicted if facet.attribute == attribute]
    surest = max(said, key=lambda facet: -1.0 if facet.confidence is None else facet.confidence, default=None)
    answer = words(UNKNOWN if surest is None else surest.value)
    matches = answer in gold
    if count_unknown:
        return Tally(int(matches), 1, 1)
    answered, has = answer != words(UNKNOWN), gold != {words(UNKNOWN)}
    return Tally(int(matches and answered and has), int(answered), int(has))


def words(value: str) -> tuple[str, ...]:
    """The words of a value without case and punctuation, in their order: how answers are compared."""
    return tuple("".join(" " if unicodedata.category(char)[0] == "P" else char for char in fold_value(value)).split())
