"""The exchange test against brute force, and null challengers: however many products changed, few of them pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import binom

from facetmill.metrics.exchange import Differences, exchange_test
from facetmill.metrics.resampling import Rows, f1_of
from tests.null_challengers import FAIR, by_coin, pairs

Draw = Callable[[np.random.Generator, int], Rows]


def compared(pairs_GMC: Rows, level: float = 0.95, resamples: int = 1000) -> Differences:
    flat = csr_array(pairs_GMC.reshape(len(pairs_GMC), -1))
    return exchange_test(flat, resamples=resamples, seed=0, level=level)


def f1_difference(pairs_GMC: Rows) -> float:
    first, second = f1_of(pairs_GMC.sum(axis=0))
    return float(first - second)


@pytest.mark.parametrize("kind", FAIR)
def test_p_is_the_share_of_all_exchanges_that_differ_as_much(kind: str) -> None:
    """Brute force over 2^8 exchanges, with w by its definition from the two F1 after each exchange."""
    generator = np.random.default_rng(3)
    rows = pairs(kind, generator, num_changed=8, num_same=5)
    ranks = []
    for coins in product([False, True], repeat=8):
        turned = rows.copy()
        for place, coin in enumerate(coins):
            if coin:
                turned[place] = turned[place, ::-1]
        totals = turned.sum(axis=0)
        sizes = totals[:, 1] + totals[:, 2]
        ranks.append(abs(f1_difference(turned)) * sizes.prod() / 2)
    observed = ranks[0]
    found = compared(rows)
    assert found.difference[0] == pytest.approx(f1_difference(rows))
    assert found.p_value[0] == np.mean([rank >= observed - 1e-9 for rank in ranks])


def test_more_exchanges_than_can_be_tried_are_drawn() -> None:
    """20 better and 8 worse of 300: the exact sign test says 0.0357, and so do 20,000 exchanges at random."""
    rows = np.ones((300, 2, 3), np.int64)
    rows[:8, 0, 0] = rows[8:28, 1, 0] = 0
    exact = 2 * binom.cdf(8, 28, 0.5)
    assert compared(rows, resamples=20_000).p_value[0] == pytest.approx(exact, abs=0.004)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_interval_and_p_agree(level: float) -> None:
    generator = np.random.default_rng(0)
    sides = set()
    for number in range(300):
        rows = pairs(generator.choice(FAIR), generator, int(generator.integers(1, 40)), 20)
        if number % 2:  # better, mostly
            gains = (rows[:, 0, 0] < rows[:, 1, 0]) & (generator.random(len(rows)) < 0.7)
            rows[gains] = rows[gains][:, ::-1]
        found = compared(rows, level, resamples=200)
        leaves_out_0 = found.low[0] > 0 or found.high[0] < 0
        assert leaves_out_0 == (found.p_value[0] <= 1 - level + 1e-9)
        assert -1 <= found.low[0] <= found.difference[0] <= found.high[0] <= 1
        sides.add(leaves_out_0)
    assert sides == {True, False}


def test_interval_covers_a_gain_of_many_products() -> None:
    """Right on 80 % and on 60 % of 400 products, each by chance: 0.2 lies in 95 % of the intervals."""
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        rows = np.ones((400, 2, 3), np.int64)
        rows[:, 0, 0], rows[:, 1, 0] = generator.random((2, 400)) < [[0.8], [0.6]]
        found = compared(rows, resamples=400)
        inside += found.low[0] < 0.2 < found.high[0]
    assert binom.ppf(0.001, 400, 0.95) <= inside <= binom.ppf(0.999, 400, 0.95)


@pytest.mark.parametrize("kind", FAIR)
def test_of_null_challengers_at_most_one_in_forty_passes(kind: str) -> None:
    """Of up to 7 changed products every way they may fall is tried, so the share is exact; of more, random ones."""
    generator = np.random.default_rng(1)
    for num_changed in range(1, 8):
        rows = pairs(kind, generator, num_changed, num_same=60)
        passed = 0
        for coins in product([False, True], repeat=num_changed):
            turned = rows.copy()
            turned[:num_changed][np.array(coins)] = turned[:num_changed][np.array(coins)][:, ::-1]
            passed += compared(turned).low[0] > 0
        assert passed <= 0.025 * 2**num_changed
    for num_changed in (10, 30, 100):
        passed = sum(
            compared(by_coin(pairs(kind, generator, num_changed, 60), generator), resamples=400).low[0] > 0
            for _ in range(100)
        )
        assert passed <= binom.ppf(0.999, 100, 0.025)


def test_a_true_gain_is_seen() -> None:
    """Better on 30 and worse on 10 of 300, by expectation: a sign test shows that in 88 %, and so does this."""
    generator = np.random.default_rng(2)
    shown = 0
    for _ in range(200):
        rows = np.ones((300, 2, 3), np.int64)
        kind = generator.choice(3, size=300, p=[0.1, 10 / 300, 1 - 0.1 - 10 / 300])
        rows[kind == 0, 1, 0] = rows[kind == 1, 0, 0] = 0
        shown += compared(rows, resamples=400).low[0] > 0
    assert shown >= binom.ppf(0.001, 200, 0.85)
