"""F1 of a single product, for asking which products two models differ on, and whether a picture helped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from facetmill.metrics.chunks import units
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

SingleMetric = Literal["value_f1", "attribute_f1"]


def single_f1(product: Product, predicted: Sequence[Facet], metric: SingleMetric = "value_f1") -> float:
    """F1 (0..1) of what was predicted for one product; 1 where nothing is true and nothing was predicted."""
    gold, found = units(product.facets).keys(), units(predicted).keys()
    if not gold and not found:
        return 1.0
    if metric == "value_f1":
        return Tally.of(gold, found).f1
    return Tally.of({unit[0] for unit in gold}, {unit[0] for unit in found}).f1
