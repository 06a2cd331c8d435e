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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.phase import Losses
from facetmill.encoders.text import TextEncoder, is_pretrained
from facetmill.encoders.windows import TextBatch
from facetmill.files import read_json, write_json
from facetmill.models.base import Answer, Answers, Model, Reads
from facetmill.models.parts.crf import CRF
from facetmill.models.parts.labels import TaggedBatch, attributes_by_category, facets_told, labelled
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.tagging import begin, inside, num_tags
from facetmill.models.parts.text_input import TextInput
from facetmill.models.space import suggest_rate, suggest_training
from facetmill.params import TokenTaggerConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_C = TypeVar("_C", bound=TokenTaggerConfig)


def suggest(trial: BaseTrial, config: _C, training: TrainingParams) -> tuple[_C, TrainingParams]:
    """Dropout, batch size and the learning rate of new weights; the encoder's as well, where a published one learns."""
    config = replace(config, dropout=trial.suggest_float("dropout", 0.0, max(0.5, config.dropout)))
    _, training = suggest_training(trial, config, training)
    if is_pretrained(config.encoder) and not config.encoder.freeze:
        rate = suggest_rate(trial, "encoder_learning_rate", training.encoder_learning_rate)
        training = replace(training, encoder_learning_rate=rate)
    return config, training


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
        self._categories = attributes_by_category(schema) if config.category_attributes else {}

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

    def collate(self, products: Sequence[Product]) -> TaggedBatch:
        batch = labelled(products, self._text, None, self._numbers, self._categories)
        return batch.of_possible()  # a probability of 0 would make the loss infinite

    def forward(self, batch: TaggedBatch) -> Tensor:
        """Tag logits. [B,T,G]"""
        return self.emissions(self.states(batch.text), batch)

    def emissions(self, states_BTH: Tensor, batch: TaggedBatch) -> Tensor:
        """Tag logits, minus infinity on what cannot be, in float32 whatever the precision of the rest. [B,T,G]"""
        emission_BTG: Tensor = self.emission(self.dropout(states_BTH))
        return emission_BTG.float().masked_fill(~batch.possible_BG[:, None], -torch.inf)

    def loss(self, batch: TaggedBatch) -> Losses:
        total = (self.tag_losses(self(batch), batch) * batch.weight_B).sum() / batch.num_products
        return Losses(total, {"tags": total.detach()})

    def tag_losses(self, emission_BTG: Tensor, batch: TaggedBatch) -> Tensor:
        """-log p of the true tags of each window. [B]"""
        mask_BT = batch.text.token_mask_BT
        if self.crf is not None:
            return self.crf.loss(emission_BTG, batch.tags_BT, mask_BT)
        loss_BT = F.cross_entropy(emission_BTG.transpose(1, 2), batch.tags_BT, reduction="none")
        return (loss_BT * mask_BT).sum(1)

    def predict(self, batch: TaggedBatch) -> list[list[Facet]]:
        return [list(answer.facets) for answer in self.answer(batch)]

    @torch.no_grad()
    def answer(self, batch: TaggedBatch) -> list[Answer]:
        return [Answer(facets) for facets in self.tagged(self(batch), batch)]

    def tagged(self, emission_BTG: Tensor, batch: TaggedBatch) -> list[list[Facet]]:
        """The facets of each product by its best tags, each as sure as its probability."""
        mask_BT = batch.text.token_mask_BT
        if self.crf is not None:
            tags_BT = self.crf.decode(emission_BTG, mask_BT)
            probability_BTG = self.crf.marginals(emission_BTG, mask_BT)
        else:
            tags_BT, probability_BTG = emission_BTG.argmax(-1), emission_BTG.softmax(-1)
        confidence_BT = probability_BTG.gather(2, tags_BT[..., None])[..., 0]
        return facets_told(batch, tags_BT, confidence_BT, self.schema.names)

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, text=TextEncoder)

    def report(self) -> Mapping[str, int]:
        return self._counts
