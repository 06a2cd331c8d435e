"""Drift: chance is none, and what a shop really changes is one, claim by claim."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facetmill.gates.drift import Profile, divergence, drift
from facetmill.gates.verdict import DataVerdict
from facetmill.params import DriftParams
from facetmill.records import Facet, Product
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions
from tests import small

PARAMS = DriftParams(max_shift=0.05, max_new_share=0.1)
COLOURS = ["red", "blue", "green", "black"]


def shop(count: int, seed: int, **changes: object) -> Iterator[Product]:
    draw = random.Random(seed)
    for number in range(count):
        colour, kind = draw.choice(COLOURS), draw.choice(["shirt", "hat", "sofa"])
        yield replace(
            Product(
                f"p{seed}-{number}",
                "s",
                f"{colour} {kind} {number}",
                category=kind,
                images=("a.png",) if draw.random() < 0.9 else (),
                facets=(Facet("Colour", colour), *([Facet("Seats", "2")] if kind == "sofa" else [])),
            ),
            **changes,
        )


def judged(*batch: Product) -> DataVerdict:
    return drift(Profile.of(shop(600, 0)), Profile.of(shop(200, 1)), Profile.of(batch), PARAMS)


def failed(verdict: DataVerdict) -> list[str]:
    return [each.gate for each in verdict.verdicts if not each.passed]


@pytest.mark.parametrize("count", [10, 40, 1000])
def test_another_draw_from_the_same_shop_is_no_drift(count: int) -> None:
    """Small batches differ by chance; of twenty of a size, at most one may be taken for drift."""
    alarms = [failed(judged(*shop(count, seed))) for seed in range(2, 22)]
    assert sum(bool(alarm) for alarm in alarms) <= 1, alarms


@pytest.mark.parametrize(
    ("claim", "batch"),
    [
        ("categories_as_trained", [replace(p, category="boat") for p in shop(60, 2)]),
        ("texts_as_long", [replace(p, text="a red shirt and a blue hat " * 9) for p in shop(60, 2)]),
        ("pictures_as_often", [replace(p, images=()) for p in shop(60, 2)]),
        ("words_are_known", [replace(p, title=f"teal jumper {p.title}") for p in shop(60, 2)]),
        ("attributes_as_trained", [replace(p, facets=(Facet("Sleeve", "red"),)) for p in shop(60, 2)]),
        ("values_are_known", [replace(p, facets=(Facet("Colour", "teal"),)) for p in shop(60, 2)]),
    ],
)
def test_what_changed_is_named_with_both_numbers_and_examples(claim: str, batch: list[Product]) -> None:
    verdict = judged(*batch)
    assert claim in failed(verdict)
    assert not verdict.passed
    [found] = [each for each in verdict.verdicts if each.gate == claim]
    assert isinstance(found.observed, float)
    assert "must be" in found.reason
    assert found.examples or claim == "pictures_as_often"


def test_a_batch_without_facets_is_judged_by_the_rest() -> None:
    bare = [replace(p, facets=()) for p in shop(200, 2)]
    verdict = judged(*bare)
    assert verdict.passed
    assert [each.gate for each in verdict.verdicts] == [
        "categories_as_trained",
        "texts_as_long",
        "pictures_as_often",
        "categories_are_known",
        "words_are_known",
    ]


def test_divergence_of_hand_computed_cases() -> None:
    def of(left: list[float], right: list[float]) -> float:
        return divergence(np.array(left), np.array(right))

    assert of([0.5, 0.5], [0.5, 0.5]) == 0
    assert of([1, 0], [0, 1]) == 1
    # middle (0.75, 0.25): (log2(1 / 0.75) + 0.5 log2(0.5 / 0.75) + 0.5 log2(0.5 / 0.25)) / 2
    assert of([1, 0], [0.5, 0.5]) == pytest.approx(0.311278, abs=1e-6)


@pytest.mark.parametrize(("amount", "drifted"), [(0.0, False), (1.0, True)])
def test_the_demo_catalogues_knob_is_seen(amount: float, drifted: bool, tmp_path: Path) -> None:
    """Its truth is known: another seed of the same season is none, a season of new brands and colours is one."""

    def catalogue(seed: int, amount: float) -> list[Product]:
        demo = replace(small.DEMO, products=300, seed=seed, drift=amount, image_size=32)
        scratch = tmp_path / f"{seed}"
        return list(SOURCES["demo"].read(tmp_path, SourceOptions(demo=demo, scratch=scratch)))

    trained = catalogue(1, 0.0)
    batch = Profile.of(catalogue(2, amount))
    verdict = drift(Profile.of(trained[:220]), Profile.of(trained[220:]), batch, PARAMS)
    assert verdict.passed is not drifted, [each.reason for each in verdict.verdicts]
    if drifted:
        assert {"words_are_known", "values_are_known"} <= set(failed(verdict))


def test_a_value_in_another_unit_is_no_new_one() -> None:
    litres = [replace(product, facets=(Facet("Volume", "1.5 L"),)) for product in shop(60, 1)]
    millilitres = [replace(product, facets=(Facet("Volume", "1500 ml"),)) for product in shop(60, 1)]
    assert Profile.of(litres).values == Profile.of(millilitres).values
