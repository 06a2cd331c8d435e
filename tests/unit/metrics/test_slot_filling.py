"""JGA and SA: by hand, by the paper's formulas, and what must hold between them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given

from facetmill.metrics.slot_filling import slot_scores, slots_by_modality
from facetmill.records import Attribute, AttributeSchema, Facet, Product
from tests.drawn_facets import ATTRIBUTES, corpora

RED, BLUE, LARGE = Facet("Color", "red"), Facet("Color", "blue"), Facet("Size", "L")
GOLD = [Product("1", "test", "t", facets=(RED,)), Product("2", "test", "t", facets=(BLUE, LARGE))]


def test_by_hand() -> None:
    """Of 2 x 3 slots one is wrong (blue is said red); three have a value, of which two are right."""
    scores = slot_scores(GOLD, [[RED], [RED, LARGE]], ATTRIBUTES)
    assert (scores.num_products, scores.num_slots, scores.num_filled) == (2, 3, 3)
    assert (scores.jga, scores.sa, scores.sa_filled) == (0.5, pytest.approx(5 / 6), pytest.approx(2 / 3))


def test_a_value_too_many_is_a_wrong_slot() -> None:
    assert slot_scores(GOLD[:1], [[Facet("Color", "RED")]], ["Color"]).jga == 1.0
    assert slot_scores(GOLD[:1], [[RED, BLUE]], ["Color"]).jga == 0.0
    assert slot_scores(GOLD[:1], [[RED, LARGE]], ["Color", "Size"]).sa == 0.5
    assert slot_scores(GOLD[:1], [[RED, LARGE]], ["Color"]).jga == 1.0  # Size is not asked about


def test_nothing_is_zero_and_lengths_must_agree() -> None:
    assert slot_scores([], [], ATTRIBUTES).jga == slot_scores(GOLD, [[], []], []).sa == 0.0
    with pytest.raises(ValueError):
        slot_scores(GOLD, [[]], ATTRIBUTES)


def test_slots_are_told_apart_by_what_tells_them() -> None:
    schema = AttributeSchema(
        (Attribute("Color", {}, modality="image"), Attribute("Size", {}, modality="text"), Attribute("Type", {}))
    )
    assert slots_by_modality(schema) == {"all": ATTRIBUTES, "text": ("Size",), "image": ("Color",)}


@given(corpora)
def test_the_formulas(corpus: list[tuple[Product, list[Facet]]]) -> None:
    gold, predicted = [product for product, _ in corpus], [said for _, said in corpus]

    def filled(facets: object) -> list[frozenset[str]]:
        return [frozenset(" ".join(f.value.lower().split()) for f in facets if f.attribute == s) for s in ATTRIBUTES]  # type: ignore[attr-defined]

    right = [[y == z for y, z in zip(filled(p.facets), filled(said), strict=True)] for p, said in corpus]
    found = slot_scores(gold, predicted, ATTRIBUTES)
    if corpus:
        assert found.jga == pytest.approx(sum(math.prod(row) for row in right) / len(right))
        assert found.sa == pytest.approx(sum(sum(row) / len(row) for row in right) / len(right))
    parts = [slot_scores(gold, predicted, slots) for slots in (ATTRIBUTES[:1], ATTRIBUTES[1:])]
    assert found.jga <= found.sa
    assert found.jga <= min(part.jga for part in parts)
    assert found.num_filled == sum(part.num_filled for part in parts)
