"""Products, in whatever portions they come, to shards of so many rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facetmill.records import PRODUCT_SCHEMA, Product, to_batch
from facetmill.sources.plain import PlainProducts, plain_batch

_GROUP_ROWS = 2_000  # a row group, which `match` shares out over processes
_GROUP_BYTES = 2**26  # of text, above which it has fewer rows


def write_shard(products: Iterator[Product | PlainProducts], path: Path) -> None:
    """Write one shard of all products (zstd, PRODUCT_SCHEMA). Only a row group or two are in memory at a time."""
    rows = _Rows(products)
    with pq.ParquetWriter(path, PRODUCT_SCHEMA, compression="zstd") as writer:
        while group := rows.take(_GROUP_ROWS):
            writer.write_table(group)


def write_shards(products: Iterator[Product | PlainProducts], folder: Path, shard_rows: int) -> None:
    """Write `folder/part-00000.parquet` and on as `write_shard` does, of `shard_rows` products each."""
    rows = _Rows(products)
    number = 0
    while group := rows.take(min(_GROUP_ROWS, shard_rows)):
        with pq.ParquetWriter(folder / f"part-{number:05d}.parquet", PRODUCT_SCHEMA, compression="zstd") as writer:
            left = shard_rows
            while group:
                writer.write_table(group)
                left -= group.num_rows
                group = rows.take(min(_GROUP_ROWS, left))
        number += 1


class _Rows:
    """Products as Arrow rows, taken from the front in any number."""

    def __init__(self, products: Iterator[Product | PlainProducts]) -> None:
        self._batches = _batches(products)
        self._waiting: pa.Table = pa.Table.from_batches([], PRODUCT_SCHEMA)

    def take(self, at_most: int) -> pa.Table:
        """The next rows, in one piece; fewer only at the end, or where they are large."""
        while (
            self._waiting.num_rows < at_most
            and self._waiting.nbytes < _GROUP_BYTES
            and (batch := next(self._batches, None))
        ):
            self._waiting = pa.concat_tables([self._waiting, pa.Table.from_batches([batch])])
        taken = self._waiting.slice(0, at_most).combine_chunks()
        self._waiting = self._waiting.slice(at_most)
        return taken


def _batches(products: Iterator[Product | PlainProducts]) -> Iterator[pa.RecordBatch]:
    """Neighbours of one kind together, about `_GROUP_ROWS` at most."""
    for kind, run in groupby(products, type):
        while some := list(_first(run, _GROUP_ROWS)):
            yield to_batch(some) if kind is Product else plain_batch(some)


def _first(portions: Iterator[Any], num_rows: int) -> Iterator[Any]:
    """Portions until they have `num_rows` products, or `_GROUP_BYTES` of text."""
    room = _GROUP_BYTES
    while num_rows > 0 and room > 0 and (portion := next(portions, None)):
        yield portion
        if isinstance(portion, Product):
            num_rows -= 1
            room -= len(portion.title) + len(portion.text) + sum(len(facet.value) for facet in portion.facets)
        else:
            num_rows -= len(portion.ids)
