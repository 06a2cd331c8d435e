"""Does a model look at the picture? Give each product another's picture and see whether the answers get worse.

Image awareness of M-JAVE (equations 15 and 16), after Elliott (2018): for product i

    a(i) = F1_i(text, its own picture) - F1_i(text, another product's picture)        awareness = mean of a(i)

over K permutations of the pictures. Each permutation is a paired test on the two F1 of every product; the K p-values
are combined by Fisher's method, X2 = -2 sum ln p_k with 2 K degrees of freedom. Everything is kept as ln p, since p
itself is too small for a float: the published X2 of 6790 means ln p of -424 on average.

Different from the paper, which does not say: the test is a one-sided Wilcoxon signed-rank test (or a paired t-test),
no product keeps the pictures of its own group, and nothing true and nothing predicted is an F1 of 1. The K tests share
the answers to the true pictures, so they are not independent as Fisher's method wants: read X2 as the paper's number,
not as an exact probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.special import betaln, gammaln, hyp2f1, logsumexp

from facetmill.metrics.counted import Metric, corpus_f1
from facetmill.metrics.resampling import Values
from facetmill.metrics.single import single_f1
from facetmill.records import Facet, Product

Test = Literal["wilcoxon", "paired_t"]

NUM_PERMUTATIONS = 8

_EXACT = 50  # differences


@dataclass(frozen=True)
class Awareness:
    """How much a model looks at pictures, by one metric. Scores are 0..1, differences -1..1.

    `mean` and `std` (sample standard deviation) of the awareness are over the permutations. Corpus F1 and the mean of
    single-product F1 are other averages, so the awareness is the difference of the latter only; `incongruent_...` are
    means over the permutations. `log_p` is the natural logarithm of the combined p, `log_p_values` those of each test.
    """

    metric: Metric
    num_products: int
    mean: float
    std: float
    congruent_f1: float
    incongruent_f1: float
    congruent_single_f1: float
    incongruent_single_f1: float
    log_p_values: tuple[float, ...]
    chi2: float
    degrees: int
    log_p: float


def image_awareness(
    gold: Sequence[Product],
    congruent: Sequence[Sequence[Facet]],
    incongruent: Sequence[Sequence[Sequence[Facet]]],
    *,
    metric: Metric = "value_f1",
    test: Test = "wilcoxon",
) -> Awareness:
    """Awareness from the answers with each product's own picture, and K lists of answers with another's.

    Raises `ValueError` for no products, no permutation, or lists of different lengths.
    """
    if not gold or not incongruent:
        raise ValueError("awareness needs products and at least one permutation of their pictures")
    own = _singles(gold, congruent, metric)
    others = np.stack([_singles(gold, answers, metric) for answers in incongruent])
    differences = own - others  # [permutations, products]
    by_permutation = differences.mean(axis=1)
    log_p_values = [log_p_greater(row, test) for row in differences]
    chi2, degrees, log_p = fisher(log_p_values)
    return Awareness(
        metric=metric,
        num_products=len(gold),
        mean=float(by_permutation.mean()),
        std=float(by_permutation.std(ddof=1)) if len(by_permutation) > 1 else 0.0,
        congruent_f1=corpus_f1(gold, congruent, metric),
        incongruent_f1=float(np.mean([corpus_f1(gold, answers, metric) for answers in incongruent])),
        congruent_single_f1=float(own.mean()),
        incongruent_single_f1=float(others.mean()),
        log_p_values=tuple(log_p_values),
        chi2=chi2,
        degrees=degrees,
        log_p=log_p,
    )


def with_other_pictures(
    products: Sequence[Product], *, permutations: int = NUM_PERMUTATIONS, seed: int = 0
) -> list[list[Product]]:
    """K copies of some products in which each that has pictures has those of a product of another group, and with them
    the words and boxes that are on them.

    Each is a derangement of the groups with pictures, drawn evenly; a group gives the pictures of its first product
    that has any. Products without pictures are left as they are. Raises `ValueError` where fewer than two groups have
    pictures.
    """
    pictures: dict[str, dict[str, Any]] = {}
    for product in products:
        if product.images:
            seen = {"images": product.images, "ocr": product.ocr, "regions": product.regions}
            pictures.setdefault(product.group_id, seen)
    groups = list(pictures)
    if len(groups) < 2:
        raise ValueError(f"{len(groups)} groups of products with pictures; exchanging them needs two")
    generator = np.random.default_rng(seed)
    changed = []
    for _ in range(permutations):
        givers = dict(zip(groups, _derangement(len(groups), generator), strict=True))
        changed.append([replace(p, **pictures[groups[givers[p.group_id]]]) if p.images else p for p in products])
    return changed


def log_p_greater(differences: Values, test: Test = "wilcoxon") -> float:
    """ln p of paired differences being no greater than zero; 0 (p = 1) where all are zero.

    Wilcoxon's test drops zeros. It is exact for up to 50 differences (13 where some are equal); above that it is the
    normal approximation with correction for ties, whose logarithm does not underflow.
    """
    from scipy import stats  # half a second, which who only reads a comparison need not wait for

    changed = differences[differences != 0]
    if not len(changed):
        return 0.0
    if test == "paired_t":
        return _log_p_t(differences)
    if len(changed) <= _EXACT:
        return math.log(stats.wilcoxon(changed, alternative="greater").pvalue)
    return float(stats.norm.logsf(stats.wilcoxon(changed, alternative="greater", method="asymptotic").zstatistic))


def fisher(log_p_values: Sequence[float]) -> tuple[float, int, float]:
    """Fisher's X2, its degrees of freedom, and ln p, by the closed form of the chi-squared tail for even degrees."""
    num_tests = len(log_p_values)
    half = -math.fsum(log_p_values)  # X2 / 2
    if half <= 0:
        return 0.0, 2 * num_tests, 0.0
    powers = np.arange(num_tests)
    log_p = -half + float(logsumexp(powers * math.log(half) - gammaln(powers + 1)))
    return 2 * half, 2 * num_tests, min(0.0, log_p)


def _log_p_t(differences: Values) -> float:
    """ln of the upper tail of Student's t, by the incomplete beta function as a series where the tail is thin."""
    degrees = len(differences) - 1
    if degrees < 1:
        return 0.0
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    t = float(differences.mean()) / error if error else math.copysign(math.inf, float(differences.mean()))
    if t <= 1 or math.isinf(t):
        from scipy import stats

        return float(stats.t.logsf(t, degrees))
    x = degrees / (degrees + t * t)
    a, b = degrees / 2, 0.5
    series = float(np.log(hyp2f1(a + b, 1, a + 1, x)))
    return a * math.log(x) + b * math.log1p(-x) - math.log(a) - float(betaln(a, b)) + series - math.log(2)


def _derangement(number: int, generator: np.random.Generator) -> list[int]:
    """A permutation that leaves nothing in its place; one in e is, so three tries do on average."""
    while True:
        order = generator.permutation(number)
        if not np.any(order == np.arange(number)):
            return [int(place) for place in order]


def _singles(gold: Sequence[Product], answers: Sequence[Sequence[Facet]], metric: Metric) -> Values:
    return np.array([single_f1(product, facets, metric) for product, facets in zip(gold, answers, strict=True)])
