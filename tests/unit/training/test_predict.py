"""What a model answers becomes what is scored and served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from facetmill.models.base import Answer
from facetmill.models.dictionary import Dictionary, DictionaryBatch
from facetmill.records import AttributeSchema, Facet, Product, Span
from facetmill.training.predict import answer_all
from tests import small

SHOE, HAT = Product("1", "s", "Red shoe", "a red one"), Product("2", "s", "Hat")


class Chooser(Dictionary):
    """Says the same of every product, and where none of it stands."""

    def answer(self, batch: DictionaryBatch) -> list[Answer]:
        said = [Facet("Color", "RED", provenance="predicted", confidence=0.9), Facet("Size", "XL", confidence=0.4)]
        return [Answer(said, {"Color": 0.9}) for _ in batch.products]


@pytest.fixture
def chooser() -> Chooser:
    return Chooser.fit_vocabulary(small.DICTIONARY, AttributeSchema(()), [])


def facets(answers: Sequence[Answer]) -> list[list[tuple[Any, ...]]]:
    return [[(f.attribute, f.value, f.spans, f.confidence) for f in answer.facets] for answer in answers]


def test_a_value_without_a_place_gets_every_one_it_has(chooser: Chooser) -> None:
    answers = list(answer_all(chooser, [SHOE, HAT], 1))
    places = (Span("title", 0, 3), Span("text", 2, 5))
    assert facets(answers) == [
        [("Color", "RED", places, 0.9), ("Size", "XL", (), 0.4)],
        [("Color", "RED", (), 0.9), ("Size", "XL", (), 0.4)],
    ]
    assert [answer.attributes for answer in answers] == [{"Color": 0.9}] * 2
