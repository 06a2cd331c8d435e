"""Temperature and thresholds, against cases worked by hand and against trying every threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.models.calibration import Calibration, best_threshold, fitted, with_one_value
from facetmill.records import Facet, Product

SURE, UNSURE = 0.9, 0.6


def said(value: str, confidence: float | None, attribute: str = "Color") -> Facet:
    return Facet(attribute, value, provenance="predicted", confidence=confidence)


def answers(num: int, right: int, confidence: float) -> list[tuple[Product, list[Facet]]]:
    gold = Product("p", "s", "t", facets=(Facet("Color", "red"),))
    return [(gold, [said("red" if number < right else "blue", confidence)]) for number in range(num)]


def test_the_temperature_makes_a_confidence_the_share_that_is_right() -> None:
    """Of 100 answers that claim 0.9, 75 are right: T = logit(0.9) / logit(0.75) = 2 ln 3 / ln 3 = 2."""
    calibration = fitted(answers(100, 75, 0.9))
    assert calibration.temperature == pytest.approx(2.0, abs=1e-3)
    (facet,) = calibration.applied([said("red", 0.9)])
    assert facet.confidence == pytest.approx(0.75, abs=1e-3)


def test_below_its_threshold_a_value_is_not_said() -> None:
    """Of the sure all 30 are right, of the unsure 2 of 30: they cost more than they find."""
    calibration = fitted([*answers(30, 30, SURE), *answers(30, 2, UNSURE)])
    kept = calibration.applied([said("red", SURE), said("red", UNSURE), said("XL", 0.1, "Size"), said("red", None)])
    assert [(facet.attribute, facet.value) for facet in kept] == [("Color", "red"), ("Size", "XL"), ("Color", "red")]


def test_what_says_nothing_changes_nothing() -> None:
    assert fitted([]).changes_nothing
    assert fitted(answers(30, 30, SURE)).changes_nothing
    assert fitted(answers(5, 2, SURE)).thresholds == {}  # too few to tell
    facet = said("red", 0.123)
    assert Calibration().applied([facet]) == [facet]


def test_it_is_saved_only_where_it_says_something(tmp_path: Path) -> None:
    Calibration().save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Calibration.load(tmp_path).changes_nothing
    calibration = Calibration(1.5, {"Color": 0.4})
    calibration.save(tmp_path)
    assert Calibration.load(tmp_path) == calibration


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=1), st.integers(0, 9))
def test_no_threshold_is_better(pairs: list[tuple[float, bool]], missed: int) -> None:
    sure, right = np.array([c for c, _ in pairs]), np.array([hit for _, hit in pairs])
    num_gold = int(right.sum()) + missed

    def f1(threshold: float) -> float:
        kept = sure >= threshold
        return 2 * float(right[kept].sum()) / max(1, int(kept.sum()) + num_gold)

    found = best_threshold(sure, right, num_gold)
    assert f1(found) == pytest.approx(max(f1(threshold) for threshold in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)))


def test_of_an_attribute_with_one_value_the_surest_is_said() -> None:
    calibration = Calibration(one_value=("Color",))
    sizes = [said("S", 0.2, "Size"), said("M", 0.3, "Size")]
    kept = calibration.applied([said("red", 0.5), *sizes, said("blue", 0.7), said("green", 0.7)])
    assert [facet.value for facet in kept] == ["S", "M", "blue"]


def test_nearly_every_product_must_have_one_value_of_an_attribute() -> None:
    """One of 100 products with two colours is an annotator's slip, three are not; what is rare tells nothing."""

    def train(num_two: int, num: int = 100) -> list[Product]:
        two, same = Facet("Color", "blue"), Facet("Color", "RED")  # the second is the same value again
        return [
            Product(str(n), "s", "t", facets=(Facet("Color", "red"), same, *([two] if n < num_two else [])))
            for n in range(num)
        ]

    assert with_one_value(train(1)) == ("Color",)
    assert with_one_value(train(3)) == ()
    assert with_one_value(train(0, num=19)) == ()
