"""Pairs of a window and an attribute, for models that take one attribute at a time and give each its own tags.

Shapes: B windows, T tokens with specials and padding, A attributes, M pairs. Tags of a pair are O, B and I.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from facetmill.compute.batch import TensorBatch
from facetmill.encoders.windows import Reading, TextBatch
from facetmill.models.parts.tagging import OUTSIDE, decode, tag_tokens
from facetmill.models.parts.text_input import TextInput
from facetmill.records import Facet, Product


@dataclass(frozen=True)
class Pairs(TensorBatch):
    """Window `row_M` with attribute `attribute_M` (int64, both); `num_dropped` others were too many."""

    row_M: Tensor
    attribute_M: Tensor
    num_dropped: int = 0

    def __len__(self) -> int:
        return len(self.row_M)

    def parts(self, size: int) -> Iterator[Pairs]:
        """The same pairs in their order, `size` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Pairs(self.row_M[part], self.attribute_M[part])

    @classmethod
    def selected(cls, probability_BA: Tensor, chosen_BA: Tensor, at_most: int) -> Self:
        """The chosen pairs, window by window; where they are more than `at_most`, the likeliest."""
        row_M, attribute_M = chosen_BA.nonzero(as_tuple=True)
        num_dropped = max(0, len(row_M) - at_most)
        if num_dropped:
            likeliest = probability_BA[row_M, attribute_M].topk(at_most).indices.sort().values
            row_M, attribute_M = row_M[likeliest], attribute_M[likeliest]
        return cls(row_M, attribute_M, num_dropped)


def own_tags(
    reading: Reading, product: Product, numbers: Mapping[str, int]
) -> tuple[dict[int, list[int]], Counter[str]]:
    """The tags of a product by the number of each attribute that its text holds, and how many spans lost something on
    the way. Values of two attributes may overlap: each has tags of its own."""
    facets: defaultdict[str, list[Facet]] = defaultdict(list)
    for facet in product.facets:
        if facet.attribute in numbers:
            facets[facet.attribute].append(facet)
    found: dict[int, list[int]] = {}
    counts: Counter[str] = Counter()
    for name, own in facets.items():
        tags, lost = tag_tokens(reading.tokens, own, {name: 0})
        counts.update(lost)
        if any(tags):
            found[numbers[name]] = tags
    return found, counts


def named(text: TextInput, names: Sequence[str], attribute_M: Tensor) -> tuple[TextBatch, Tensor]:
    """The names of the attributes of some pairs as texts, each once, and the row of each pair's (int64 [M]); of a name
    that is several windows the first."""
    numbers, place_M = attribute_M.unique(return_inverse=True)
    batch = text.windows([Product(names[number], "", names[number]) for number in numbers.tolist()])
    first = {number: row for row, number in reversed([*enumerate(batch.products_of_rows)])}
    row_A = torch.tensor([first[number] for number in range(len(numbers))], device=attribute_M.device)
    return batch.to(attribute_M.device), row_A[place_M]


def facets_of_pairs(
    products: Sequence[Product],
    text: TextBatch,
    pairs: Pairs,
    tags_MT: Tensor,
    confidence_MT: Tensor,
    names: Sequence[str],
) -> list[list[Facet]]:
    """Each product's facets, attribute by attribute, by the tags of its pairs and how sure each is (0..1). A token's
    tag is that of the window in which it lies most central; O where that is in no pair with the attribute."""
    says_M = (tags_MT != OUTSIDE).any(1)  # of many attributes that are asked for, few have a value
    tags_MT, confidence_MT = tags_MT[says_M].cpu(), confidence_MT[says_M].cpu()
    row_M, attribute_M = pairs.row_M[says_M].cpu(), pairs.attribute_M[says_M].cpu()
    row_N, column_N = text.row_N.cpu(), text.column_N.cpu()
    pair_BA = torch.full((len(text.pieces), len(names)), -1)
    pair_BA[row_M, attribute_M] = torch.arange(len(row_M))
    product_of = text.products_of_rows
    chosen: list[set[int]] = [set() for _ in products]
    for row, attribute in zip(row_M.tolist(), attribute_M.tolist(), strict=True):
        chosen[product_of[row]].add(attribute)
    facets, start = [], 0
    for product, reading, attributes in zip(products, text.readings, chosen, strict=True):
        part = slice(start, start + len(reading.tokens))
        own: list[Facet] = []
        for attribute in sorted(attributes):
            pair_n = pair_BA[row_N[part], attribute]
            where = (pair_n.clamp(min=0), column_N[part])
            tags = tags_MT[where].masked_fill(pair_n < 0, OUTSIDE).tolist()
            own += decode(product, reading.tokens, tags, confidence_MT[where].tolist(), [names[attribute]])
        facets.append(own)
        start = part.stop
    return facets
