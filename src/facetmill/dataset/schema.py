"""The attribute schema: what the train split, and nothing else, says of each attribute."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from facetmill.records import Attribute, AttributeSchema


def build_schema(batches: Iterable[pa.RecordBatch]) -> AttributeSchema:
    """The schema of batches of `PRODUCT_SCHEMA`, all of the train split.

    Each value counts the products that have it (once each, however often it stands there), and each attribute lists
    the categories it was seen in. Everything is sorted, so that equal data gives an equal file. Memory grows with the
    number of distinct values, not of products.
    """
    num_products: defaultdict[str, Counter[str]] = defaultdict(Counter)
    categories: defaultdict[str, set[str]] = defaultdict(set)
    for batch in batches:
        column = batch.column("facets")
        rows = pc.list_parent_indices(column).to_pylist()
        attribute, value, *_ = column.flatten().flatten()
        for _, name, text in set(zip(rows, attribute.to_pylist(), value.to_pylist(), strict=True)):
            num_products[name][text] += 1
        category = batch.column("category").take(pa.array(rows, pa.int64())).to_pylist()
        for name, seen_in in set(zip(attribute.to_pylist(), category, strict=True)):
            if seen_in is not None:
                categories[name].add(seen_in)
    return AttributeSchema(
        tuple(
            Attribute(name, dict(sorted(num_products[name].items())), tuple(sorted(categories[name])))
            for name in sorted(num_products)
        )
    )
