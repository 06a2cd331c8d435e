"""PAM's precision, recall and F1: a slot whose value may be unknown, by its cases and by its formula."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from facetmill.metrics.tally import Tally
from facetmill.metrics.unknown import tally_answer, words
from facetmill.records import Facet, Product
from tests.drawn_facets import ATTRIBUTES, corpora

SPRAY = Product("p", "test", "t", facets=(Facet("Item Form", "Aerosol Spray"),))
NOTHING = Product("p", "test", "t", absent=("Item Form",))
BOTH = Product("p", "test", "t", facets=(Facet("Item Form", "spray"), Facet("Item Form", "mist")))


@pytest.mark.parametrize(
    ("product", "answer", "expected", "with_unknown"),
    [
        (SPRAY, "aerosol  SPRAY.", Tally(1, 1, 1), 1),
        (SPRAY, "aerosol-spray", Tally(1, 1, 1), 1),  # punctuation parts words
        (SPRAY, "spray", Tally(0, 1, 1), 0),
        (SPRAY, "spray aerosol", Tally(0, 1, 1), 0),  # the order counts
        (SPRAY, "Unknown", Tally(0, 0, 1), 0),
        (SPRAY, None, Tally(0, 0, 1), 0),
        (NOTHING, "cream", Tally(0, 1, 0), 0),
        (NOTHING, "unknown", Tally(0, 0, 0), 1),
        (NOTHING, None, Tally(0, 0, 0), 1),
        (BOTH, "mist", Tally(1, 1, 1), 1),
    ],
)
def test_cases(product: Product, answer: str | None, expected: Tally, with_unknown: int) -> None:
    predicted = [Facet("Brand", "Acme"), *([] if answer is None else [Facet("Item Form", answer)])]
    assert tally_answer(product, predicted, "Item Form") == expected
    assert tally_answer(product, predicted, "Item Form", count_unknown=True) == Tally(with_unknown, 1, 1)


def test_the_surest_answer_counts() -> None:
    said = [Facet("Item Form", "mist", confidence=0.4), Facet("Item Form", "aerosol spray", confidence=0.6)]
    assert tally_answer(SPRAY, said, "Item Form").correct == 1
    assert tally_answer(SPRAY, said[::-1], "Item Form").correct == 1


def test_nothing_answered_and_nothing_known_score_zero() -> None:
    silent = sum((tally_answer(SPRAY, [], "Item Form") for _ in range(3)), Tally())
    assert (silent.precision, silent.recall, silent.f1) == (0.0, 0.0, 0.0)
    unknowable = sum((tally_answer(NOTHING, [Facet("Item Form", "mist")], "Item Form") for _ in range(3)), Tally())
    assert (unknowable.precision, unknowable.recall, unknowable.f1) == (0.0, 0.0, 0.0)


def test_marks_of_other_scripts_are_no_punctuation() -> None:
    assert words("क्रीम, लाल") == ("क्रीम", "लाल")


@given(corpora)
def test_the_formula(corpus: list[tuple[Product, list[Facet]]]) -> None:
    for attribute in ATTRIBUTES:
        answered = has = match = equal = 0
        for product, predicted in corpus:
            said = [f for f in predicted if f.attribute == attribute]
            best = next((f for c in (0.9, 0.5, 0.2, None) for f in said if f.confidence == c), None)
            answer = re.sub(r"\s+", " ", best.value.lower()) if best else "unknown"
            gold = {re.sub(r"\s+", " ", f.value.lower()) for f in product.facets if f.attribute == attribute}
            answered += answer != "unknown"
            has += bool(gold - {"unknown"})
            match += answer != "unknown" and answer in gold
            equal += answer in (gold or {"unknown"})
        tally = sum((tally_answer(product, predicted, attribute) for product, predicted in corpus), Tally())
        assert (tally.correct, tally.predicted, tally.gold) == (match, answered, has)
        every = sum((tally_answer(p, said, attribute, count_unknown=True) for p, said in corpus), Tally())
        assert every.precision == every.recall == every.f1 == (equal / len(corpus) if corpus else 0)
