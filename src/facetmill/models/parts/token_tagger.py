"""A model that gives each token one BIO tag of all attributes together, with a CRF above or without.

What stands between the encoder and the tags is the model's own (`states`). A long text is several windows, each tagged
on its own; a token's tag is that of the window in which it lies most central, and a window weighs as its share of the
product in the loss. A CRF forbids an I without its B, but for a window's first token, which may lie inside a value. A
product of a known category has only attributes that this category has in train (`category_attributes`).

Shapes: B windows, T tokens with specials and padding, H width of the states, A attributes, G = 2A + 1 tags.
Masks: 1 = real.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.phase import Losses
from facetmill.encoders.windows import TextBatch
from facetmill.files import read_json, write_json
from facetmill.models.base import Answer, Answers, Model, Reads
from facetmill.models.parts.crf import CRF
from facetmill.models.parts.tagging import OUTSIDE, begin, decode, inside, num_tags, tag_tokens
from facetmill.models.parts.text_input import TextInput
from facetmill.models.space import suggest_training
from facetmill.params import TokenTaggerConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_C = TypeVar("_C", bound=TokenTaggerConfig)


@dataclass(frozen=True)
class TaggerBatch:
    """`tags_BT` (int64) is O wherever there is no token. `possible_BG` (bool) is 0 on tags that the product's category
    cannot have. `weight_B` is the share of each window in its product (sums to products)."""

    products: tuple[Product, ...]
    text: TextBatch
    tags_BT: Tensor
    possible_BG: Tensor
    weight_B: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)

    def to(self, device: torch.device) -> Self:
        return replace(
            self,
            text=self.text.to(device),
            tags_BT=self.tags_BT.to(device),
            possible_BG=self.possible_BG.to(device),
            weight_B=self.weight_B.to(device),
        )


def suggest(trial: BaseTrial, config: _C, training: TrainingParams) -> tuple[_C, TrainingParams]:
    """Dropout, batch size and the learning rate of new weights."""
    config = replace(config, dropout=trial.suggest_float("dropout", 0.0, max(0.5, config.dropout)))
    return config, suggest_training(trial, config, training)[1]


def broken_moves(num_attributes: int) -> Tensor:
    """Which tag (column) can never follow which (row): an I follows B or I of its own attribute alone. bool [G,G]"""
    broken_GG = torch.zeros(num_tags(num_attributes), num_tags(num_attributes), dtype=torch.bool)
    for attribute in range(num_attributes):
        broken_GG[:, inside(attribute)] = True
        broken_GG[[begin(attribute), inside(attribute)], inside(attribute)] = False
    return broken_GG


class TokenTagger(Model):
    """`width` is that of what `states` gives. Without a CRF each tag is a softmax of its own."""

    answers: ClassVar[Answers] = "tags"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
    config: TokenTaggerConfig

    def __init__(
        self,
        config: TokenTaggerConfig,
        schema: AttributeSchema,
        text: TextInput,
        counts: Mapping[str, int],
        *,
        width: int,
        crf: bool,
    ) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        self.encoder = text.encoder
        self.dropout = nn.Dropout(config.dropout)
        self.emission = nn.Linear(width, num_tags(len(schema.names)))
        self.crf = CRF(num_tags(len(schema.names)), broken_moves(len(schema.names))) if crf else None
        self._text = text
        self._counts = dict(counts)
        self._numbers = {name: number for number, name in enumerate(schema.names)}

    @abstractmethod
    def states(self, text: TextBatch) -> Tensor:
        """What tags are told from. [B,T,H]"""

    @classmethod
    @abstractmethod
    def of(cls, config: Any, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]) -> Self:
        """The untrained model."""

    @classmethod
    def fit_vocabulary(cls, config: TokenTaggerConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        text = TextInput.fitted(config.encoder, products, category=config.category_input)
        numbers = {name: number for number, name in enumerate(schema.names)}
        return cls.of(config, schema, text, text.count(products, numbers))

    @classmethod
    def load_assets(cls, config: TokenTaggerConfig, schema: AttributeSchema, folder: Path) -> Self:
        text = TextInput.loaded(config.encoder, folder, category=config.category_input)
        return cls.of(config, schema, text, read_json(folder / "report.json"))

    def save_assets(self, folder: Path) -> None:
        self._text.save(folder)
        write_json(folder / "report.json", self._counts)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        self._text.prepare(products, features_dir, dtype)

    def collate(self, products: Sequence[Product]) -> TaggerBatch:
        text = self._text.batch(products)
        possible_PG = torch.stack([self._possible(product) for product in products])
        tags_BT = torch.full(text.ids_BT.shape, OUTSIDE, dtype=torch.int64)
        product_tags = [
            tag_tokens(reading.tokens, product.facets, self._numbers)[0]
            for reading, product in zip(text.readings, products, strict=True)
        ]
        for row, (number, cut) in enumerate(text.pieces):
            tags_BT[row, 1 : 1 + len(cut)] = torch.tensor(product_tags[number][cut.start : cut.stop], dtype=torch.int64)
        rows = [number for number, _ in text.pieces]
        possible_BG, num_windows = possible_PG[rows], Counter(rows)
        # What cannot be is not learned from: a probability of 0 would make the loss infinite.
        tags_BT = tags_BT.masked_fill(~possible_BG.gather(1, tags_BT), OUTSIDE)
        weight_B = torch.tensor([1 / num_windows[number] for number in rows])
        return TaggerBatch(tuple(products), text, tags_BT, possible_BG, weight_B)

    def _possible(self, product: Product) -> Tensor:
        """O, and B and I of each attribute of the category; of all attributes where train has no such category. [G]"""
        schema = self.schema
        possible = schema.of_category(product.category) if self.config.category_attributes else schema.attributes
        has = {attribute.name for attribute in possible}
        return torch.tensor([True, *(name in has for name in schema.names for _ in "BI")])

    def forward(self, batch: TaggerBatch) -> Tensor:
        """Tag logits, minus infinity on what cannot be, in float32 whatever the precision of the rest. [B,T,G]"""
        emission_BTG: Tensor = self.emission(self.dropout(self.states(batch.text)))
        return emission_BTG.float().masked_fill(~batch.possible_BG[:, None], -torch.inf)

    def loss(self, batch: TaggerBatch) -> Losses:
        emission_BTG, mask_BT = self(batch), batch.text.token_mask_BT
        if self.crf is not None:
            loss_B = self.crf.loss(emission_BTG, batch.tags_BT, mask_BT)
        else:
            loss_BT = F.cross_entropy(emission_BTG.transpose(1, 2), batch.tags_BT, reduction="none")
            loss_B = (loss_BT * mask_BT).sum(1)
        total = (loss_B * batch.weight_B).sum() / batch.num_products
        return Losses(total, {"tags": total.detach()})

    def predict(self, batch: TaggerBatch) -> list[list[Facet]]:
        return [list(answer.facets) for answer in self.answer(batch)]

    @torch.no_grad()
    def answer(self, batch: TaggerBatch) -> list[Answer]:
        emission_BTG, mask_BT = self(batch), batch.text.token_mask_BT
        if self.crf is not None:
            tags_BT = self.crf.decode(emission_BTG, mask_BT)
            probability_BTG = self.crf.marginals(emission_BTG, mask_BT)
        else:
            tags_BT, probability_BTG = emission_BTG.argmax(-1), emission_BTG.softmax(-1)
        confidence_BT = probability_BTG.gather(2, tags_BT[..., None])[..., 0]
        where = (batch.text.row_N, batch.text.column_N)
        tags, confidences = tags_BT[where].tolist(), confidence_BT[where].tolist()
        answers, start = [], 0
        for product, reading in zip(batch.products, batch.text.readings, strict=True):
            part = slice(start, start + len(reading.tokens))
            answers.append(Answer(decode(product, reading.tokens, tags[part], confidences[part], self.schema.names)))
            start = part.stop
        return answers

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        published = {id(p) for p in self.encoder.parameters()} if self.encoder.pretrained else set()
        groups: dict[str, list[nn.Parameter]] = {"text": [], "fresh": []}
        for parameter in self.parameters():
            if parameter.requires_grad:
                groups["text" if id(parameter) in published else "fresh"].append(parameter)
        return groups

    def report(self) -> Mapping[str, int]:
        return self._counts
