"""DEFLATE's strict and fuzzy F1: the examples of its evaluator, and both written the obvious way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.metrics.score import score
from facetmill.metrics.tally import Tally
from facetmill.metrics.written_values import FuzzyTally, is_like, longest_common, tally_fuzzily, tally_values
from facetmill.records import Facet, Product
from tests.drawn_facets import corpora

SNACK = Product("p", "test", "t", facets=(Facet("Taste", "fruits"), Facet("Taste", "sweet"), Facet("Origin", "Chile")))


def test_a_value_is_right_only_under_its_attribute() -> None:
    said = [Facet("Taste", "Sweet"), Facet("Origin", "sweet"), Facet("Pack", "Chile")]
    assert tally_values(SNACK, said) == Tally(1, 3, 3)
    assert tally_values(SNACK, [Facet("Taste", "sw eet"), Facet("Taste", "sweet")]) == Tally(1, 1, 3)  # one value


def test_precision_and_recall_of_fuzzy_values_have_their_own_numerators() -> None:
    """ "fruit" and "fruity" are both like "fruits", so both are right, and find one gold value of three."""
    said = [Facet("Taste", "fruit"), Facet("Taste", "fruity"), Facet("Pack", "Chile")]
    tally = tally_fuzzily(SNACK, said)
    assert tally == FuzzyTally(right_predicted=2, right_gold=1, predicted=3, gold=3)
    assert (tally.precision, tally.recall) == (2 / 3, 1 / 3)
    assert tally.f1 == pytest.approx(4 / 9)
    assert FuzzyTally().f1 == 0.0


@pytest.mark.parametrize(
    ("label", "value", "like"),
    [
        ("fruits", "fruit", True),
        ("fruit", "fruits", True),
        ("bcd", "ab", False),
        ("ab", "bcd", False),  # "b" is half of "ab", and half is not enough
        ("abc", "xbcx", True),
        ("", "a", False),
    ],
)
def test_like(label: str, value: str, like: bool) -> None:
    assert is_like(label, value) is like


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_longest_common_substring(left: str, right: str) -> None:
    parts = {left[i:j] for i in range(len(left)) for j in range(i + 1, len(left) + 1)}
    assert longest_common(left, right) == max((len(part) for part in parts if part in right), default=0)


@given(corpora)
def test_the_definitions(corpus: list[tuple[Product, list[Facet]]]) -> None:
    right = said = true = like_said = like_true = 0
    for product, predicted in corpus:
        gold = {(f.attribute, "".join(f.value.lower().split())) for f in product.facets}
        found = {(f.attribute, "".join(f.value.lower().split())) for f in predicted}
        right, said, true = right + len(gold & found), said + len(found), true + len(gold)
        like_said += sum(any(a == b and is_like(y, x) for b, y in gold) for a, x in found)
        like_true += sum(any(a == b and is_like(y, x) for a, x in found) for b, y in gold)
    strict = sum((tally_values(product, predicted) for product, predicted in corpus), Tally())
    fuzzy = sum((tally_fuzzily(product, predicted) for product, predicted in corpus), FuzzyTally())
    assert strict == Tally(right, said, true)
    assert fuzzy == FuzzyTally(like_said, like_true, said, true)
    assert fuzzy.f1 >= strict.f1 - 1e-12  # what is equal is alike


def test_strict_values_are_pairs_where_no_value_has_spaces() -> None:
    gold = [Product("p", "test", "t", facets=(Facet("Taste", "sweet"), Facet("Origin", "Chile")))]
    said = [[Facet("Taste", "Sweet"), Facet("Origin", "Peru")]]
    assert tally_values(gold[0], said[0]).f1 == score(gold, said).pair_f1
