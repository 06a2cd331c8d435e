"""How large an effect is, how sure that is, and so whether what was claimed holds.

An effect is a sum of scores less another: of one way to train less another, or of how much more one of them gains by
something than another does. Products and seeds are both drawn anew, each draw the same for all arms (a paired
bootstrap). Of a handful of seeds the bootstrap makes a little less than there is: with three, two thirds of their
variance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facetmill.metrics.resampling import Rows, Values, percentiles

RESAMPLES = 2000

Verdict = Literal["holds", "does not hold", "not told apart"]

#: A score (0..1) from counts [..., 3] (correct, predicted, gold).
ScoreOf = Callable[[Rows], Values]


@dataclass(frozen=True)
class Effect:
    """The effect (-1..1, or twice that of four arms) as it was measured, and its 95 % interval."""

    size: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Of a claim that the effect is above 0: "does not hold" is said where it is shown to be below."""
        if self.low > 0:
            return "holds"
        return "does not hold" if self.high < 0 else "not told apart"


def effect(more: Sequence[Rows], less: Sequence[Rows], score_of: ScoreOf) -> Effect:
    """The scores of the arms in `more` together, less those in `less`, each the mean over its seeds.

    An arm is counts [seeds, groups of products, 3]. Seeds and groups are the same of all arms, in the same order.
    Raises `ValueError` where they are not as many.
    """
    arms = [*more, *less]
    if len({arm.shape for arm in arms}) != 1:
        raise ValueError(f"arms of other seeds or products: {', '.join(str(arm.shape) for arm in arms)}")
    num_seeds, num_groups, _ = arms[0].shape
    generator = np.random.default_rng(0)
    drawn_groups = generator.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=RESAMPLES)
    drawn_seeds = generator.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=RESAMPLES)
    signs = [1.0] * len(more) + [-1.0] * len(less)
    size = sum(sign * mean_score(arm, score_of) for sign, arm in zip(signs, arms, strict=True))
    draws: Values = np.zeros(RESAMPLES)
    for sign, arm in zip(signs, arms, strict=True):
        scores = np.stack([score_of(drawn_groups @ of_seed) for of_seed in arm], axis=1)
        draws += sign * (scores * drawn_seeds).sum(axis=1) / num_seeds
    low, high = percentiles(draws)
    return Effect(float(size), float(low), float(high))


def mean_score(arm: Rows, score_of: ScoreOf) -> float:
    """The mean over seeds of an arm's score; counts [seeds, groups, 3]."""
    return float(score_of(arm.sum(axis=1)).mean())


def precision_of(counts: Rows) -> Values:
    """Precision from counts [..., 3] (correct, predicted, gold); 0 where nothing is predicted."""
    precision: Values = counts[..., 0] / np.maximum(counts[..., 1], 1)
    return precision
