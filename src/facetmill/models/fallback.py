"""What a tagger finds nothing of is looked up: the dictionary beside a trained model, saved with it.

A network is precise, and silent about many a value that it has seen only once; the dictionary knows each. So where a
model that tags says nothing of an attribute, the dictionary's value is told, if it is reliable enough; the model's own
word goes first. The facet's confidence is that reliability.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from facetmill.models.dictionary import Dictionary
from facetmill.params import DictionaryConfig
from facetmill.records import AttributeSchema, Facet, Product

FOLDER = "fallback"  # of a saved model


class Fallback:
    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary

    @classmethod
    def of(cls, schema: AttributeSchema, train: Iterable[Product], min_reliability: float) -> Self:
        """What train says; values below `min_reliability` (0..1, as in `dictionary.py`) are not known."""
        return cls(Dictionary.fit_vocabulary(_config(min_reliability), schema, train))

    def filled(self, products: Sequence[Product], told: Sequence[Sequence[Facet]]) -> list[list[Facet]]:
        """What was told of each product, and what the dictionary tells of the attributes that are not in it."""
        known = self._dictionary.predict(self._dictionary.collate(products))
        return [
            [*facets, *(facet for facet in looked_up if facet.attribute not in {said.attribute for said in facets})]
            for facets, looked_up in zip(told, known, strict=True)
        ]

    def save(self, folder: Path) -> None:
        (folder / FOLDER).mkdir()
        self._dictionary.save_assets(folder / FOLDER)

    @classmethod
    def load(cls, folder: Path, schema: AttributeSchema) -> Self | None:
        """None for a model that was saved without one."""
        if not (folder / FOLDER).is_dir():
            return None
        return cls(Dictionary.load_assets(_config(0.0), schema, folder / FOLDER))


def _config(min_reliability: float) -> DictionaryConfig:
    return DictionaryConfig(
        min_reliability=min_reliability,
        match="longest",
        negatives="known",
        places="shared",
        values="one",
        ocr=False,
        distractors=[],
    )
