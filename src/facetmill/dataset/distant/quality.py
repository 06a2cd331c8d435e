"""How often told values are right, and how sure that is: pictures of one group are drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facetmill.metrics.paired import paired_rows
from facetmill.metrics.resampling import Rows, percentiles, resample

RESAMPLES = 2000

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """A share (0..1) or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """`accuracy` is the share of right answers, `macro_accuracy` the mean of that over the true values, each counting
    alike. `majority` always says the commonest of the true values; `gain` is accuracy less that."""

    num_told: int
    num_groups: int
    accuracy: Share
    macro_accuracy: Share
    majority: str
    majority_accuracy: float
    gain: Share


def quality(predicted: Sequence[str], true: Sequence[str], groups: _Ints) -> Quality | None:
    """Told against true values, one of each; None where there are none. `groups` numbers what is drawn together."""
    if not len(true):
        return None
    values, true_P = np.unique(np.array(true, object).astype(str), return_inverse=True)
    right_P = (np.array(predicted, object) == np.array(true, object)).astype(np.int64)
    counts = np.bincount(true_P)
    majority = str(values[counts.argmax()])
    ones = np.ones_like(right_P)
    first = _by_group(np.stack([right_P, ones, ones], 1), groups)
    second = _by_group(np.stack([(true_P == counts.argmax()).astype(np.int64), ones, ones], 1), groups)
    # With as many predicted as gold, F1 is the share that is right.
    paired = paired_rows(first, second, resamples=RESAMPLES)
    low, high = percentiles(_shares(resample(first[:, :2], RESAMPLES, 0)))
    return Quality(
        num_told=len(true),
        num_groups=len(first),
        accuracy=Share(paired.first, float(low), float(high)),
        macro_accuracy=_macro(right_P, true_P, len(values), groups),
        majority=majority,
        majority_accuracy=paired.second,
        gain=Share(paired.difference, paired.low, paired.high),
    )


def _macro(right_P: _Ints, true_P: _Ints, num_values: int, groups: _Ints) -> Share:
    is_PV = np.eye(num_values, dtype=np.int64)[true_P]
    rows = _by_group(np.hstack([right_P[:, None] * is_PV, is_PV]), groups)

    def mean(sums: Rows) -> npt.NDArray[np.float64]:
        right, all_of = sums[..., :num_values], sums[..., num_values:]
        drawn = np.maximum((all_of > 0).sum(-1), 1)  # a rare value may not be drawn at all
        shares: npt.NDArray[np.float64] = (right / np.maximum(all_of, 1)).sum(-1) / drawn
        return shares

    low, high = percentiles(mean(resample(rows, RESAMPLES, 0)))
    return Share(float(mean(rows.sum(0))), float(low), float(high))


def _shares(sums: Rows) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return shares


def _by_group(rows: Rows, groups: _Ints) -> Rows:
    """The sums of the rows of each group."""
    _, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((place.max() + 1, rows.shape[1]), np.int64)
    np.add.at(sums, place, rows)
    return sums
