"""The smallest models of each kind that can learn: they choose, write, or learn in two phases. They prove the contract
before the papers' models come.

Each reads a title as a bag of words and stands in for `jave`, whose settings it takes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import Losses, Phase
from facetmill.models.base import Answers, Model, Reads, optimizer_of
from facetmill.params import TrainingParams
from facetmill.records import AttributeSchema, Facet, Product

KEY = "jave"
WIDTH, WORDS = 16, 512
LETTERS = "\0abcdefghijklmnopqrstuvwxyz "
LONGEST = 8


@dataclass(frozen=True)
class ToyBatch(TensorBatch):
    """Word numbers [N] of all products with where each begins [P], and the number of each attribute's value [P,A]; -1
    where it has none."""

    words_N: Tensor
    starts_P: Tensor
    value_PA: Tensor

    @property
    def num_products(self) -> int:
        return len(self.starts_P)


class Chooser(Model):
    """One softmax an attribute over the values of train."""

    key: ClassVar[str] = KEY
    answers: ClassVar[Answers] = "choices"
    reads = frozenset[Reads]({"title"})

    def __init__(self, config: Any, schema: AttributeSchema) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        self.values = [sorted(attribute.values) for attribute in schema.attributes]
        self.words = nn.EmbeddingBag(WORDS, WIDTH)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, self.head_width(values)) for values in self.values)

    def head_width(self, values: Sequence[str]) -> int:
        return len(values)

    @classmethod
    def fit_vocabulary(cls, config: Any, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        return cls(config, schema)

    def collate(self, products: Sequence[Product]) -> ToyBatch:
        bags = [[zlib.crc32(word.encode()) % WORDS for word in product.title.split()] or [0] for product in products]
        starts = torch.tensor([0, *map(len, bags[:-1])]).cumsum(0)
        value_PA = torch.full((len(products), len(self.values)), -1)
        for row, product in enumerate(products):
            for facet in product.facets:
                values = self.values[self.schema.names.index(facet.attribute)]
                value_PA[row, self.schema.names.index(facet.attribute)] = values.index(facet.value)
        return ToyBatch(torch.tensor([word for bag in bags for word in bag]), starts, value_PA)

    def loss(self, batch: ToyBatch) -> Losses:
        logits = self.logits(batch)
        losses = [F.cross_entropy(*pair, ignore_index=-1) for pair in zip(logits, batch.value_PA.T, strict=True)]
        return Losses(torch.stack(losses).sum(), {})

    def logits(self, batch: ToyBatch) -> list[Tensor]:
        state_PW = self.words(batch.words_N, batch.starts_P)
        return [head(state_PW) for head in self.heads]

    def predict(self, batch: ToyBatch) -> list[list[Facet]]:
        answers: list[list[Facet]] = [[] for _ in range(batch.num_products)]
        for name, values, logit_PV in zip(self.schema.names, self.values, self.logits(batch), strict=True):
            sure, best = (found.tolist() for found in logit_PV.softmax(-1).max(-1))
            for row, number in enumerate(best):
                answers[row].append(Facet(name, values[number], provenance="predicted", confidence=sure[row]))
        return answers

    def save_assets(self, folder: Path) -> None:
        pass

    @classmethod
    def load_assets(cls, config: Any, schema: AttributeSchema, folder: Path) -> Self:
        return cls(config, schema)


class Writer(Chooser):
    """Writes a value letter by letter, all letters at once."""

    answers: ClassVar[Answers] = "text"

    def head_width(self, values: Sequence[str]) -> int:
        return LONGEST * len(LETTERS)

    def loss(self, batch: ToyBatch) -> Losses:
        losses = []
        for values, logits, value_P in zip(self.values, self.logits(batch), batch.value_PA.T, strict=True):
            spelled_VL = torch.tensor([[LETTERS.index(letter) for letter in v.ljust(LONGEST, "\0")] for v in values])
            known = value_P >= 0
            logit_PLC = logits[known].view(-1, LONGEST, len(LETTERS))
            losses.append(F.cross_entropy(logit_PLC.flatten(0, 1), spelled_VL[value_P[known]].flatten()))
        return Losses(torch.stack(losses).sum(), {})

    def predict(self, batch: ToyBatch) -> list[list[Facet]]:
        answers: list[list[Facet]] = [[] for _ in range(batch.num_products)]
        for name, logits in zip(self.schema.names, self.logits(batch), strict=True):
            sure_PL, letter_PL = logits.view(-1, LONGEST, len(LETTERS)).softmax(-1).max(-1)
            for row, (sure, letters) in enumerate(zip(sure_PL, letter_PL.tolist(), strict=True)):
                value = "".join(LETTERS[letter] for letter in letters).rstrip("\0")
                if value:
                    confidence = sure.prod().item()
                    answers[row].append(Facet(name, value, provenance="predicted", confidence=confidence))
        return answers


class TwoPhases(Chooser):
    """First learns words, then, from what its first phase has made of them, which attributes and values there are."""

    def __init__(self, config: Any, schema: AttributeSchema) -> None:
        super().__init__(config, schema)
        self.register_buffer("centre_W", torch.zeros(WIDTH))

    def phases(self, training: TrainingParams) -> Sequence[Phase]:
        def phase(name: str, parameters: Iterable[nn.Parameter], **options: Any) -> Phase:
            optimizer = optimizer_of({"fresh": list(parameters)}, training)
            return Phase(
                name=name,
                epochs=training.epochs,
                optimizers=[optimizer],
                collate=self.collate,
                loss=self.loss,
                **options,
            )

        return [
            phase("words", self.parameters(), keep="last"),
            phase("values", self.heads.parameters(), begin=self.centred),
        ]

    def centred(self, train: Sequence[Product]) -> Sequence[Product]:
        """The second phase reads words as they differ from the mean title, which the first phase had to learn."""
        batch = self.collate(train)
        with torch.no_grad():
            self.centre_W.copy_(self.words(batch.words_N, batch.starts_P).mean(0))
        return train

    def logits(self, batch: ToyBatch) -> list[Tensor]:
        state_PW = self.words(batch.words_N, batch.starts_P) - self.centre_W
        return [head(state_PW) for head in self.heads]
