"""What each metric counts of one product: items that are true and items that were predicted, of which those in both
are right. Precision, recall and F1 of a corpus, of an attribute or of a category all come from sums over these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from facetmill.metrics.chunks import units
from facetmill.metrics.na_aware import slots
from facetmill.metrics.pairs import pairs
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

Metric = Literal["pair_f1", "value_f1", "attribute_f1", "na_f1"]
METRICS: tuple[Metric, ...] = get_args(Metric)

#: What is counted once in a product; its first part is the attribute.
Item: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Counted:
    """The true and the predicted items of a product, or some of them, each with a facet that it comes from."""

    gold: Mapping[Item, Facet]
    predicted: Mapping[Item, Facet]

    @property
    def tally(self) -> Tally:
        return Tally.of(self.gold.keys(), self.predicted.keys())

    @property
    def attributes(self) -> set[str]:
        return {item[0] for items in (self.gold, self.predicted) for item in items}

    def of_attribute(self, name: str) -> Counted:
        return Counted(*({i: f for i, f in items.items() if i[0] == name} for items in (self.gold, self.predicted)))

    def placed(self, explicit: bool) -> Counted:
        """The items that stand in the text, or those that do not. Every item is one or the other: as it truly is if it
        is true, wherever it was said to stand, and else as it was predicted."""
        return Counted(
            {item: facet for item, facet in self.gold.items() if facet.explicit == explicit},
            {item: f for item, f in self.predicted.items() if self.gold.get(item, f).explicit == explicit},
        )


def counted(product: Product, predicted: Iterable[Facet], metric: Metric) -> Counted:
    """The items of one product by one metric.

    pair_f1         distinct (attribute, folded value); a right value counts wherever it stands
    value_f1        chunks (attribute, field, start, end), and (attribute, folded value) of what has no place
    attribute_f1    (attribute,) of those that have a value
    na_f1           attribute slots, see `na_aware`
    """
    match metric:
        case "pair_f1":
            return Counted(pairs(product.facets), pairs(predicted))
        case "value_f1":
            return Counted(units(product.facets), units(predicted))
        case "attribute_f1":
            return Counted(_attributes(product.facets), _attributes(predicted))
        case "na_f1":
            return Counted(*slots(product, predicted))


def corpus_f1(gold: Sequence[Product], predicted: Sequence[Iterable[Facet]], metric: Metric) -> float:
    """Micro F1 (0..1) over products, as `score` has it. Raises `ValueError` if the lengths differ."""
    tallies = (counted(product, facets, metric).tally for product, facets in zip(gold, predicted, strict=True))
    return sum(tallies, start=Tally()).f1


def _attributes(facets: Iterable[Facet]) -> dict[Item, Facet]:
    found: dict[Item, Facet] = {}
    for facet in facets:
        found.setdefault((facet.attribute,), facet)
    return found
