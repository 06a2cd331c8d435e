"""How sure a score is: the products are drawn anew, with replacement, many times (Efron's percentile bootstrap)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

LEVEL = 0.95


def f1_of(counts: Rows) -> Values:
    """F1 from counts [..., 3] (correct, predicted, gold); 0 where nothing is predicted and nothing is gold."""
    both = counts[..., 1] + counts[..., 2]
    f1: Values = 2.0 * counts[..., 0] / np.maximum(both, 1)  # nothing predicted and nothing gold: also nothing correct
    return f1


def resample(rows: Rows, resamples: int, seed: int) -> Rows:
    """Draw as many products as there are with replacement: rows [products, columns] to sums [resamples, columns].

    Products with equal counts are drawn together: how often each kind of row comes up is multinomial. That is the same
    distribution as drawing products one by one, and far fewer numbers.
    """
    kinds, frequency = np.unique(rows, axis=0, return_counts=True)
    share = frequency / len(rows)
    generator = np.random.default_rng(seed)
    return np.stack([generator.multinomial(len(rows), share) @ kinds for _ in range(resamples)])


def interval(rows: Rows, resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of F1 from counts [products, 3]; (0, 0) of no products."""
    if len(rows) == 0:
        return 0.0, 0.0
    low, high = percentiles(f1_of(resample(rows, resamples, seed)))
    return float(low), float(high)


def percentiles(values: Values, level: float = LEVEL) -> tuple[Values, Values]:
    """Where the middle `level` (0..1) of some values begins and ends, along the first axis."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
