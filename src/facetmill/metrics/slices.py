"""Where a model is good and where it is not: the products, or their items, of one kind are a slice.

attribute   items of one attribute                           F1
category    products of one category                         F1
image       products with a picture, and those without       F1
place       items that stand in the text, and the others     F1
values      gold items whose value training has seen, or not recall

What an item is depends on the metric, see `counted`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.sparse import coo_array, csr_array

from facetmill.encoders.folding import fold_value
from facetmill.metrics.counted import Counted, Item, Metric, counted
from facetmill.metrics.resampling import Rows
from facetmill.metrics.score import NO_CATEGORY
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

SliceKind = Literal["attribute", "category", "image", "place", "values"]
SLICE_KINDS: tuple[SliceKind, ...] = get_args(SliceKind)

_Slice = tuple[SliceKind, str]
_Pair = tuple[Tally, Tally]  # of the first model and of the second
_WIDTH = 6  # columns of a slice: 2 models x (correct, predicted, gold)


@dataclass(frozen=True)
class SliceCounts:
    """What two models said in every slice.

    `rows` are sparse counts [groups, slices x 2 models x 3] with (correct, predicted, gold) of each, the listings of a
    group together; for `values` slices "predicted" is "gold", so that their F1 is recall. `num_products` and `support`
    (gold items) are by slice.
    """

    names: tuple[_Slice, ...]
    rows: csr_array
    num_products: tuple[int, ...]
    support: tuple[int, ...]

    def of(self, sums: Rows) -> Rows:
        """Sums [..., columns of `rows`] as [..., slices, 2 models, 3]."""
        return np.reshape(sums, (*sums.shape[:-1], len(self.names), 2, 3))


def count_slices(
    gold: Sequence[Product],
    first: Sequence[Sequence[Facet]],
    second: Sequence[Sequence[Facet]],
    seen: Mapping[str, Collection[str]] | None = None,
    *,
    metric: Metric,
) -> SliceCounts:
    """Count every slice that has gold items of a metric, in the order of `SLICE_KINDS` and by name.

    `seen` maps an attribute to its values in training (compared folded); without it there are no `values`
    slices. Raises `ValueError` if the lengths differ.
    """
    folded = None if seen is None else {name: frozenset(map(fold_value, values)) for name, values in seen.items()}
    by_slice: dict[_Slice, dict[int, _Pair]] = {}
    members: Counter[_Slice] = Counter()
    groups: dict[str, int] = {}
    for product, facets_1, facets_2 in zip(gold, first, second, strict=True):
        group = groups.setdefault(product.group_id, len(groups))
        said = counted(product, facets_1, metric), counted(product, facets_2, metric)
        for each, pair in _count(product, *said, folded):
            so_far = by_slice.setdefault(each, {}).get(group, (Tally(), Tally()))
            by_slice[each][group] = (so_far[0] + pair[0], so_far[1] + pair[1])
            members[each] += _belongs(each, pair)
    support = {each: sum(pair[0].gold for pair in pairs.values()) for each, pairs in by_slice.items()}
    names = sorted((each for each in by_slice if support[each]), key=lambda e: (SLICE_KINDS.index(e[0]), e[1]))
    return SliceCounts(
        names=tuple(names),
        rows=_sparse(len(groups), [by_slice[each] for each in names]),
        num_products=tuple(members[each] for each in names),
        support=tuple(support[each] for each in names),
    )


def _count(
    product: Product, first: Counted, second: Counted, seen: Mapping[str, AbstractSet[str]] | None
) -> Iterator[tuple[_Slice, _Pair]]:
    """What one product adds to each of its slices."""
    whole = first.tally, second.tally
    yield ("category", product.category or NO_CATEGORY), whole
    yield ("image", "present" if product.images else "missing"), whole
    for name in first.attributes | second.attributes:
        yield ("attribute", name), (first.of_attribute(name).tally, second.of_attribute(name).tally)
    for name, explicit in (("explicit", True), ("implicit", False)):
        yield ("place", name), (first.placed(explicit).tally, second.placed(explicit).tally)
    if seen is not None:
        true = first.gold  # of the second too
        known = {item for item, facet in true.items() if fold_value(facet.value) in seen.get(facet.attribute, ())}
        for name, gold in (("seen", known), ("unseen", true.keys() - known)):
            yield ("values", name), (_recall(gold, first), _recall(gold, second))


def _recall(gold: AbstractSet[Item], said: Counted) -> Tally:
    """A tally whose F1 is recall: nobody can say how many of the false items would have been seen values."""
    return Tally(len(gold & said.predicted.keys()), len(gold), len(gold))


def _belongs(each: _Slice, pair: _Pair) -> bool:
    """A product is of a category or has a picture whatever is said of it; of other slices it must have a true item."""
    return each[0] in ("category", "image") or pair[0].gold > 0


def _sparse(num_groups: int, counted: Sequence[Mapping[int, _Pair]]) -> csr_array:
    places, columns, numbers = [], [], []
    for index, by_group in enumerate(counted):
        for place, pair in by_group.items():
            for model, tally in enumerate(pair):
                for offset, number in enumerate((tally.correct, tally.predicted, tally.gold)):
                    if number:
                        places.append(place)
                        columns.append(index * _WIDTH + 3 * model + offset)
                        numbers.append(number)
    shape = (num_groups, _WIDTH * len(counted))
    return coo_array((np.array(numbers, np.int64), (places, columns)), shape=shape, dtype=np.int64).tocsr()
