"""Effects and verdicts by hand: what is alike is not told apart, and neither products nor seeds alone decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from facetmill.metrics.resampling import Rows, f1_of
from facetmill.studies.effect import Effect, effect, precision_of


def arm(*seeds: Sequence[int]) -> Rows:
    """Of each seed, whether the one answer to each product is right (1) or wrong (0)."""
    return np.array([[(right, 1, 1) for right in seed] for seed in seeds])


RIGHT, HALF, WRONG = [1] * 40, [1, 0] * 20, [0] * 40


def test_an_effect_is_a_difference_of_mean_scores_with_the_interval_of_a_bootstrap() -> None:
    found = effect([arm(RIGHT, RIGHT)], [arm(HALF, HALF)], f1_of)
    assert found.size == 0.5
    margin = 1.96 * (0.25 / 40) ** 0.5  # of a share of one half among 40 products
    assert found.low == pytest.approx(0.5 - margin, abs=0.03)
    assert found.high == pytest.approx(0.5 + margin, abs=0.03)
    assert found.verdict == "holds"
    assert effect([arm(HALF)], [arm(RIGHT)], f1_of).verdict == "does not hold"


def test_the_same_answers_are_not_told_apart() -> None:
    assert effect([arm(HALF)], [arm(HALF)], f1_of) == Effect(0, 0, 0)
    assert Effect(0, 0, 0).verdict == "not told apart"
    assert Effect(0.2, 0, 0.4).verdict == Effect(-0.2, -0.4, 0).verdict == "not told apart"


def test_seeds_that_disagree_show_nothing_however_many_products_agree() -> None:
    lucky = effect([arm(RIGHT, RIGHT, WRONG)], [arm(HALF, HALF, HALF)], f1_of)
    assert lucky.size == pytest.approx(1 / 6)
    assert lucky.verdict == "not told apart"
    assert effect([arm(RIGHT)], [arm(HALF)], f1_of).verdict == "holds", "the first seed alone says otherwise"


def test_a_product_is_drawn_with_all_its_answers() -> None:
    """Unpaired, the same half right in both arms would leave an interval of a tenth on either side of 0."""
    better = [1, 1, *HALF[2:]]
    found = effect([arm(better)], [arm(HALF)], f1_of)
    assert found.size == pytest.approx(1 / 40)
    assert found.low > -0.001
    assert found.high < 0.1


def test_of_four_sides_it_is_what_one_gains_more_than_the_other() -> None:
    gained, same = [arm(RIGHT), arm(HALF)], [arm(WRONG), arm(HALF)]
    assert effect(gained, same, f1_of).size == 1
    assert effect([arm(RIGHT), arm(WRONG)], [arm(HALF), arm(HALF)], f1_of).size == 0


def test_precision_does_not_ask_for_what_was_never_said() -> None:
    silent = np.array([[(1, 1, 4)] * 10])
    assert precision_of(silent.sum(axis=1)) == 1
    assert precision_of(np.zeros((1, 3), np.int64)) == 0


def test_arms_of_other_products_cannot_be_held_against_one_another() -> None:
    with pytest.raises(ValueError, match=r"other seeds or products: \(1, 40, 3\), \(2, 40, 3\)"):
        effect([arm(HALF)], [arm(HALF, HALF)], f1_of)
