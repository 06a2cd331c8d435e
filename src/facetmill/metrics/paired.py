"""Is one model truly better than another? Both answered for the same products, and the listings of one product
(`group_id`) are one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from facetmill.metrics.counted import METRICS, Metric
from facetmill.metrics.exchange import exchange_test
from facetmill.metrics.resampling import LEVEL, Rows, f1_of
from facetmill.metrics.score import Scorer
from facetmill.metrics.slices import SliceCounts
from facetmill.records import Facet, Product


@dataclass(frozen=True)
class PairedResult:
    """Two scores (0..1), their `difference` (first - second), its interval, and the two-sided p-value."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


def paired_test(
    gold: Sequence[Product],
    first: Sequence[Sequence[Facet]],
    second: Sequence[Sequence[Facet]],
    metric: Metric = "value_f1",
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = LEVEL,
) -> PairedResult:
    """Compare two lists of predictions for the same products on one of `METRICS`, see `paired_rows`.

    Raises `ValueError` for another metric, other lengths, or no products.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} has no bootstrap; choose one of {', '.join(METRICS)}")
    if not len(gold) == len(first) == len(second) > 0:
        raise ValueError(f"{len(gold)} gold products but predictions for {len(first)} and {len(second)}")
    rows = [_counts(gold, predicted, metric) for predicted in (first, second)]
    return paired_rows(rows[0], rows[1], resamples=resamples, seed=seed, level=level)


def paired_rows(
    first: Rows, second: Rows, *, resamples: int = 1000, seed: int = 0, level: float = LEVEL
) -> PairedResult:
    """Compare counts [groups, 3] (correct, predicted, gold) of two models, as `Scorer.rows` gives them.

    Interval and p-value are those of one exchange test with so many `resamples`: the interval, of `level` (0..1),
    leaves out 0 when and only when p is at most 1 - `level`.
    """
    [result] = _tested(csr_array(np.hstack([first, second])), resamples, seed, level)
    return result


def paired_slices(
    counts: SliceCounts, *, resamples: int = 1000, seed: int = 0, level: float = LEVEL
) -> list[PairedResult]:
    """Compare two models on every slice in one exchange test, the answers to a product exchanged in all slices at once.

    Intervals and p-values are made for looking at many slices: if the models do not differ anywhere, some interval
    leaves out 0 in one comparison of twenty (at 0.95), however many slices there are. A handful of products that
    changed in one slice can never raise an alarm.
    """
    return _tested(counts.rows, resamples, seed, level) if counts.names else []


def _tested(rows: csr_array, resamples: int, seed: int, level: float) -> list[PairedResult]:
    """One result for every six columns of `rows`: of both models (correct, predicted, gold)."""
    found = exchange_test(rows, resamples=resamples, seed=seed, level=level)
    totals = np.asarray(rows.sum(axis=0)).reshape(-1, 2, 3)
    columns = (f1_of(totals[:, 0]), f1_of(totals[:, 1]), found.difference, found.low, found.high, found.p_value)
    return [PairedResult(*map(float, values)) for values in zip(*columns, strict=True)]


def _counts(gold: Sequence[Product], predicted: Sequence[Sequence[Facet]], metric: Metric) -> Rows:
    scorer = Scorer()
    for product, facets in zip(gold, predicted, strict=True):
        scorer.add(product, facets)
    return scorer.rows(metric)
