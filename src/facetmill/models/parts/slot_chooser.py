"""A model that reads a product's words and looks at its picture, and chooses each attribute's value among those of
train: what BUTD and the MAE-model have in common.

Shapes: P products, T words of the longest, S slots (attributes), V candidates of the slot that has the most, of which
the first is that there is none. Masks: 1 = real.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from facetmill.compute.batch import TensorBatch
from facetmill.encoders.box_features import boxes_padded
from facetmill.encoders.main_picture import PictureBatch, RegionSource
from facetmill.encoders.tokens import VocabularyTokenizer, load_tokenizer, save_tokenizer
from facetmill.encoders.vision import ImageEncoder
from facetmill.files import read_json, write_json
from facetmill.models.base import Answers, Model, Reads
from facetmill.models.parts.candidates import Candidates, labels, with_train_values
from facetmill.models.parts.labels import attributes_by_category
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.prompts import padded
from facetmill.models.parts.sight import Sight, build_regions, load_regions
from facetmill.params import SlotChooserConfig
from facetmill.records import AttributeSchema, Facet, Product


@dataclass(frozen=True)
class ChooserBatch(TensorBatch):
    """`object_box_PR4` are the boxes of stage `regions`, and `object_PR` says which there are. What is known is as in
    `candidates.py`."""

    products: tuple[Product, ...]
    word_PT: Tensor
    word_mask_PT: Tensor
    pictures: PictureBatch | None
    object_box_PR4: Tensor
    object_PR: Tensor
    true_PSV: Tensor
    known_PS: Tensor
    possible_PS: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)


class SlotChooser(Model):
    """A subclass says how likely each candidate is, and what it learns from."""

    answers: ClassVar[Answers] = "choices"
    reads: frozenset[Reads] = frozenset({"title", "text", "category", "images"})
    config: SlotChooserConfig

    def __init__(
        self,
        config: Any,
        schema: AttributeSchema,
        tokenizer: VocabularyTokenizer,
        image_encoder: RegionSource,
        counts: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        self.candidates = Candidates.of(schema, {})
        self.words = nn.Embedding(tokenizer.size, config.word_size, padding_idx=tokenizer.pad_id)
        self.image_encoder = image_encoder
        self.dropout = nn.Dropout(config.dropout)
        self._tokenizer = tokenizer
        self._sight = Sight(image_encoder, config.image_encoder.size)
        self._categories = attributes_by_category(schema) if config.category_attributes else {}
        self._counts = Counter(counts)
        self.build()

    @abstractmethod
    def build(self) -> None:
        """Make the layers of its own."""

    @abstractmethod
    def scores(self, batch: ChooserBatch) -> Tensor:
        """Of each candidate, minus infinity where a slot has fewer; float32. [P,S,V]"""

    @abstractmethod
    def confidence(self, score: Tensor) -> Tensor:
        """How sure a score is, 0..1."""

    @classmethod
    def fit_vocabulary(cls, config: Any, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        schema = with_train_values(schema, products, {})
        texts = [text for product in products for text in (product.title, product.text)]
        tokenizer = VocabularyTokenizer.fit("words", texts)
        model = cls(config, schema, tokenizer, build_regions(config.image_encoder), {})
        model._counts.update(model._sight.count(products))
        return model

    @classmethod
    def load_assets(cls, config: Any, schema: AttributeSchema, folder: Path) -> Self:
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        assert isinstance(tokenizer, VocabularyTokenizer)
        image_encoder = load_regions(config.image_encoder, folder)
        return cls(config, schema, tokenizer, image_encoder, read_json(folder / "report.json"))

    def save_assets(self, folder: Path) -> None:
        save_tokenizer(self._tokenizer, folder / "tokenizer.json")
        self._sight.save(folder)
        write_json(folder / "report.json", self._counts)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        self._sight.prepare(products, features_dir, dtype)

    def collate(self, products: Sequence[Product]) -> ChooserBatch:
        known = labels(products, self.candidates, self._categories, unsaid_is_none=True)
        encoded = self._tokenizer.encode([f"{product.title} {product.text}" for product in products])
        return ChooserBatch(
            tuple(products),
            *padded([pieces.ids for pieces in encoded], self._tokenizer.pad_id),
            self._sight.pictures(products, range(len(products))),
            *boxes_padded([product.regions for product in products]),
            known.true_PSV,
            known.known_PS,
            known.possible_PS,
        )

    @torch.no_grad()
    def predict(self, batch: ChooserBatch) -> list[list[Facet]]:
        """At most one facet a slot."""
        if not batch.num_products or not self.candidates.slots:
            return [[] for _ in batch.products]
        score_PS, number_PS = self.scores(batch).max(-1)
        return self.candidates.facets(number_PS, self.confidence(score_PS), batch.possible_PS)

    @torch.no_grad()
    def chances(self, product: Product) -> dict[str, dict[str, float]]:
        """Of the slots that a product of its category may have, by `confidence`."""
        batch = self.collate([product]).to(self.words.weight.device)
        return self.candidates.chances(self.confidence(self.scores(batch))[0], batch.possible_PS[0])

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, image=ImageEncoder)

    def report(self) -> Mapping[str, int]:
        return self._counts
