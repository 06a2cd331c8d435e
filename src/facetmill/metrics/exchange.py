"""Do two models differ that answered for the same products? Exchange their answers at random and see.

If neither is better, either answer to a product might as well have come from the other model. So the difference that
was seen is held against those that appear when the two answers to each product are exchanged or not, by a coin: the
randomisation test of Fisher (1935), in language processing that of Noreen (1989) and Yeh (2000). Products whose answers
count alike never matter, and of k others that all speak for one model p is 2 / 2^k, as a sign test has it: four cannot
show anything, six can. The bootstrap cannot say that, since it knows no answer but those that it saw.

F1 is a ratio, and exchanging answers changes both of its parts. With c correct, and s predicted and gold, of each
model's answer to a product, C and S their sums, the difference of the two F1 is a sum over products, exactly:

    2 C1 / S1 - 2 C2 / S2  =  sum w / (S1 S2)        w = (c1 - c2) (S1 + S2) - (s1 - s2) (C1 + C2)

C1 + C2 and S1 + S2 stay as they are whatever is exchanged, so that exchanging a product's answers turns the sign of its
w and does nothing else; w is 0 where the answers count alike. The statistic is t = sum w / sqrt(sum w^2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from facetmill.metrics.resampling import Rows, Values

COLUMNS = 6  # of one comparison: 2 models x (correct, predicted, gold)

_CHUNK_CELLS = 4_000_000  # of exchanges x products held at once: 4 MB


@dataclass(frozen=True)
class Differences:
    """Of each comparison the difference of F1 (first - second, -1..1), its interval, and the two-sided p-value."""

    difference: Values
    low: Values
    high: Values
    p_value: Values


def exchange_test(rows: csr_array, *, resamples: int, seed: int, level: float) -> Differences:
    """Test one comparison or many at once on sparse counts [groups, comparisons x 2 models x 3].

    A p-value is the share of exchanges in which *any* comparison has a |t| as large as this one has (the largest
    statistic, Westfall and Young, 1993): if the models do not differ anywhere, some p is at most 0.05 in one case of
    twenty, however many comparisons are made. All 2^k exchanges of k products whose answers differ are tried where
    those are no more than `resamples`; else so many at random, and the one that was seen (Davison and Hinkley, 1997).

    Intervals hold for all comparisons at once too, with probability `level`: the largest |t| that exchanging brings
    about by chance takes the place of 1.96, times the standard error of the difference. None excludes 0 unless p is at
    most 1 - `level`, and each does then.
    """
    weights, scale = _weights(rows)
    length = np.sqrt(weights.power(2).sum(axis=0))
    length[length == 0] = np.inf  # such models do not differ, and t is 0
    observed = weights.sum(axis=0)
    t = np.abs(observed) / length
    largest = np.concatenate(
        [np.max(np.abs(sums) / length, axis=1) for sums in _exchanged(weights, observed, resamples, seed)]
    )
    largest.sort()
    at_most = len(largest) - np.searchsorted(largest, t, side="left")
    p_value = at_most / len(largest)
    by_chance = largest[-1 - math.floor((1 - level) * len(largest) + 1e-9)]

    difference = observed * scale
    num_groups = np.maximum(_num_groups(rows), 1)
    error = np.where(np.isinf(length), 0, length) * scale * np.sqrt(np.maximum(1 - t**2 / num_groups, 0))
    half = by_chance * error
    half = np.where(t <= by_chance, np.maximum(half, np.abs(difference)), half)
    low, high = np.maximum(difference - half, -1), np.minimum(difference + half, 1)
    return Differences(difference, low, high, p_value)


def _weights(rows: csr_array) -> tuple[csr_array, Values]:
    """w [groups that differ, comparisons], whole numbers, and what makes their sums differences of F1."""
    totals = np.asarray(rows.sum(axis=0)).reshape(-1, 2, 3)
    correct, sizes = totals[..., 0], totals[..., 1] + totals[..., 2]
    of_correct, of_size = sizes.sum(axis=1), -correct.sum(axis=1)
    first = np.stack([of_correct, of_size, of_size], axis=1)
    values = np.stack([first, -first], axis=1).ravel()
    columns = np.arange(len(values)) // COLUMNS
    weights = (rows @ coo_array((values, (np.arange(len(values)), columns))).tocsr()).tocsr()
    weights.eliminate_zeros()
    differ = np.diff(weights.indptr) > 0
    return weights[differ], 1 / np.maximum(sizes.prod(axis=1, dtype=np.float64), 1)


def _exchanged(weights: csr_array, observed: Rows, resamples: int, seed: int) -> Iterator[Rows]:
    """The sums of w after exchanges, [exchanges, comparisons] at a time."""
    num_differ = weights.shape[0]
    for turned in _coins(num_differ, resamples, seed):
        yield observed - 2 * (weights.T @ turned.T).T


def _coins(number: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Which of `number` products are exchanged (1) or not (0), [exchanges, products] at a time; once none is."""
    if 2**number <= resamples:
        yield np.arange(2**number)[:, None] >> np.arange(number) & 1
        return
    yield np.zeros((1, number), np.int64)
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // number)
    for start in range(0, resamples, step):
        yield generator.integers(2, size=(min(step, resamples - start), number))


def _num_groups(rows: csr_array) -> npt.NDArray[np.int64]:
    """By comparison, how many groups have anything to count."""
    by_comparison = np.kron(np.eye(rows.shape[1] // COLUMNS, dtype=np.int64), np.ones((COLUMNS, 1), np.int64))
    counted: csr_array = rows @ csr_array(by_comparison)
    num_groups: npt.NDArray[np.int64] = np.diff(counted.tocsc().indptr)
    return num_groups
