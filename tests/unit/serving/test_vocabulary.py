"""What a saved model can answer is read from its own files, which may hold anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.errors import NoAnswer
from facetmill.files import write_json
from facetmill.records import Attribute, AttributeSchema
from facetmill.serving.vocabulary import Vocabulary

SCHEMA = AttributeSchema((Attribute("Color", {"Dark Blue": 2, "red": 1}),)).to_json()


def saved(folder: Path, model: object, schema: str) -> Path:
    write_json(folder / "model.json", model)
    (folder / "schema.json").write_text(schema)
    return folder


def test_it_is_that_of_the_model_that_was_saved(tmp_path: Path) -> None:
    found = Vocabulary.of_saved(saved(tmp_path, {"key": "dictionary"}, SCHEMA))
    assert found == Vocabulary({"Color": frozenset({"darkblue", "red"})}, "tags")


@pytest.mark.parametrize(
    ("model", "schema", "message"),
    [
        ({"key": "oracle"}, SCHEMA, "'oracle' is not a model"),
        ({"key": ["dictionary"]}, SCHEMA, "unhashable"),
        ([], SCHEMA, "list indices"),
        ({"key": "dictionary"}, "[" * 100_000, "recursion"),
        ({"key": "dictionary"}, "{}", "schema_version"),
        ({"key": "dictionary"}, SCHEMA.replace('"red"', "red"), "Expecting"),
        ({"key": "dictionary"}, SCHEMA.replace('version": 1', 'version": 99'), "schema version 99"),
    ],
)
def test_anything_else_is_no_answer(tmp_path: Path, model: object, schema: str, message: str) -> None:
    with pytest.raises(NoAnswer, match=message):
        Vocabulary.of_saved(saved(tmp_path, model, schema))
