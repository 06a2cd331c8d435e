"""A model that learns nothing and answers with what it has read of a product: its title, words, boxes, and how many
pictures.

It stands in for `dictionary`, whose settings and batches it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from facetmill.models.base import Answers, Losses, Model, Reads
from facetmill.models.dictionary import DictionaryBatch
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span

KEY, PLACE = "dictionary", "tests.parrot:Parrot"
SCHEMA = AttributeSchema(tuple(Attribute(name, {}) for name in ("Words", "Places", "Regions", "Pictures", "Title")))


class Parrot(Model):
    key: ClassVar[str] = KEY
    answers: ClassVar[Answers] = "text"
    reads: frozenset[Reads] = frozenset({"title", "images", "ocr", "regions"})

    def __init__(self, config: Any, schema: AttributeSchema) -> None:
        super().__init__()
        self.config, self.schema = config, schema

    @classmethod
    def fit_vocabulary(cls, config: Any, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        return cls(config, SCHEMA)

    def collate(self, products: Sequence[Product]) -> DictionaryBatch:
        return DictionaryBatch(tuple(products))

    def loss(self, batch: DictionaryBatch) -> Losses:
        return Losses(torch.zeros(()), {})

    def predict(self, batch: DictionaryBatch) -> list[list[Facet]]:
        return [said(product) for product in batch.products]

    def save_assets(self, folder: Path) -> None:
        pass

    @classmethod
    def load_assets(cls, config: Any, schema: AttributeSchema, folder: Path) -> Self:
        return cls(config, schema)


def said(product: Product) -> list[Facet]:
    """Every digit of what was read, so that nothing read in another way is the same."""
    read = {
        "Words": " ".join(word.text for word in product.ocr),
        "Places": " ".join(repr(word.box) for word in product.ocr),
        "Regions": " ".join(map(repr, product.regions)),
        "Pictures": str(len(product.images)),
    }
    found = [Facet(name, value, provenance="predicted", confidence=1.0) for name, value in read.items() if value]
    if product.title:
        whole = (Span("title", 0, len(product.title)),)
        found.append(Facet("Title", product.title, whole, modality="text", provenance="predicted", confidence=1.0))
    return found
