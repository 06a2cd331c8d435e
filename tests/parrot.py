"""A model that learns nothing and answers with what it has read of a product: words, boxes, and how many pictures.

It stands in for `dictionary`, whose settings it takes. `model_file` is the file of a package that knows it, wherever
that is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from facetmill.models.base import Answers, Losses, Model, Reads
from facetmill.records import AttributeSchema, Facet, Product
from facetmill.serving.package import MODEL_FILE

KEY, PLACE = "dictionary", "tests.parrot:Parrot"


@dataclass(frozen=True)
class Products:
    products: tuple[Product, ...]

    @property
    def num_products(self) -> int:
        return len(self.products)

    def to(self, device: torch.device) -> Self:
        return self


class Parrot(Model):
    key: ClassVar[str] = KEY
    answers: ClassVar[Answers] = "choices"
    reads: frozenset[Reads] = frozenset({"title", "images", "ocr", "regions"})

    def __init__(self, config: Any, schema: AttributeSchema) -> None:
        super().__init__()
        self.config, self.schema = config, schema

    @classmethod
    def fit_vocabulary(cls, config: Any, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        return cls(config, schema)

    def collate(self, products: Sequence[Product]) -> Products:
        return Products(tuple(products))

    def loss(self, batch: Products) -> Losses:
        return Losses(torch.zeros(()), {})

    def predict(self, batch: Products) -> list[list[Facet]]:
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
    return [Facet(name, value, provenance="predicted", confidence=1.0) for name, value in read.items() if value]


def model_file(folder: Path) -> Path:
    """The served model's file, with the parrot in the list of models: a process that loads it knows no test."""
    code = MODEL_FILE.read_text(encoding="utf-8")
    before = "class FacetModel("
    assert before in code
    path = folder / MODEL_FILE.name
    known = f'import facetmill.models\n\nfacetmill.models.MODELS["{KEY}"] = "{PLACE}"\n\n\n'
    path.write_text(code.replace(before, known + before), encoding="utf-8")
    return path
