"""How much of a value's name stands on the pack."""

from __future__ import annotations

import pytest

from facetmill.models.parts.candidates import Candidates
from facetmill.models.parts.pack_words import written
from facetmill.records import Attribute, AttributeSchema, OcrToken, Product

SCHEMA = AttributeSchema(
    (
        Attribute("Flavor", {"Teriyaki": 2, "Sea Salt": 1}),
        Attribute("Form", {"Gum": 1}),
    )
)


def share(*words: str) -> list[list[float]]:
    product = Product("1", "t", "Snack", ocr=tuple(OcrToken(word) for word in words))
    found: list[list[float]] = written([product], Candidates.of(SCHEMA, {}))[0].tolist()
    return found


def test_a_name_that_stands_there_counts_whole_and_a_misread_one_by_its_pieces() -> None:
    assert share("TERIYAKI", "beef") == [[0, 1, 0], [0, 0, 0]]
    assert share("TERIVAKI") == [[0, 5 / 8, 0], [0, 0, 0]]  # " te", "ter", "eri", "aki", "ki "
    assert share("salt", "of the", "sea") == [[0, 0, 1], [0, 0, 0]]


def test_a_word_in_a_longer_one_lacks_an_end() -> None:
    assert share("GUMMY")[1] == pytest.approx([0, 2 / 3, 0])


def test_nothing_is_written_where_nothing_was_read() -> None:
    assert share() == [[0, 0, 0], [0, 0, 0]]
    assert written([], Candidates.of(SCHEMA, {})).shape == (0, 2, 3)
