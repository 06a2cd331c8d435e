"""The attribute schema: what the train split, and nothing else, says of each attribute."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from facetmill.records import Attribute, AttributeSchema


def build_schema(batches: Iterable[pa.RecordBatch]) -> AttributeSchema:
    """The schema of batches of `PRODUCT_SCHEMA`, all of the train split."""
    counts = SchemaCounts()
    for batch in batches:
        counts.count(batch)
    return counts.schema()


class SchemaCounts:
    """How many products have each value of each attribute, in all and by category.

    A product counts once for a value, however often that stands there. Memory grows with the number of distinct values,
    not of products.
    """

    def __init__(self) -> None:
        self._num_products: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._in_category: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))

    def count(self, batch: pa.RecordBatch) -> None:
        column = batch.column("facets")
        rows = pc.list_parent_indices(column).to_pylist()
        categories = batch.column("category").to_pylist()
        attribute, value, *_ = column.flatten().flatten()
        for row, name, text in set(zip(rows, attribute.to_pylist(), value.to_pylist(), strict=True)):
            self._num_products[name][text] += 1
            if categories[row] is not None:
                self._in_category[name][categories[row]][text] += 1

    def write(self, path: Path) -> None:
        path.write_text(json.dumps([self._num_products, self._in_category]), encoding="utf-8")

    def add_written(self, path: Path) -> None:
        """Add what other counts wrote of other products."""
        num_products, in_category = json.loads(path.read_text(encoding="utf-8"))
        for name, values in num_products.items():
            self._num_products[name].update(values)
        for name, of_category in in_category.items():
            for category, values in of_category.items():
                self._in_category[name][category].update(values)

    def schema(self) -> AttributeSchema:
        """Each attribute with its values and the categories it was seen in. Everything is sorted, so that equal data
        gives an equal file."""
        return AttributeSchema(
            tuple(
                Attribute(
                    name,
                    _by_value(values),
                    tuple(sorted(self._in_category[name])),
                    {category: _by_value(counts) for category, counts in sorted(self._in_category[name].items())},
                )
                for name, values in sorted(self._num_products.items())
            )
        )


def _by_value(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
