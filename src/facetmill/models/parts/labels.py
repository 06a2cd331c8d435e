"""Products as windows of text with their true tags and attributes, and what a model says of windows as answers about
products, for every model that tags text.

Shapes: B windows, T tokens with specials and padding, A attributes, G = 2A + 1 tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from facetmill.compute.batch import TensorBatch
from facetmill.encoders.windows import TextBatch
from facetmill.models.parts.tagging import OUTSIDE, begin, decode, tag_tokens
from facetmill.models.parts.text_input import TextInput
from facetmill.records import AttributeSchema, Facet, Product

if TYPE_CHECKING:  # text alone does not depend on how pictures are read
    from facetmill.encoders.main_picture import PictureBatch
    from facetmill.models.parts.sight import Sight


@dataclass(frozen=True)
class TaggedBatch(TensorBatch):
    """`tags_BT` (int64) is O wherever there is no token. `attributes_BA` (0/1) marks the attributes of a window;
    `agree_BA` (0/1) is 0 on those whose value the text does not hold, `possible_BA` (bool) on those that the product's
    category does not have. `weight_B` is the share of each window in its product (sums to products). `pictures` is None
    where no product has one, and always for a model that sees none."""

    products: tuple[Product, ...]
    text: TextBatch
    pictures: PictureBatch | None
    tags_BT: Tensor
    attributes_BA: Tensor
    agree_BA: Tensor
    possible_BA: Tensor
    weight_B: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)

    @property
    def possible_BG(self) -> Tensor:
        """O, and B and I of each possible attribute, bool."""
        outside_B1 = self.possible_BA.new_ones(len(self.possible_BA), 1)
        return torch.cat([outside_B1, self.possible_BA.repeat_interleave(2, dim=1)], dim=1)

    def of_possible(self) -> Self:
        """The same with labels of possible attributes alone: what cannot be is not to be learned."""
        tags_BT = self.tags_BT.masked_fill(~self.possible_BG.gather(1, self.tags_BT), OUTSIDE)
        return replace(self, tags_BT=tags_BT, attributes_BA=self.attributes_BA * self.possible_BA)


def labelled(
    products: Sequence[Product],
    read: TextInput,
    sight: Sight | None,
    numbers: Mapping[str, int],
    categories: Mapping[str, Tensor],
) -> TaggedBatch:
    """The batch of products, as a model reads and, with `sight`, sees them. `numbers` are those of the attributes,
    `categories` which attributes each category has, bool [A]; others may have all."""
    text = read.batch(products)
    pictures = None if sight is None else sight.pictures(products, text.products_of_rows)
    product_tags = [
        tag_tokens(reading.tokens, product.facets, numbers)[0]
        for reading, product in zip(text.readings, products, strict=True)
    ]
    num_windows = Counter(text.products_of_rows)
    tags_BT = torch.full(text.ids_BT.shape, OUTSIDE, dtype=torch.int64)
    attributes_BA = torch.zeros(len(text.pieces), len(numbers))
    agree_BA = torch.ones_like(attributes_BA)
    for row, (number, cut) in enumerate(text.pieces):
        tags = product_tags[number][cut.start : cut.stop]
        tags_BT[row, 1 : 1 + len(tags)] = torch.tensor(tags, dtype=torch.int64)
        here, anywhere = _attributes_of(tags), _attributes_of(product_tags[number])
        true = {numbers[f.attribute] for f in products[number].facets if f.attribute in numbers}
        attributes_BA[row, sorted(here | (true - anywhere))] = 1
        agree_BA[row, sorted(true - anywhere)] = 0
    weight_B = torch.tensor([1 / num_windows[number] for number in text.products_of_rows])
    possible_BA = possible_attributes(products, text, categories, len(numbers))
    return TaggedBatch(tuple(products), text, pictures, tags_BT, attributes_BA, agree_BA, possible_BA, weight_B)


def _attributes_of(tags: Sequence[int]) -> set[int]:
    return {(tag - begin(0)) // 2 for tag in tags if tag != OUTSIDE}


def attributes_by_category(schema: AttributeSchema) -> dict[str, Tensor]:
    """Each category of train to the attributes that it has there, bool [A]."""
    numbers = {name: number for number, name in enumerate(schema.names)}
    found = {category: torch.zeros(len(numbers), dtype=torch.bool) for category in schema.by_category}
    for category, attributes in schema.by_category.items():
        found[category][[numbers[attribute.name] for attribute in attributes]] = True
    return found


def possible_attributes(
    products: Sequence[Product], text: TextBatch, categories: Mapping[str, Tensor], num_attributes: int
) -> Tensor:
    """Which attributes each window's product may have: those of its category, or all. bool [B,A]"""
    everything = torch.ones(num_attributes, dtype=torch.bool)
    possible = [categories.get(products[number].category or "", everything) for number in text.products_of_rows]
    return torch.stack(possible) if possible else everything.new_ones(0, num_attributes)


def facets_told(batch: TaggedBatch, tags_BT: Tensor, confidence_BT: Tensor, names: Sequence[str]) -> list[list[Facet]]:
    """The facets of each product by the tags of its windows and how sure each is (0..1)."""
    where = (batch.text.row_N, batch.text.column_N)
    tags, confidences = tags_BT[where].tolist(), confidence_BT[where].tolist()
    found, start = [], 0
    for product, reading in zip(batch.products, batch.text.readings, strict=True):
        part = slice(start, start + len(reading.tokens))
        found.append(decode(product, reading.tokens, tags[part], confidences[part], names))
        start = part.stop
    return found


def attributes_told(
    batch: TaggedBatch, probability_BA: Tensor, threshold: float, names: Sequence[str]
) -> list[dict[str, float]]:
    """The attributes of each product that are likelier than `threshold`, with their probability: the highest of its
    windows."""
    found: list[dict[str, float]] = [{} for _ in batch.products]
    product_of, above_BA = batch.text.products_of_rows, probability_BA > threshold
    sure = zip(above_BA.nonzero().tolist(), probability_BA[above_BA].tolist(), strict=True)
    for (row, attribute), probability in sure:  # few of many attributes
        own, name = found[product_of[row]], names[attribute]
        own[name] = max(own.get(name, 0.0), probability)
    return found
