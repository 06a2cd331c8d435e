"""Slices: who counts where, and that many slices looked at once raise no false alarm, while a real loss does."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from facetmill.metrics.counted import METRICS
from facetmill.metrics.paired import paired_rows, paired_slices
from facetmill.metrics.slices import count_slices
from facetmill.records import Facet, Product, Span

Answers = list[list[Facet]]


def product(i: int, *facets: Facet, category: str | None = None, image: bool = False) -> Product:
    return Product(str(i), "test", "title", category=category, images=("a.png",) if image else (), facets=facets)


RED, BLUE, OAK = Facet("Color", "red"), Facet("Color", "blue"), Facet("Material", "oak")

GOLD = [
    product(1, RED, OAK, category="Tables", image=True),
    product(2, BLUE, category="Shirts"),
    product(3, category="Shirts"),
]
FIRST: Answers = [[RED, OAK], [RED], [OAK]]
SECOND: Answers = [[RED], [BLUE], []]


def test_hand_counted_slices() -> None:
    counts = count_slices(GOLD, FIRST, SECOND, seen={"Color": ["RED"]}, metric="pair_f1")
    results = dict(zip(counts.names, paired_slices(counts, resamples=100), strict=True))
    scores = {name: (result.first, result.second) for name, result in results.items()}
    assert scores == {
        ("attribute", "Color"): (pytest.approx(1 / 2), 1.0),
        ("attribute", "Material"): (pytest.approx(2 / 3), 0.0),  # first: 1 right, 2 said, 1 true
        ("category", "Shirts"): (0.0, 1.0),
        ("category", "Tables"): (1.0, pytest.approx(2 / 3)),
        ("image", "missing"): (0.0, 1.0),
        ("image", "present"): (1.0, pytest.approx(2 / 3)),
        ("place", "implicit"): (pytest.approx(4 / 7), pytest.approx(4 / 5)),
        ("values", "seen"): (1.0, 1.0),  # red, by both
        ("values", "unseen"): (1 / 2, 1 / 2),  # oak by the first, blue by the second
    }
    assert list(results) == list(scores)
    sizes = dict(zip(counts.names, zip(counts.num_products, counts.support, strict=True), strict=True))
    assert sizes["attribute", "Color"] == (2, 2)
    assert sizes["attribute", "Material"] == (1, 1)  # said of product 3, but true of product 1 alone
    assert sizes["category", "Shirts"] == (2, 1)  # product 3 has no true value, and is a shirt all the same
    assert sizes["values", "unseen"] == (2, 2)


def test_what_is_never_true_is_no_slice() -> None:
    counts = count_slices([product(1, RED)], [[RED, OAK]], [[RED]], metric="pair_f1")
    assert counts.names == (
        ("attribute", "Color"), ("category", "(none)"), ("image", "missing"), ("place", "implicit")
    )  # fmt: skip


def test_every_item_stands_in_the_text_or_does_not() -> None:
    """Red is true where it stands. The first says so without a place, which is right; blue is wrong in either way."""
    here = (Span("title", 0, 3),)
    gold = [Product("1", "test", "red oak chair", facets=(replace(RED, spans=here), OAK))]
    first: Answers = [[RED, replace(BLUE, spans=here)]]
    second: Answers = [[replace(RED, spans=here), BLUE]]
    counts = count_slices(gold, first, second, metric="pair_f1")
    results = dict(zip(counts.names, paired_slices(counts), strict=True))
    scores = {name: (result.first, result.second) for name, result in results.items() if name[0] == "place"}
    assert scores == {
        ("place", "explicit"): (pytest.approx(2 / 3), 1.0),
        ("place", "implicit"): (0.0, 0.0),  # oak was missed by both, and the second says a blue that stands nowhere
    }
    counts = count_slices(gold, first, second, metric="value_f1")
    results = dict(zip(counts.names, paired_slices(counts), strict=True))
    assert results["place", "explicit"].first == 1.0  # "blue" is where red is, and value F1 asks no more


def test_slices_go_by_the_metric() -> None:
    """Three of four is right by both, but the first names the attributes: a slot is right only as it is written."""
    gold = [Product(str(i), "test", "t", facets=(RED,)) for i in range(4)]
    said: Answers = [[RED], [Facet("Color", "RED")], [RED], [BLUE]]
    by_metric = {
        m: dict(zip((c := count_slices(gold, said, said, metric=m)).names, paired_slices(c), strict=True))
        for m in METRICS
    }
    found = {metric: results["attribute", "Color"].first for metric, results in by_metric.items()}
    assert found == {"pair_f1": 0.75, "value_f1": 0.75, "attribute_f1": 1.0, "na_f1": 0.5}


def test_no_product_has_no_slice() -> None:
    assert paired_slices(count_slices([], [], [], metric="pair_f1")) == []


def test_p_of_three_products_that_all_got_worse() -> None:
    """Of the 8 ways to exchange the answers of three products, 2 differ as much: p = 1/4, and no less."""
    counts = count_slices([product(i, RED) for i in range(3)], [[BLUE]] * 3, [[RED]] * 3, metric="pair_f1")
    result = paired_slices(counts)[0]
    assert (result.difference, result.low, result.high) == (-1.0, -1.0, 0.0)
    assert result.p_value == 0.25


def test_one_slice_is_judged_as_the_whole_is() -> None:
    """A slice that holds every product, and is the only one, has the interval and p of all products."""
    generator = random.Random(0)
    gold = [product(i, RED) for i in range(200)]
    first = [[RED if generator.random() < 0.8 else BLUE] for _ in gold]
    second = [[RED if generator.random() < 0.6 else BLUE] for _ in gold]
    counts = count_slices(gold, first, second, metric="pair_f1")
    only = replace(counts, names=counts.names[:1], rows=counts.rows[:, :6])
    whole = counts.rows[:, :6].toarray()
    alone = paired_rows(whole[:, :3], whole[:, 3:])
    assert paired_slices(only) == [alone]
    among = paired_slices(counts)[0]  # the other slices are the same products again: looking thrice costs nothing
    assert (among.low, among.high, among.p_value) == (alone.low, alone.high, alone.p_value)


def catalogue(generator: random.Random, num_products: int, num_attributes: int) -> list[Product]:
    return [
        product(i, *(Facet(f"a{a}", "yes") for a in generator.sample(range(num_attributes), 5)))
        for i in range(num_products)
    ]


def answers(generator: random.Random, gold: list[Product], accuracy: float, bad: str = "") -> Answers:
    return [
        [Facet(f.attribute, "yes" if f.attribute != bad and generator.random() < accuracy else "no") for f in p.facets]
        for p in gold
    ]


def test_equal_models_raise_an_alarm_in_one_comparison_of_twenty() -> None:
    """Twenty small attributes each; at 0.05 for each slice alone, two of three comparisons would raise one."""
    alarms = 0
    for seed in range(80):
        generator = random.Random(seed)
        gold = catalogue(generator, 80, 20)
        first, second = (answers(generator, gold, 0.8) for _ in range(2))
        results = paired_slices(count_slices(gold, first, second, metric="pair_f1"), resamples=200, seed=seed)
        alarms += any(result.high < 0 or result.low > 0 for result in results)
        assert all((r.high < 0 or r.low > 0) is (r.p_value <= 0.05) for r in results)
    assert alarms <= 10  # 4 are expected; more than 10 have a chance of 1 in 400


def test_an_attribute_that_is_lost_is_found_among_twenty() -> None:
    generator = random.Random(1)
    gold = catalogue(generator, 100, 20)
    first, second = answers(generator, gold, 0.9, bad="a3"), answers(generator, gold, 0.9)
    counts = count_slices(gold, first, second, metric="pair_f1")
    alarms = [name for name, r in zip(counts.names, paired_slices(counts), strict=True) if r.p_value < 0.05]
    assert ("attribute", "a3") in alarms
    assert not [name for name in alarms if name[0] == "attribute" and name[1] != "a3"]


def test_the_seed_decides() -> None:
    generator = random.Random(0)
    gold = catalogue(generator, 40, 5)
    counts = count_slices(gold, answers(generator, gold, 0.8), answers(generator, gold, 0.6), metric="pair_f1")
    assert paired_slices(counts, seed=1) == paired_slices(counts, seed=1)
    assert paired_slices(counts, seed=1) != paired_slices(counts, seed=2)
