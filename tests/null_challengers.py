"""Challengers that are no better than the champion, and how many of them are shown to be.

`python -m tests.null_challengers` prints the table of `src/facetmill/metrics/README.md`.

A pair of answers is counts [2 models, 3] (correct, predicted, gold) of one product. In the fair kinds a coin decides
which of the two answers is the challenger's. In the others F1 is the same in the long run, but gains are of another
size than losses; no test can know of losses that it has never seen.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from facetmill.metrics.exchange import exchange_test
from facetmill.metrics.resampling import Rows

FAIR = ("one value", "several values", "sizes that differ", "other counts")
UNFAIR = ("says less", "rare large losses", "rare large gains")
CHANGED = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50, 100, 200, 300)
PRODUCTS = 300


def pairs(kind: str, generator: np.random.Generator, num_changed: int, num_same: int) -> Rows:
    """Counts [products, 2 models, 3]: products whose answers count differently, then others with equal answers."""
    found: list[Rows] = []
    while len(found) < num_changed:
        pair = _pair(kind, generator)
        if (pair[0] != pair[1]).any():
            found.append(pair)
    same = np.tile(np.array([[4, 5, 5]] * 2, np.int64), (num_same, 1, 1))
    rows = np.concatenate([np.stack(found), same])
    return by_coin(rows, generator) if kind in FAIR else rows


def by_coin(rows: Rows, generator: np.random.Generator) -> Rows:
    """The same pairs, each exchanged or not."""
    turned = generator.random(len(rows)) < 0.5
    return np.where(turned[:, None, None], rows[:, ::-1], rows)


def _pair(kind: str, generator: np.random.Generator) -> Rows:
    """One product's two answers."""
    if kind == "one value":
        return np.array([[1, 1, 1], [0, 1, 1]])
    if kind == "several values":  # up to 6, each right or wrong by chance
        gold = int(generator.integers(1, 7))
        return np.stack([np.array([generator.binomial(gold, 0.7), gold, gold]) for _ in range(2)])
    if kind == "sizes that differ":  # all of a product's values, 1 to 40 or so, are right or wrong together
        gold = int(np.ceil(generator.lognormal(1, 1)))
        return np.array([[gold, gold, gold], [0, gold, gold]])
    if kind == "other counts":  # one says more than the other: more right, more wrong, or both
        gold, more = int(generator.integers(1, 5)), generator.integers(0, 3, size=2)
        right = int(generator.integers(0, gold + 1))
        return np.array([[right, right + 1, gold], [min(gold, right + more[0]), right + 1 + more.sum(), gold]])
    # With F1 0.8, a value less is a gain of 0.8 where it was wrong and a loss of 1.2 where it was right.
    if kind == "says less":
        right = generator.random() < 0.4
        return np.array([[4 - right, 4, 5], [4, 5, 5]])
    lost = generator.random() < 0.2  # four values at once, else one
    challenger, champion = ((1, 5) if lost else (5, 4)) if kind == "rare large losses" else ((5, 1) if lost else (4, 5))
    return np.array([[challenger, 5, 5], [champion, 5, 5]])


def share_shown(kind: str, num_changed: int, *, trials: int, seed: int = 0) -> float:
    """The share (0..1) of challengers for which the whole 95 % interval lies above 0."""
    generator = np.random.default_rng([seed, num_changed, (FAIR + UNFAIR).index(kind)])
    shown = 0
    for _ in range(trials):
        rows = pairs(kind, generator, num_changed, PRODUCTS - num_changed)
        found = exchange_test(csr_array(rows.reshape(len(rows), -1)), resamples=1000, seed=0, level=0.95)
        shown += found.low[0] > 0
    return shown / trials


def main() -> None:
    print(f"| of {PRODUCTS} products changed | {' | '.join(FAIR + UNFAIR)} |")
    print("|---" * (1 + len(FAIR + UNFAIR)) + "|")
    for num_changed in CHANGED:
        shares = [100 * share_shown(kind, num_changed, trials=1000) for kind in FAIR + UNFAIR]
        print(f"| {num_changed} | {' | '.join(f'{share:.1f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
