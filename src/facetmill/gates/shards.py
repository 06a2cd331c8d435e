"""One shard of a dataset counted, by whichever process comes to it first. What it finds there never makes it fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facetmill.errors import DataError
from facetmill.files import hash_file
from facetmill.gates.counting import COLUMNS, Examples, SplitCounts
from facetmill.gates.pictures import LookCache
from facetmill.records import PRODUCT_SCHEMA, Split, require_schema

UNREADABLE = (DataError, pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError)
_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Piece:
    """A shard `<dataset>/<split>/<name>`, and the file to write its `SplitCounts` to, where it can be read."""

    shard: Path
    split: Split
    target: Path

    @property
    def name(self) -> str:
        return f"{self.split}/{self.shard.name}"


@dataclass
class ShardCounts:
    """`row` is of the frame of shards; `sha256` is empty where the file cannot be read at all."""

    row: dict[str, Any]
    sha256: str = ""
    examples: Examples = field(default_factory=Examples)

    @property
    def readable(self) -> bool:
        return not self.row["unreadable"] and not self.row["wrong_columns"]


def count_shard(piece: Piece, known: frozenset[str] | None, looks_path: Path | None) -> ShardCounts:
    """`known` are the attributes that train may have. How pictures look is kept in `looks_path`, if given; raises
    `PlatformError` where that cannot be used."""
    found = ShardCounts({"shard": piece.name, "unreadable": 0, "wrong_columns": 0, "rows": 0})
    row = found.row
    pictures_root = piece.shard.parents[2]
    with LookCache(looks_path) as cache:
        counts = SplitCounts(
            known if piece.split == "train" else None,
            found.examples,
            lambda image: cache.look(pictures_root / image),  # an absolute path stays as it is
        )
        try:
            found.sha256 = hash_file(piece.shard)
            with pq.ParquetFile(piece.shard) as parquet:
                require_schema(piece.shard, parquet.schema_arrow)
                wrong = list(_wrong_columns(parquet.schema_arrow))
                row["wrong_columns"] = len(wrong)
                found.examples.add("wrong_columns", *(f"{piece.name}: {each}" for each in wrong))
                if not wrong:
                    for batch in parquet.iter_batches(_BATCH_ROWS, columns=COLUMNS, use_threads=False):
                        counts.add(batch, piece.name, row["rows"])
                        row["rows"] += batch.num_rows
        except UNREADABLE as error:
            row["unreadable"] = 1
            found.examples.add("unreadable", f"{piece.name}: {cause_of(error)}")
    if found.readable:
        counts.write(piece.target)
    else:
        piece.target.touch()
    return found


def _wrong_columns(found: pa.Schema) -> Iterator[str]:
    for wanted in PRODUCT_SCHEMA:
        at = found.get_field_index(wanted.name)
        if at < 0:
            yield f"column {wanted.name} is missing"
        elif found.field(at).type != wanted.type:
            yield f"column {wanted.name} is {found.field(at).type}, must be {wanted.type}"


def cause_of(error: BaseException) -> str:
    """An error in one line, without the path: who asks knows it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return f"no entry {text}" if isinstance(error, KeyError) else text[:300] or type(error).__name__
