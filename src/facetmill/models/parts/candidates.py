"""The slots of a schema and the values that each may be filled with, for models that choose among known values.

A slot is an attribute. Its candidates are, first, that it has no value, and then the values of the schema. Values that
are one to a reader (`fold_value`), or are called one by `synonyms`, are one candidate under its commonest spelling.

Shapes: P products, S slots, V candidates of the slot that has the most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from facetmill.encoders.folding import fold_value
from facetmill.records import Attribute, AttributeSchema, Facet, Product

NONE = "none"  # how "it has no value" reads

#: By attribute, what a value is called instead.
Synonyms = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Candidates:
    """`values` are those of each slot by their numbers in it, which begin at 1; 0 is "no value". `numbers` finds them
    by their folds."""

    slots: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    numbers: tuple[Mapping[str, int], ...]

    @classmethod
    def of(cls, schema: AttributeSchema, synonyms: Synonyms) -> Self:
        found = [_merged(attribute, synonyms.get(attribute.name, {})) for attribute in schema.attributes]
        return cls(schema.names, tuple(values for values, _ in found), tuple(numbers for _, numbers in found))

    @property
    def sizes(self) -> list[int]:
        """How many candidates each slot has."""
        return [1 + len(values) for values in self.values]

    @property
    def most(self) -> int:
        """V."""
        return max(self.sizes, default=0)

    def texts(self, slot: int) -> list[str]:
        """How each candidate of a slot reads."""
        none = f"{NONE} {self.slots[slot]}" if NONE in self.numbers[slot] else NONE  # which may be a value like others
        return [none, *self.values[slot]]

    def facets(self, number_PS: Tensor, sure_PS: Tensor, told_PS: Tensor) -> list[list[Facet]]:
        """The chosen candidates of slots that are told, each as sure (0..1) as it is; "no value" is no facet."""
        answers: list[list[Facet]] = [[] for _ in range(len(number_PS))]
        told_PS = told_PS & (number_PS > 0)
        found = zip(told_PS.nonzero().tolist(), number_PS[told_PS].tolist(), sure_PS[told_PS].tolist(), strict=True)
        for (row, slot), number, sure in found:
            value = self.values[slot][number - 1]
            answers[row].append(Facet(self.slots[slot], value, provenance="predicted", confidence=sure))
        return answers

    def chances(self, p_SV: Tensor, told_S: Tensor) -> dict[str, dict[str, float]]:
        """Of one product: the candidates of slots that are told, the likeliest first; "" is "no value"."""
        found: dict[str, dict[str, float]] = {}
        for slot in told_S.nonzero()[:, 0].tolist():
            named = zip(("", *self.values[slot]), p_SV[slot, : self.sizes[slot]].tolist(), strict=True)
            found[self.slots[slot]] = dict(sorted(named, key=lambda each: -each[1]))
        return found


def _merged(attribute: Attribute, synonyms: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The candidates of a slot, the commonest first, and the number of each by the fold of every spelling."""
    called = {fold_value(value): fold_value(name) for value, name in synonyms.items()}
    counts: Counter[str] = Counter()
    spelling: dict[str, str] = {}
    for value in sorted(attribute.values, key=lambda value: (-attribute.values[value], value)):
        fold = fold_value(value)
        counts[called.get(fold, fold)] += attribute.values[value]
        if fold not in called:
            spelling.setdefault(fold, value)
    for name in synonyms.values():
        spelling.setdefault(fold_value(name), name)
    order = sorted((fold for fold in counts if fold), key=lambda fold: (-counts[fold], spelling[fold]))
    numbers = {fold: number for number, fold in enumerate(order, start=1)}
    numbers |= {fold: numbers[name] for fold, name in called.items() if name in numbers}
    return tuple(spelling[fold] for fold in order), numbers


def with_train_values(schema: AttributeSchema, train: Iterable[Product], synonyms: Synonyms) -> AttributeSchema:
    """The schema with every value that its attributes have in train, and every name of a synonym; as it was where it
    has them all."""
    extra: dict[str, Counter[str]] = {attribute.name: Counter() for attribute in schema.attributes}
    known = {attribute.name: attribute.values for attribute in schema.attributes}
    for product in train:
        for name, value in {(facet.attribute, facet.value) for facet in product.facets}:
            if name in known and value not in known[name]:
                extra[name][value] += 1
    for name, of_slot in synonyms.items():
        if name in known:
            extra[name].update(dict.fromkeys(set(of_slot.values()) - known[name].keys() - extra[name].keys(), 0))
    if not any(extra.values()):
        return schema
    attributes = (replace(each, values={**each.values, **extra[each.name]}) for each in schema.attributes)
    return replace(schema, attributes=tuple(attributes))


@dataclass(frozen=True)
class Labels:
    """`true_PSV` marks the candidates that are true of each product, `known_PS` the slots of which that is known, and
    `possible_PS` those that the product's category has; all bool."""

    true_PSV: Tensor
    known_PS: Tensor
    possible_PS: Tensor


def labels(
    products: Sequence[Product], candidates: Candidates, categories: Mapping[str, Tensor], *, unsaid_is_none: bool
) -> Labels:
    """What is known of products. A slot with a value that is no candidate is unknown; one of which nothing was said is
    empty if `unsaid_is_none`, else unknown. `categories` are the slots of each, bool [S]; others may have all."""
    place = {name: number for number, name in enumerate(candidates.slots)}
    shape = (len(products), len(place), candidates.most)
    possible_PS = torch.ones(shape[:2], dtype=torch.bool)
    said: list[tuple[int, int]] = []
    true: list[tuple[int, int, int]] = []
    for row, product in enumerate(products):
        of_category = categories.get(product.category or "")
        if of_category is not None:
            possible_PS[row] = of_category
        numbers: dict[int, set[int | None]] = {place[name]: {0} for name in product.absent if name in place}
        filled = [facet for facet in product.facets if facet.attribute in place]
        numbers |= {place[facet.attribute]: set() for facet in filled}
        for facet in filled:
            slot = place[facet.attribute]
            numbers[slot].add(candidates.numbers[slot].get(fold_value(facet.value)))
        said += [(row, slot) for slot in numbers]
        true += [(row, slot, number) for slot, found in numbers.items() for number in found if number is not None]
    true_PSV = torch.zeros(shape, dtype=torch.bool)
    if candidates.most and unsaid_is_none:
        true_PSV[:, :, 0] = True
        true_PSV[_index(said, 2)] = False
    true_PSV[_index(true, 3)] = True
    return Labels(true_PSV, true_PSV.any(2) & possible_PS, possible_PS)


def _index(places: Sequence[tuple[int, ...]], num_axes: int) -> tuple[Tensor, ...]:
    return torch.tensor(places, dtype=torch.int64).reshape(-1, num_axes).unbind(1)
