"""A model that is asked for one attribute at a time, by its name.

It has no weights of any attribute: one that train never had is asked for like all others (`AskedModel.ask`). A product
is asked for the attributes that its category has in train, or for all (`category_attributes`). A long text is several
windows, each asked on its own.

What is learned of a window are all attributes whose values it holds, and `negatives` of those that it lacks, drawn
anew in each epoch. Of more than `max_pairs` in a batch, first those that are lacking are left out.

Shapes: B windows, T tokens with specials and padding, A attributes, M pairs of a window and an attribute. The tags of a
pair are O, B and I. Masks: 1 = real.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import Losses, Phase
from facetmill.encoders.text import GivenTextEncoder, TextEncoder
from facetmill.encoders.windows import TextBatch
from facetmill.errors import ParamsError
from facetmill.files import read_json, write_json
from facetmill.models.base import Answer, Answers, Model, Reads
from facetmill.models.parts.labels import attributes_by_category, possible_attributes
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.pairs import Pairs, own_tags
from facetmill.models.parts.tagging import OUTSIDE
from facetmill.models.parts.text_input import TextInput
from facetmill.params import AskedConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product


@dataclass(frozen=True)
class AskedBatch(TensorBatch):
    """`tags_MT` (int64) has the tags of each pair's own attribute, O wherever there is no token. `weight_M` is the
    share of each pair's window in its product."""

    products: tuple[Product, ...]
    text: TextBatch
    pairs: Pairs
    tags_MT: Tensor
    weight_M: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)


class AskedModel(Model):
    """A subclass says what a pair costs (`pair_losses`) and what is found (`found`)."""

    answers: ClassVar[Answers] = "tags"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
    config: AskedConfig

    def __init__(
        self, config: AskedConfig, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = text.encoder
        self.dropout = nn.Dropout(config.dropout)
        self._text = text
        self._counts = dict(counts)
        self.ask(schema)

    @abstractmethod
    def pair_losses(self, batch: AskedBatch) -> Mapping[str, Tensor]:
        """By name, each [M]."""

    @abstractmethod
    def found(self, batch: AskedBatch) -> list[list[Facet]]:
        """One list of facets per product; no more than `max_pairs` pairs are computed at once."""

    @classmethod
    def room(cls, config: AskedConfig) -> int:
        """Tokens of a window that are not of the text."""
        return 0

    def ask(self, schema: AttributeSchema) -> None:
        """From now on products are asked for the attributes of this schema, whether train had them or not."""
        self.schema = schema
        self._numbers = {name: number for number, name in enumerate(schema.names)}
        self._categories = attributes_by_category(schema) if self.config.category_attributes else {}

    @classmethod
    def fit_vocabulary(cls, config: AskedConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        text = TextInput.fitted(
            config.encoder, products, category=config.category_input, room=cls.room(config), names=schema.names
        )
        if isinstance(text.encoder, GivenTextEncoder) and text.encoder.tokens is None:
            raise ParamsError(f"models.{cls.key}: encoder: names of attributes are read, of which it has no vectors")
        model = cls(config, schema, text, text.count(products, {}))
        model._counts.update(model._lost(products))
        return model

    def _lost(self, train: Sequence[Product]) -> Counter[str]:
        """What spans lose as tags."""
        counts: Counter[str] = Counter()
        for reading, product in zip(self._text.read(train), train, strict=True):
            counts.update(own_tags(reading, product, self._numbers)[1])
        return counts

    @classmethod
    def load_assets(cls, config: AskedConfig, schema: AttributeSchema, folder: Path) -> Self:
        text = TextInput.loaded(config.encoder, folder, category=config.category_input, room=cls.room(config))
        return cls(config, schema, text, read_json(folder / "report.json"))

    def save_assets(self, folder: Path) -> None:
        self._text.save(folder)
        write_json(folder / "report.json", self._counts)

    def collate(self, products: Sequence[Product]) -> AskedBatch:
        """Everything is asked."""
        text = self._text.batch(products)
        possible_BA = possible_attributes(products, text, self._categories, len(self._numbers))
        row_M, attribute_M = possible_BA.nonzero(as_tuple=True)
        return self._batch(products, text, Pairs(row_M, attribute_M), self._tags(products, text))

    def collate_to_learn(self, products: Sequence[Product]) -> AskedBatch:
        """What a window has is asked, and some of what it lacks, drawn by torch's generator."""
        text = self._text.batch(products)
        possible_BA = possible_attributes(products, text, self._categories, len(self._numbers))
        tags = self._tags(products, text)
        has_BA = torch.zeros_like(possible_BA)
        if tags:
            has_BA[tuple(torch.tensor([*tags]).T)] = True
        order_BA = torch.rand(possible_BA.shape)
        lacks_BA = possible_BA & ~has_BA
        if self.config.negatives is not None:
            rank_BA = order_BA.masked_fill(~lacks_BA, -1).argsort(1, descending=True).argsort(1)
            lacks_BA &= rank_BA < self.config.negatives
        chosen_BA = possible_BA & has_BA | lacks_BA
        pairs = Pairs.selected(order_BA + has_BA, chosen_BA, self.config.max_pairs)
        return self._batch(products, text, pairs, tags)

    def _tags(self, products: Sequence[Product], text: TextBatch) -> dict[tuple[int, int], list[int]]:
        """The tags of each window for each attribute whose value it holds, by the numbers of both."""
        of_products = [
            own_tags(reading, product, self._numbers)[0]
            for reading, product in zip(text.readings, products, strict=True)
        ]
        found = {}
        for row, (number, cut) in enumerate(text.pieces):
            for attribute, tags in of_products[number].items():
                here = tags[cut.start : cut.stop]
                if any(here):
                    found[row, attribute] = here
        return found

    def _batch(
        self,
        products: Sequence[Product],
        text: TextBatch,
        pairs: Pairs,
        tags: Mapping[tuple[int, int], Sequence[int]],
    ) -> AskedBatch:
        tags_MT = torch.full((len(pairs), text.ids_BT.shape[1]), OUTSIDE, dtype=torch.int64)
        asked = zip(pairs.row_M.tolist(), pairs.attribute_M.tolist(), strict=True)
        for place, pair in enumerate(asked):
            if pair in tags:
                tags_MT[place, 1 : 1 + len(tags[pair])] = torch.tensor(tags[pair])
        num_windows = Counter(text.products_of_rows)
        weight_B = torch.tensor([1 / num_windows[number] for number in text.products_of_rows])
        return AskedBatch(tuple(products), text, pairs, tags_MT, weight_B[pairs.row_M])

    def loss(self, batch: AskedBatch) -> Losses:
        """Summed over what a product is asked."""
        parts = {
            name: (loss_M * batch.weight_M).sum() / batch.num_products
            for name, loss_M in self.pair_losses(batch).items()
        }
        total = torch.stack([*parts.values()]).sum()
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    def phases(self, training: TrainingParams) -> Sequence[Phase]:
        return [replace(phase, collate=self.collate_to_learn) for phase in super().phases(training)]

    @torch.no_grad()
    def predict(self, batch: AskedBatch) -> list[list[Facet]]:
        return self.found(batch)

    def answer(self, batch: AskedBatch) -> list[Answer]:
        return [Answer(facets) for facets in self.predict(batch)]

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, text=TextEncoder)

    def report(self) -> Mapping[str, int]:
        return self._counts
