"""The attribute schema: what the train split, and nothing else, says of each attribute."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from facetmill.records import Attribute, AttributeSchema


def build_schema(batches: Iterable[pa.RecordBatch]) -> AttributeSchema:
    """The schema of batches of `PRODUCT_SCHEMA`, all of the train split.

    Each value counts the products that have it (once each, however often it stands there), in all and by category; each
    attribute lists the categories it was seen in. Everything is sorted, so that equal data gives an equal file. Memory
    grows with the number of distinct values, not of products.
    """
    num_products: defaultdict[str, Counter[str]] = defaultdict(Counter)
    in_category: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for batch in batches:
        column = batch.column("facets")
        rows = pc.list_parent_indices(column).to_pylist()
        categories = batch.column("category").to_pylist()
        attribute, value, *_ = column.flatten().flatten()
        for row, name, text in set(zip(rows, attribute.to_pylist(), value.to_pylist(), strict=True)):
            num_products[name][text] += 1
            if categories[row] is not None:
                in_category[name][categories[row]][text] += 1
    return AttributeSchema(
        tuple(
            Attribute(
                name,
                _by_value(num_products[name]),
                tuple(sorted(in_category[name])),
                {category: _by_value(counts) for category, counts in sorted(in_category[name].items())},
            )
            for name in sorted(num_products)
        )
    )


def _by_value(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
