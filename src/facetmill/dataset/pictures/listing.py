"""The pictures of a dataset and the digests of their bytes: a Parquet file beside its manifest, which holds its hash.

Shards name pictures only by their paths, and most pictures lie where a shop keeps them, so the listing is what tells
that one is not what it was. A row is a path as the shards have it, and the SHA-256 of the bytes that a model would
read there; null where there is nothing to read. A picture of several products may stand in it more than once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facetmill.encoders.pictures import Fault, picture_bytes

LISTING = "pictures.parquet"

_SCHEMA = pa.schema([pa.field("path", pa.string(), nullable=False), pa.field("sha256", pa.binary(32))])
_BATCH = 4096  # pictures
_THREADS = 8  # the disk is asked for several at once, and SHA-256 lets go of Python's lock


def write_part(images: Iterable[str], root: Path, path: Path) -> None:
    """Write the listing of some products' pictures; `root` is what relative paths are taken from."""
    distinct = list(dict.fromkeys(images))
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        for start in range(0, len(distinct), _BATCH):
            some = distinct[start : start + _BATCH]
            writer.write_table(pa.table([some, digests(root / image for image in some)], schema=_SCHEMA))


def join_parts(parts: Sequence[Path], path: Path) -> int:
    """Put parts together in their order, and return the number of rows; without any row no file is written."""
    num_rows: int = sum(pq.read_metadata(part).num_rows for part in parts)
    if num_rows:
        with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
            for batch in (batch for part in parts for batch in _batches(part)):
                writer.write_batch(batch)
    return num_rows


def read_listing(path: Path) -> Iterator[list[tuple[str, bytes | None]]]:
    """The paths and digests of a listing, some thousand at a time."""
    for batch in _batches(path):
        yield list(zip(batch["path"].to_pylist(), batch["sha256"].to_pylist(), strict=True))


def digests(pictures: Iterable[Path]) -> list[bytes | None]:
    """SHA-256 of what a model would read of each file; None for nothing."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(_digest, pictures))


def _digest(picture: Path) -> bytes | None:
    data = picture_bytes(str(picture))
    return None if isinstance(data, Fault) else hashlib.sha256(data).digest()


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as parquet:
        yield from parquet.iter_batches(_BATCH)
