"""Is one model truly better than another? Both answered for the same products, so those are drawn for both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facetmill.metrics.resampling import Rows, f1_of, percentiles, resample
from facetmill.metrics.score import RESAMPLED, Scorer
from facetmill.records import Facet, Product


@dataclass(frozen=True)
class PairedResult:
    """Two scores (0..1), their `difference` (first - second), its 95 % interval, and the two-sided p-value."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(
    gold: Sequence[Product],
    first: Sequence[Sequence[Facet]],
    second: Sequence[Sequence[Facet]],
    metric: str = "value_f1",
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedResult:
    """Compare two lists of predictions for the same products on one metric of `RESAMPLED`.

    The p-value is twice the smaller share of resamples in which the difference is not above, or not below, zero; one is
    added to both counts (Davison and Hinkley, 1997), so it is never 0, and it is 1 for equal predictions. Raises
    `ValueError` for another metric, other lengths, or no products.
    """
    if metric not in RESAMPLED:
        raise ValueError(f"metric {metric!r} has no bootstrap; choose one of {', '.join(RESAMPLED)}")
    if not len(gold) == len(first) == len(second) > 0:
        raise ValueError(f"{len(gold)} gold products but predictions for {len(first)} and {len(second)}")
    counts = [_counts(gold, predicted, metric) for predicted in (first, second)]
    sums = resample(np.hstack(counts), resamples, seed)
    differences = f1_of(sums[:, :3]) - f1_of(sums[:, 3:])
    low, high = percentiles(differences)
    tail = min(np.sum(differences <= 0), np.sum(differences >= 0))
    scores = [float(f1_of(rows.sum(axis=0))) for rows in counts]
    return PairedResult(
        first=scores[0],
        second=scores[1],
        difference=scores[0] - scores[1],
        low=low,
        high=high,
        p_value=min(1.0, 2 * (int(tail) + 1) / (resamples + 1)),
    )


def _counts(gold: Sequence[Product], predicted: Sequence[Sequence[Facet]], metric: str) -> Rows:
    scorer = Scorer()
    for product, facets in zip(gold, predicted, strict=True):
        scorer.add(product, facets)
    return scorer.rows(metric)
