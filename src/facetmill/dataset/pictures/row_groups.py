"""Shards rewritten one row group at a time: names, rows and row groups stay, and memory is that of a row group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facetmill.records import PRODUCT_SCHEMA, require_schema, shards


def rewrite(source_dir: Path, folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write into an empty folder what `change` makes of each row group (`ingest` writes 2,000 products in one)."""
    for path in shards(source_dir):
        with (
            pq.ParquetFile(path) as source,
            pq.ParquetWriter(folder / path.name, PRODUCT_SCHEMA, compression="zstd") as target,
        ):
            require_schema(path, source.schema_arrow)
            for group in range(source.num_row_groups):
                target.write_table(change(source.read_row_group(group, use_threads=False)))
