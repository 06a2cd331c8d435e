"""Intervals and comparisons: what they must be where it can be computed by hand, and that they cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facetmill.metrics.counted import METRICS
from facetmill.metrics.paired import PairedResult, paired_slices, paired_test
from facetmill.metrics.resampling import resample
from facetmill.metrics.score import score
from facetmill.metrics.slices import count_slices
from facetmill.records import Facet, Product

RIGHT, WRONG = [Facet("Color", "red")], [Facet("Color", "blue")]


def products(number: int) -> list[Product]:
    return [Product(str(i), "test", "title", facets=(Facet("Color", "red"),)) for i in range(number)]


def test_interval_of_a_certain_score_is_a_point() -> None:
    scores = score(products(20), [RIGHT] * 20, bootstrap=50)
    assert scores.intervals == dict.fromkeys(METRICS, (1.0, 1.0))


def test_interval_is_that_of_the_binomial() -> None:
    """With one unit a product F1 is the share of right products: of 400 with p = 1/2, the sd is 0.025."""
    scores = score(products(400), [RIGHT, WRONG] * 200, bootstrap=4000, seed=1)
    low, high = scores.intervals["value_f1"]
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.005)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.005)
    assert scores.intervals["attribute_f1"] == (1.0, 1.0)


def test_listing_a_product_twice_makes_nothing_surer() -> None:
    """Two listings of one product are right or wrong together: as evidence they are one."""
    once, twice = products(100), [p for p in products(100) for _ in range(2)]
    twice = [replace(p, product_id=f"{p.product_id}-{i}") for i, p in enumerate(twice)]
    right, first = [RIGHT, WRONG] * 50, [RIGHT, RIGHT, WRONG, RIGHT] * 25
    doubled = [[said for said in each for _ in range(2)] for each in (right, first)]
    alone, listed = score(once, right, bootstrap=2000), score(twice, doubled[0], bootstrap=2000)
    assert listed.products == 2 * alone.products
    assert listed.intervals["value_f1"] == pytest.approx(alone.intervals["value_f1"], abs=0.01)
    for found, wanted in (
        (paired_test(twice, doubled[1], doubled[0]), paired_test(once, first, right)),
        (by_category(twice, doubled[1], doubled[0]), by_category(once, first, right)),
    ):
        assert found.difference == wanted.difference
        assert (found.low, found.high) == (pytest.approx(wanted.low, abs=0.02), pytest.approx(wanted.high, abs=0.02))


def by_category(gold: list[Product], first: list[list[Facet]], second: list[list[Facet]]) -> PairedResult:
    [_, found, *_] = paired_slices(count_slices(gold, first, second, metric="pair_f1"))
    return found


def test_resampling_draws_whole_products() -> None:
    """Columns of a product stay together, each sum has as many products, and means are those of drawing one by one."""
    rows = np.array([[1, 10], [2, 20], [2, 20], [5, 50]])
    sums = resample(rows, 20_000, seed=0)
    assert (sums[:, 1] == 10 * sums[:, 0]).all()
    assert sums[:, 0].min() == 4
    assert sums[:, 0].max() == 20
    assert sums[:, 0].mean() == pytest.approx(10, abs=0.05)
    assert sums[:, 0].var() == pytest.approx(4 * 2.25, rel=0.03)  # four draws of variance (1 + 4 + 4 + 25) / 4 - 2.5^2


def test_seed_decides() -> None:
    gold, said = products(30), [RIGHT, WRONG, WRONG] * 10
    assert score(gold, said, bootstrap=50, seed=1) == score(gold, said, bootstrap=50, seed=1)
    assert score(gold, said, bootstrap=50, seed=1).intervals != score(gold, said, bootstrap=50, seed=2).intervals


def test_equal_predictions_do_not_differ() -> None:
    said = [RIGHT, WRONG] * 10
    result = paired_test(products(20), said, said, resamples=100)
    assert (result.difference, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_a_clear_gain_is_significant_both_ways() -> None:
    gold = products(100)
    good, bad = [RIGHT] * 90 + [WRONG] * 10, [RIGHT] * 50 + [WRONG] * 50
    gain = paired_test(gold, good, bad, resamples=999)
    assert (gain.first, gain.second, gain.difference) == (0.9, 0.5, pytest.approx(0.4))
    assert 0.2 < gain.low < 0.4 < gain.high < 0.6
    assert gain.p_value == 1 / 1000  # the smallest there is: of 999 exchanges and the answers as they are, only these
    loss = paired_test(gold, bad, good, resamples=999)
    assert (loss.low, loss.high, loss.p_value) == (-gain.high, -gain.low, gain.p_value)


@pytest.mark.parametrize(
    ("better", "worse", "p_value"),
    [(1, 0, 1.0), (4, 0, 1 / 8), (5, 0, 1 / 16), (6, 0, 1 / 32), (7, 1, 18 / 256), (8, 1, 20 / 512), (3, 3, 1.0)],
)
def test_few_changed_products_are_a_sign_test(better: int, worse: int, p_value: float) -> None:
    """Of one unit each: two-sided p is twice the tail of fair coins (at most 1), however many products stay alike."""
    gold = products(300)
    first = [WRONG] * worse + [RIGHT] * better + [RIGHT] * (300 - worse - better)
    second = [RIGHT] * worse + [WRONG] * better + [RIGHT] * (300 - worse - better)
    result = paired_test(gold, first, second)
    assert result.p_value == p_value
    assert result.difference == pytest.approx((better - worse) / 300)
    assert (result.low > 0) is (p_value <= 0.05)
    assert result.high > result.difference


def test_pairing_tells_a_small_gain_from_noise() -> None:
    """First is right on 10 products more of 200, on none less. Neither interval could tell; together they can."""
    gold = products(200)
    first, second = [RIGHT] * 110 + [WRONG] * 90, [RIGHT] * 100 + [WRONG] * 100
    low, high = score(gold, second, bootstrap=1000).intervals["value_f1"]
    assert low < 0.55 < high
    assert paired_test(gold, first, second).low > 0


@pytest.mark.parametrize(
    ("metric", "first", "message"),
    [("pair_accuracy", [RIGHT], "no bootstrap"), ("value_f1", [], "1 gold products but predictions for 0 and 1")],
)
def test_what_cannot_be_compared_is_refused(metric: str, first: list[list[Facet]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_test(products(1), first, [RIGHT], metric)
