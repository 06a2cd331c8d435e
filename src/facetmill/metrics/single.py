"""F1 of a single product, for asking which products two models differ on, and whether a picture helped."""

from __future__ import annotations

from collections.abc import Sequence

from facetmill.metrics.counted import Metric, counted
from facetmill.records import Facet, Product


def single_f1(product: Product, predicted: Sequence[Facet], metric: Metric) -> float:
    """F1 (0..1) of what was predicted for one product; 1 where nothing is true and nothing was predicted."""
    found = counted(product, predicted, metric)
    return found.tally.f1 if found.gold or found.predicted else 1.0
