"""Strict and fuzzy F1 of values that were written, as DEFLATE reports them.

Source: the paper of DEFLATE and its released evaluator. A value counts under its attribute alone, so what is written
for an attribute that the product does not have is wrong (the paper: AVE conditional on AP).

Different from them: values are compared without case, and products of equal text are not merged, as the evaluator does.
A facet is one value: a model that writes several with commas between them takes them apart itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from facetmill.metrics.pairs import pairs
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product


@dataclass(frozen=True, slots=True)
class FuzzyTally:
    """Precision and recall count different things: predicted values that match a gold one, gold values that a predicted
    one matches. Ratios are 0..1, 0 where undefined."""

    right_predicted: int = 0
    right_gold: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: FuzzyTally) -> FuzzyTally:
        return FuzzyTally(
            self.right_predicted + other.right_predicted,
            self.right_gold + other.right_gold,
            self.predicted + other.predicted,
            self.gold + other.gold,
        )

    @property
    def precision(self) -> float:
        return self.right_predicted / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.right_gold / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def tally_values(product: Product, predicted: Iterable[Facet]) -> Tally:
    """The values of one product, strictly: right are those of an attribute that are among its gold ones."""
    gold, said = values(product.facets), values(predicted)
    return Tally(
        correct=sum(len(written & gold.get(attribute, set())) for attribute, written in said.items()),
        predicted=sum(map(len, said.values())),
        gold=sum(map(len, gold.values())),
    )


def tally_fuzzily(product: Product, predicted: Iterable[Facet]) -> FuzzyTally:
    """The values of one product, each matched with those of its attribute by `is_like`."""
    gold, said = values(product.facets), values(predicted)
    both = gold.keys() & said.keys()
    return FuzzyTally(
        right_predicted=sum(any(is_like(label, value) for label in gold[a]) for a in both for value in said[a]),
        right_gold=sum(any(is_like(label, value) for value in said[a]) for a in both for label in gold[a]),
        predicted=sum(map(len, said.values())),
        gold=sum(map(len, gold.values())),
    )


def is_like(label: str, value: str) -> bool:
    """Whether a value and a label share a substring longer than half the label: "fruits" is like "fruit", and "ab" is
    not like "bcd" nor "bcd" like "ab"."""
    return 2 * longest_common(label, value) > len(label)


def longest_common(left: str, right: str) -> int:
    """Characters of the longest substring that stands in both."""
    longest = 0
    ends = [0] * (len(right) + 1)  # how long a common substring ends before each place of `right`
    for char in left:
        ends = [0, *(before + 1 if char == other else 0 for before, other in zip(ends, right, strict=False))]
        longest = max(longest, *ends)
    return longest


def values(facets: Iterable[Facet]) -> dict[str, set[str]]:
    """The distinct values of each attribute, folded and without spaces."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for attribute, value in pairs(facets):
        found[attribute].add("".join(value.split()))
    return dict(found)
