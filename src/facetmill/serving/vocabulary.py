"""What a model can answer at all: the attributes of its schema and, of a model that cannot write, their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from facetmill.encoders.folding import fold_value
from facetmill.errors import DataError, NoAnswer
from facetmill.files import read_json
from facetmill.models import MODELS, model_class
from facetmill.models.base import Answers
from facetmill.records import AttributeSchema, Facet


def letters(text: str) -> str:
    """A value as it is compared, spaces aside: dictionaries of once find "darkblue" where they know "dark blue"."""
    return fold_value(text).replace(" ", "")


@dataclass(frozen=True)
class Vocabulary:
    """`values` are the `letters` of every value of each attribute; `answers` says how the model comes to its own;
    `categories` are those that it was trained on."""

    values: Mapping[str, frozenset[str]]
    answers: Answers
    categories: frozenset[str] = frozenset()

    @classmethod
    def of_saved(cls, folder: Path) -> Self:
        """That of a saved model. Raises `NoAnswer` where its schema or its key is not as `save_model` writes them."""
        try:
            key = read_json(folder / "model.json")["key"]
            if key not in MODELS:
                raise DataError(f"key {key!r} is not a model")
            schema = AttributeSchema.from_json((folder / "schema.json").read_text(encoding="utf-8"))
            values = {each.name: frozenset(map(letters, each.values)) for each in schema.attributes}
            categories = frozenset(schema.by_category)
        except (AttributeError, DataError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
            raise NoAnswer(f"model.json or schema.json: not what a model is saved with: {error}") from error
        return cls(values, model_class(key).answers, categories)

    def require_attribute(self, name: str) -> None:
        """Raises `ValueError` for an attribute that is not of the schema."""
        if name not in self.values:
            raise ValueError(f"attribute {name!r} is not in the model's schema")

    def require(self, facet: Facet) -> None:
        """Raises `ValueError` for an attribute that is not of the schema, and for a value that the model cannot know:
        one that is not of the schema, unless it stands in the text or the model writes its values."""
        self.require_attribute(facet.attribute)
        is_free = self.answers == "text" or (self.answers == "tags" and facet.explicit)
        if not is_free and letters(facet.value) not in self.values[facet.attribute]:
            raise ValueError(f"{facet.attribute!r}: value {facet.value!r} is not in the model's schema")
