"""Is one model truly better than another? Both answered for the same products, so those are drawn for both at once,
and the listings of one product (`group_id`) together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facetmill.metrics.resampling import LEVEL, Rows, Values, f1_of, percentiles, resample, resample_wide, swap_wide
from facetmill.metrics.score import RESAMPLED, Scorer
from facetmill.metrics.slices import SliceCounts
from facetmill.records import Facet, Product

_EPSILON = 1e-9  # two equal F1 may differ by rounding


@dataclass(frozen=True)
class PairedResult:
    """Two scores (0..1), their `difference` (first - second), its interval, and the two-sided p-value."""

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
    level: float = LEVEL,
) -> PairedResult:
    """Compare two lists of predictions for the same products on one metric of `RESAMPLED`, see `paired_rows`.

    Raises `ValueError` for another metric, other lengths, or no products.
    """
    if metric not in RESAMPLED:
        raise ValueError(f"metric {metric!r} has no bootstrap; choose one of {', '.join(RESAMPLED)}")
    if not len(gold) == len(first) == len(second) > 0:
        raise ValueError(f"{len(gold)} gold products but predictions for {len(first)} and {len(second)}")
    rows = [_counts(gold, predicted, metric) for predicted in (first, second)]
    return paired_rows(rows[0], rows[1], resamples=resamples, seed=seed, level=level)


def paired_rows(
    first: Rows, second: Rows, *, resamples: int = 1000, seed: int = 0, level: float = LEVEL
) -> PairedResult:
    """Compare counts [groups, 3] (correct, predicted, gold) of two models, as `Scorer.rows` gives them; `level` (0..1)
    is that of the interval.

    The p-value is twice the smaller share of resamples in which the difference is not above, or not below, zero; one is
    added to both counts (Davison and Hinkley, 1997), so it is never 0, and it is 1 for equal predictions.
    """
    sums = resample(np.hstack([first, second]), resamples, seed)
    differences = f1_of(sums[:, :3]) - f1_of(sums[:, 3:])
    low, high = percentiles(differences, level)
    tail = min(np.sum(differences <= 0), np.sum(differences >= 0))
    scores = [float(f1_of(rows.sum(axis=0))) for rows in (first, second)]
    return PairedResult(
        first=scores[0],
        second=scores[1],
        difference=scores[0] - scores[1],
        low=float(low),
        high=float(high),
        p_value=min(1.0, 2 * (int(tail) + 1) / (resamples + 1)),
    )


def paired_slices(
    counts: SliceCounts, *, resamples: int = 1000, seed: int = 0, level: float = LEVEL
) -> list[PairedResult]:
    """Compare two models on every slice at once, each product drawn for all slices together.

    Intervals are those of the paired bootstrap, each slice on its own. The p-values are made for looking at many slices
    at once: if the models do not differ anywhere, some p is below 0.05 in one comparison of twenty, however many slices
    there are. They come from a randomisation test (Yeh, 2000): for each product the two answers are exchanged or not,
    at random. A slice's p is the share of such exchanges in which *any* slice differs by as many of its standard
    errors as this one did (the largest statistic, Westfall and Young, 1993). Where only k products of a slice changed,
    and alike, that is sqrt(k) standard errors, so a handful of products can never raise an alarm among many slices.
    """
    if not counts.names:
        return []
    sums = counts.of(resample_wide(counts.rows, resamples, seed))
    low, high = percentiles(_differences(sums), level)
    totals = counts.of(counts.rows.sum(axis=0))
    scores = f1_of(totals[..., 0, :]), f1_of(totals[..., 1, :])
    p_values = _family_wise(counts, totals, resamples, seed)
    return [
        PairedResult(float(a), float(b), float(a - b), float(below), float(above), float(p))
        for a, b, below, above, p in zip(*scores, low, high, p_values, strict=True)
    ]


def _family_wise(counts: SliceCounts, totals: Rows, resamples: int, seed: int) -> Values:
    """Two-sided p-values [slices] by the largest statistic over all slices; 1 where the models do not differ."""
    moved = counts.of(swap_wide(counts.rows, resamples, seed))
    gained = moved - moved[..., ::-1, :]  # what the first model has more of on the exchanged products
    exchanged = totals - gained
    differences = _differences(exchanged)
    error = np.sqrt(np.mean(differences**2, axis=0))  # their mean is zero by design
    error[error < _EPSILON] = np.inf
    observed = np.abs(_differences(totals)) / error
    largest = np.max(np.abs(differences) / error, axis=1)
    beyond = np.sum(largest[:, None] >= observed - _EPSILON, axis=0)
    p_values: Values = (beyond + 1) / (resamples + 1)
    return p_values


def _differences(sums: Rows) -> Values:
    """F1 of the first model less that of the second, from sums [..., slices, 2 models, 3]."""
    f1 = f1_of(sums)
    return f1[..., 0] - f1[..., 1]


def _counts(gold: Sequence[Product], predicted: Sequence[Sequence[Facet]], metric: str) -> Rows:
    scorer = Scorer()
    for product, facets in zip(gold, predicted, strict=True):
        scorer.add(product, facets)
    return scorer.rows(metric)
