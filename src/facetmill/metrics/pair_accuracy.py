"""Accuracy over annotated attribute-value pairs, the MAE column of ULS-DRAM (appendix A.3, equation 9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product


def tally_pairs(product: Product, predicted: Iterable[Facet]) -> Tally:
    """The annotated pairs of one product; `recall` of the sum over products is the accuracy.

    For each annotated attribute, the set of predicted strings equals the set of gold strings and all its gold values
    are right, or none is. Attributes that are not annotated are free, so the number rewards over-prediction: show
    value F1 beside it. The strings are what the spans cover, or the value of an implicit facet, compared without case
    and without spaces, since the authors join word pieces.
    """
    gold = _strings(product, product.facets)
    found = _strings(product, predicted)
    right = sum(len(strings) for attribute, strings in gold.items() if found.get(attribute) == strings)
    return Tally(
        correct=right,
        predicted=sum(len(strings) for attribute, strings in found.items() if attribute in gold),
        gold=sum(len(strings) for strings in gold.values()),
    )


def _strings(product: Product, facets: Iterable[Facet]) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for facet in facets:
        shown = [product.surface(span) for span in facet.spans] or [facet.value]
        found[facet.attribute].update("".join(text.lower().split()) for text in shown)
    return dict(found)
