"""Accuracy over annotated attribute-value pairs, the MAE column of ULS-DRAM (appendix A.3, equation 9).

For each annotated attribute, the set of predicted strings equals the set of gold strings and all its gold values are
right, or none is. Attributes that are not annotated are free, so the number rewards over-prediction: show value F1
beside it. `recall` of the sum over products is the accuracy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

Tag = Literal["B", "I", "O"]


def tally_pairs(product: Product, predicted: Iterable[Facet]) -> Tally:
    """The annotated pairs of one product, from facets: what their spans cover, or the value of an implicit facet."""
    return _tally(_strings(product, product.facets), _strings(product, predicted))


def tally_rows(
    tokens: Sequence[str], gold: Mapping[str, Sequence[Tag]], predicted: Mapping[str, Sequence[Tag]]
) -> Tally:
    """The annotated pairs of one text, from a row of tags for each attribute: exactly as the authors count them."""
    return _tally(*({name: tagged_values(tokens, row) for name, row in rows.items()} for rows in (gold, predicted)))


def tagged_values(tokens: Sequence[str], row: Sequence[Tag]) -> set[str]:
    """The strings that a row of tags marks, as the authors' extractor reads them.

    An I that continues nothing ends what is open and is itself left out, and what follows it is collected: "O I I" is
    the second token alone, a single orphan I nothing. Chunk scorers, and `value_f1`, begin a chunk there.
    """
    found, value = set[str](), None
    for token, tag in zip(tokens, row, strict=True):
        if tag == "I" and value is not None:
            value += token
            continue
        if value:
            found.add(_plain(value))
        value = {"B": token, "I": "", "O": None}[tag]
    if value:
        found.add(_plain(value))
    return found


def _tally(gold: Mapping[str, set[str]], found: Mapping[str, set[str]]) -> Tally:
    return Tally(
        correct=sum(len(strings) for attribute, strings in gold.items() if found.get(attribute) == strings),
        predicted=sum(len(strings) for attribute, strings in found.items() if gold.get(attribute)),
        gold=sum(len(strings) for strings in gold.values()),
    )


def _strings(product: Product, facets: Iterable[Facet]) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for facet in facets:
        shown = [product.surface(span) for span in facet.spans] or [facet.value]
        found[facet.attribute].update(map(_plain, shown))
    return dict(found)


def _plain(text: str) -> str:
    """Without case and without spaces, since the authors join word pieces."""
    return "".join(text.lower().split())
