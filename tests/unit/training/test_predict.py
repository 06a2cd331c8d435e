"""What a model answers becomes what is scored and served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facetmill.errors import DataError
from facetmill.models.base import Answer
from facetmill.models.calibration import FILE, Calibration
from facetmill.models.dictionary import Dictionary, DictionaryBatch
from facetmill.records import AttributeSchema, Facet, Product, Span
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.predict import answer_all, calibrate
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


def test_what_is_not_sure_enough_is_not_said(chooser: Chooser) -> None:
    chooser.calibration = Calibration(1.0, {"Size": 0.5})
    assert facets(list(answer_all(chooser, [HAT], 1))) == [[("Color", "RED", (), 0.9)]]


def test_calibrating_starts_from_what_the_model_itself_says(chooser: Chooser) -> None:
    shoes = [Product(str(n), "s", "Red shoe", facets=(Facet("Color", "red"), Facet("Size", "S"))) for n in range(30)]
    calibrate(chooser, shoes, 8)
    once = chooser.calibration
    assert once.temperature < 1  # 0.9 is right each time and 0.4 never: it is surer than it says
    calibrate(chooser, shoes, 8)
    assert chooser.calibration == once
    chooser.calibration = Calibration(one_value=("Size",))
    calibrate(chooser, shoes, 8)
    assert chooser.calibration == replace(once, one_value=("Size",)), "what train has said is not forgotten"


def test_a_calibrated_model_is_saved_with_its_calibration(chooser: Chooser, tmp_path: Path) -> None:
    model = Dictionary.fit_vocabulary(small.DICTIONARY, AttributeSchema(()), [])
    save_model(model, tmp_path / "plain")
    model.calibration = Calibration(2.0, {"Color": 0.7}, ("Color",))
    save_model(model, tmp_path / "calibrated")
    assert load_model(tmp_path / "plain").calibration.changes_nothing
    assert load_model(tmp_path / "calibrated").calibration == model.calibration
    (tmp_path / "calibrated" / FILE).write_text('{"temperature": 1.0, "thresholds": {}}')
    with pytest.raises(DataError, match=r"calibration\.json: SHA-256"):
        load_model(tmp_path / "calibrated")
