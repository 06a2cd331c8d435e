"""A comparison says who is better, where, and on which products, as JSON that the review page can be written from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from facetmill.gates.verdict import Verdict
from facetmill.judging.comparison import NUM_EXAMPLES, Answered, Comparison, Latency, compare
from facetmill.records import Facet, Product, Span

RED = Facet("Color", "red", (Span("title", 0, 3),))
BLUE = Facet("Color", "blue")
LATENCY = Latency(0.010, 0.020, 3.0)


def product(i: int) -> Product:
    return Product(f"p{i:02}", "test", "red shirt", category="Shirts", images=("a.png",), facets=(RED,))


def answered(ref: str, facets: list[list[Facet]]) -> Answered:
    return Answered(ref, "jave", 7, "r" * 32, facets, LATENCY, {"train/loss": [(0, 2.0), (1, 1.5)]})


def comparison(first: list[list[Facet]], second: list[list[Facet]]) -> Comparison:
    gold = [product(i) for i in range(len(first))]
    return compare(
        gold,
        answered("facets-candidates/7", first),
        answered("facets/3", second),
        metric="pair_f1",
        dataset="demo",
        dataset_version="d" * 64,
        seen={"Color": ["red"]},
        resamples=100,
    )


def test_the_first_is_the_challenger_and_the_difference_is_its_gain() -> None:
    found = comparison([[RED]] * 40, [[RED]] * 30 + [[BLUE]] * 10)
    value = found.paired["pair_f1"]
    assert (value.first, value.second, value.difference) == (1.0, 0.75, 0.25)
    assert 0 < value.low < 0.25 < value.high
    assert found.paired["attribute_f1"].difference == 0  # both say a color
    assert (found.first.scores.pair_f1, found.second.scores.pair_f1) == (1.0, 0.75)
    assert {(each.kind, each.name): each.difference for each in found.slices} == {
        ("attribute", "Color"): 0.25,
        ("category", "Shirts"): 0.25,
        ("image", "present"): 0.25,
        ("place", "explicit"): pytest.approx(1 / 7),  # blue is predicted without a place
        ("values", "seen"): 0.25,
    }


def test_examples_are_the_worst_and_then_the_best_and_never_what_did_not_change() -> None:
    """Products 0 to 19 got worse, the odd ones of them half as much; 20 and 21 got better; the others are as before."""
    first = [[RED, BLUE] if i % 2 else [BLUE] for i in range(20)] + [[RED]] * 5
    second = [[RED]] * 20 + [[BLUE], []] + [[RED]] * 3
    examples = comparison(first, second).examples
    even, odd = ([f"p{i:02}" for i in range(start, 20, 2)] for start in (0, 1))
    assert [e.product.product_id for e in examples] == [*(even + odd)[:NUM_EXAMPLES], "p20", "p21"]
    assert [e.change for e in examples] == pytest.approx([-1.0] * 10 + [-1 / 3] * 2 + [1.0] * 2)


def test_json_has_the_agreed_shape() -> None:
    verdict = Verdict("beats_champion", False, "critical", -0.5, "> 0", "worse")
    found = replace(comparison([[BLUE], [RED]], [[RED], [RED]]), verdicts=(verdict,))
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said.keys() == {
        "metric", "dataset", "split", "num_products", "first", "second", "paired", "slices", "verdicts", "examples",
        "curves", "dataset_diff", "left_out",
    }  # fmt: skip
    assert said["dataset"] == {"name": "demo", "version": "d" * 64}
    assert said["first"].keys() == {"ref", "model", "version", "run_id", "scores", "latency", "awareness"}
    assert said["first"]["latency"] == {"p50": 0.010, "p95": 0.020, "load": 3.0}
    assert said["paired"].keys() == {"pair_f1", "value_f1", "attribute_f1", "na_f1"}
    assert said["paired"]["pair_f1"].keys() == {"first", "second", "difference", "low", "high", "p_value"}
    assert said["slices"][0].keys() == {
        "kind", "name", "num_products", "support", "first", "second", "difference", "low", "high", "p_value"
    }  # fmt: skip
    assert said["verdicts"][0]["gate"] == "beats_champion"
    assert said["curves"]["second"] == {"train/loss": [[0, 2.0], [1, 1.5]]}
    example = said["examples"][0]
    assert example["product"] == {
        "product_id": "p00", "title": "red shirt", "text": "", "category": "Shirts", "image": "a.png"
    }  # fmt: skip
    red = {"attribute": "Color", "value": "red", "confidence": None, "field": "title", "start": 0, "end": 3}
    assert example["truth"] == example["second"] == [red]
    assert example["first"] == [red | {"value": "blue", "field": None, "start": None, "end": None}]
    assert (example["first_f1"], example["second_f1"], example["change"], example["gates"]) == (0.0, 1.0, -1.0, None)


def test_attributes_that_one_of_them_predicts_are_scored_and_shown() -> None:
    gold = [product(0), product(1)]
    first = replace(answered("facets-candidates/7", [[BLUE], [RED]]), attributes=[{"Color": 0.9}, {"Size": 0.7}])
    second = answered("facets/3", [[RED], [RED]])
    found = compare(gold, first, second, metric="pair_f1", dataset="demo", dataset_version="d" * 64, resamples=100)
    assert found.first.scores.predicted_attribute_f1 == 0.5
    assert found.second.scores.predicted_attribute_f1 is None
    [example] = found.to_json()["examples"]
    assert (example["first_attributes"], example["second_attributes"]) == ({"Color": 0.9}, None)


def test_the_same_answers_give_the_same_comparison() -> None:
    first, second = [[RED], [BLUE], []] * 10, [[BLUE], [RED], [RED]] * 10
    assert comparison(first, second).to_json() == comparison(first, second).to_json()


def test_a_missing_answer_is_not_compared() -> None:
    with pytest.raises(ValueError, match="2 products, but 2 answers of facets-candidates/7 and 1 of facets/3"):
        comparison([[RED]] * 2, [[RED]])


def test_latency_is_by_products() -> None:
    latency = Latency.of([0.01 * i for i in range(1, 102)], load=2.0)
    assert (latency.p50, latency.p95, latency.load) == (pytest.approx(0.51), pytest.approx(0.96), 2.0)
