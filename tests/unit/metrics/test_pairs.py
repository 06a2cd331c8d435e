"""Pair F1: a right value counts wherever it stands."""

from __future__ import annotations

import pytest
from hypothesis import given

from facetmill.metrics.pairs import pairs
from facetmill.metrics.score import score
from facetmill.records import Facet, Product, Span
from tests.drawn_facets import corpora

HERE = (Span("title", 0, 3),)
GOLD = Product("p", "test", "red oak chair", facets=(Facet("Color", "red", HERE), Facet("Material", "oak")))


@pytest.mark.parametrize(
    ("predicted", "f1"),
    [
        ([Facet("Color", "red", HERE), Facet("Material", "oak")], 1.0),
        ([Facet("Color", "Red"), Facet("Material", " OAK ")], 1.0),  # no place, other case, spaces
        ([Facet("Color", "ｒｅｄ"), Facet("Material", "o\u00adak")], 1.0),  # other code points
        ([Facet("Color", "red", (Span("title", 4, 7),))], 2 / 3),  # another place: value F1 would have it wrong
        ([Facet("Color", "red"), Facet("Color", "RED", HERE)], 2 / 3),  # said twice, counted once
        ([Facet("Material", "red")], 0.0),  # the value of another attribute
        ([Facet("Color", "red"), Facet("Color", " ")], 2 / 3),  # no value is no pair
    ],
)
def test_by_hand(predicted: list[Facet], f1: float) -> None:
    assert score([GOLD], [predicted]).pair_f1 == pytest.approx(f1)


def test_a_pair_comes_from_the_facet_that_stands_in_the_text() -> None:
    placed = Facet("Color", "RED", HERE)
    assert pairs([Facet("Color", "red"), placed, Facet("Color", "red", HERE)]) == {("Color", "red"): placed}


def test_values_in_the_text_and_others_apart() -> None:
    """Red stands in the text and is right, "oak" is missed and does not, "pine" stands nowhere and is wrong."""
    scores = score([GOLD], [[Facet("Color", "red"), Facet("Material", "pine")]])
    assert (scores.pair_f1_explicit, scores.pairs_explicit) == (1.0, 1)
    assert (scores.pair_f1_implicit, scores.pairs_implicit) == (0.0, 1)
    assert scores.pair_f1 == 0.5


@given(corpora)
def test_it_is_what_counting_one_by_one_gives(corpus: list[tuple[Product, list[Facet]]]) -> None:
    def told(facets: object, kept: object) -> set[tuple[str, str]]:
        return {(f.attribute, " ".join(f.value.lower().split())) for f in facets if kept(f)}  # type: ignore[attr-defined,operator]

    def f1(kept: object) -> float:
        right = said = true = 0
        for product, predicted in corpus:
            gold, found = told(product.facets, kept), told(predicted, kept)
            right, said, true = right + len(gold & found), said + len(found), true + len(gold)
        precision, recall = right / max(1, said), right / max(1, true)
        return 2 * precision * recall / (precision + recall) if right else 0.0

    scores = score([product for product, _ in corpus], [predicted for _, predicted in corpus])
    assert scores.pair_f1 == pytest.approx(f1(lambda _: True))
    names = {facet.attribute for product, _ in corpus for facet in product.facets}
    for name in names:
        assert scores.per_attribute[name].pair_f1 == pytest.approx(f1(lambda facet, name=name: facet.attribute == name))
    assert scores.macro_pair_f1 == pytest.approx(
        sum(scores.per_attribute[name].pair_f1 for name in names) / max(1, len(names))
    )
    assert scores.pairs_explicit + scores.pairs_implicit == sum(s.pairs for s in scores.per_category.values())
