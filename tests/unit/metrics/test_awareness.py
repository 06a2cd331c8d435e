"""Image awareness against numbers worked by hand, and pictures that truly become another product's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from facetmill.metrics.awareness import fisher, image_awareness, log_p_greater, with_other_pictures
from facetmill.metrics.single import single_f1
from facetmill.records import Facet, Product

RED, BLUE, OAK = Facet("Color", "red"), Facet("Color", "blue"), Facet("Material", "oak")
GOLD = [Product("1", "t", "x", facets=(RED, OAK)), Product("2", "t", "x", facets=(RED,)), Product("3", "t", "x")]


def test_f1_of_a_single_product() -> None:
    assert single_f1(GOLD[0], [RED, OAK], "value_f1") == 1.0
    assert single_f1(GOLD[0], [RED], "value_f1") == pytest.approx(2 / 3)
    assert single_f1(GOLD[0], [BLUE], "value_f1") == 0.0
    assert single_f1(GOLD[0], [BLUE], "attribute_f1") == pytest.approx(2 / 3)
    assert single_f1(GOLD[2], [], "value_f1") == 1.0  # rightly silent
    assert single_f1(GOLD[2], [RED], "value_f1") == 0.0


def test_awareness_by_hand() -> None:
    """Own pictures: F1 1, 1, 1. Others': 2/3, 0, 1 and then 1, 0, 1; so 4/9 and 1/3 are lost."""
    own = [[RED, OAK], [RED], []]
    others = [[[RED], [BLUE], []], [[RED, OAK], [BLUE], []]]
    found = image_awareness(GOLD, own, others)
    assert found.mean == pytest.approx((4 / 9 + 3 / 9) / 2)
    assert found.std == pytest.approx((1 / 9) / math.sqrt(2))
    assert (found.congruent_f1, found.congruent_single_f1) == (1.0, 1.0)
    assert found.incongruent_single_f1 == pytest.approx(1 - 3.5 / 9)
    assert found.incongruent_f1 == pytest.approx((2 * 1 / (2 + 3) + 2 * 2 / (3 + 3)) / 2)  # 1 of 2 said, 2 of 3 said
    # Signs of 2 and of 1 differences that are not zero: all positive, so p is 1/4 and 1/2.
    assert found.log_p_values == pytest.approx([math.log(1 / 4), math.log(1 / 2)])
    assert (found.chi2, found.degrees) == (pytest.approx(2 * math.log(8)), 4)
    assert math.exp(found.log_p) == pytest.approx((1 + math.log(8)) / 8)  # P q (1 - ln q) for two tests, q = 1/8


def test_a_model_that_ignores_pictures_is_not_aware() -> None:
    said = [[RED], [BLUE], [OAK]]
    found = image_awareness(GOLD, said, [said] * 8)
    assert (found.mean, found.std, found.chi2, found.degrees, found.log_p) == (0.0, 0.0, 0.0, 16, 0.0)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one permutation"):
        image_awareness(GOLD, [[]] * 3, [])
    with pytest.raises(ValueError):
        image_awareness(GOLD, [[]] * 3, [[[]] * 2])


def test_wilcoxon_is_exact_for_few_and_keeps_its_logarithm_for_many() -> None:
    assert log_p_greater(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(math.log(1 / 32))
    assert log_p_greater(np.array([0.5, 0.5, 0.5, 0.0])) == pytest.approx(math.log(1 / 8))  # ties, and a zero
    many = np.array([0.5] * 100 + [0.0] * 20 + [-0.5] * 3)
    assert math.exp(log_p_greater(many)) == pytest.approx(stats.wilcoxon(many, alternative="greater").pvalue)
    assert -6000 < log_p_greater(np.ones(8000)) < -700  # p itself is 0 as a float


def test_paired_t_is_students_also_where_p_underflows() -> None:
    generator = np.random.default_rng(0)
    for shift, number in ((0.3, 50), (-0.3, 50), (0.05, 20), (1.0, 5)):
        sample = generator.normal(shift, 1, number)
        expected = stats.ttest_1samp(sample, 0, alternative="greater").pvalue
        assert math.exp(log_p_greater(sample, "paired_t")) == pytest.approx(expected)
    # t = 200 with 9 degrees of freedom: the tail is Gamma(5) / (sqrt(9 pi) Gamma(4.5)) 9^5 / (9 t^9), up to 1/t^2.
    thin = np.array([1.0] * 5 + [1 + 2 / 66.6] * 5)
    t = thin.mean() / thin.std(ddof=1) * math.sqrt(10)
    tail = (
        math.lgamma(5)
        - math.lgamma(4.5)
        - 0.5 * math.log(9 * math.pi)
        + 5 * math.log(9)
        - math.log(9)
        - 9 * math.log(t)
    )
    assert log_p_greater(thin, "paired_t") == pytest.approx(tail, abs=0.01)
    assert math.isfinite(log_p_greater(generator.normal(3, 1, 8000), "paired_t"))


def test_fisher_is_the_closed_form() -> None:
    chi2, degrees, log_p = fisher([math.log(0.05), math.log(0.1)])
    assert chi2 == pytest.approx(-2 * math.log(0.005))
    assert degrees == 4
    assert math.exp(log_p) == pytest.approx(0.005 * (1 - math.log(0.005)))
    chi2, degrees, log_p = fisher([-424.425] * 8)
    assert (chi2, degrees) == (pytest.approx(6790.8), 16)  # as M-JAVE reports it
    assert -3395.4 < log_p < -3300


def test_every_picture_becomes_one_of_another_group() -> None:
    """Products 0 and 1 are listings of one product, which may not be given back its own picture."""
    products = [
        Product("0", "t", "x", group_id="g", images=("0.png",)),
        Product("1", "t", "x", group_id="g", images=("1.png",)),
        *(Product(str(i), "t", "x", images=(f"{i}.png",)) for i in range(2, 6)),
        Product("none", "t", "x"),
    ]
    copies = with_other_pictures(products, permutations=20, seed=3)
    assert len(copies) == 20
    for copy in copies:
        assert [p.product_id for p in copy] == [p.product_id for p in products]
        assert all(after.images != before.images for after, before in zip(copy, products, strict=True) if before.images)
        assert copy[0].images == copy[1].images
        assert copy[0].images not in (("0.png",), ("1.png",))
        assert copy[-1].images == ()
        assert len({p.images for p in copy[1:-1]}) == 5  # a permutation: every group gives once
    assert copies == with_other_pictures(products, permutations=20, seed=3)
    assert copies != with_other_pictures(products, permutations=20, seed=4)
    with pytest.raises(ValueError, match="1 groups"):
        with_other_pictures(products[:2])
