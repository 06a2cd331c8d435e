"""Pictures as discrete codes, beside a dataset: what the stage `visual_tokens` leaves and a model reads.

visual_tokens.json                  how many codes there are and how many stand for a picture; `codebook: null` when off
<split>/part-00000.parquet          the codes of each distinct first picture of a dataset shard, by the picture's digest
codebook/                           the network that gives the codes, for pictures of tomorrow (`codebooks.py`)

Codes are numbers 0..num_codes - 1 of the grid x grid equal parts of a picture, row by row, as DEFLATE feeds them to
its encoder (section 7.1 of our notes on the paper). The digest is the SHA-256 of a picture's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facetmill.errors import DataError
from facetmill.files import read_json, replace_folder, write_json
from facetmill.records import SPLITS, shards

FORMAT_VERSION = 1
MAX_CODES = 2**16  # codes are stored as uint16

TOKEN_SCHEMA = pa.schema(
    [
        pa.field("digest", pa.string(), nullable=False),
        pa.field("codes", pa.list_(pa.field("item", pa.uint16(), nullable=False)), nullable=False),
    ]
)


class VisualTokens(Mapping[str, NDArray[np.uint16]]):
    """Codes [grid * grid] by the digest of a picture (`picture_cache.digest_of` its bytes)."""

    def __init__(self, codes: Mapping[str, NDArray[np.uint16]], num_codes: int, grid: int) -> None:
        self._codes = codes
        self.num_codes = num_codes
        self.grid = grid

    def __getitem__(self, digest: str) -> NDArray[np.uint16]:
        return self._codes[digest]

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


def read_visual_tokens(folder: Path) -> VisualTokens:
    """The codes of every picture of a dataset; two bytes each in memory.

    Raises `DataError` where `visual_tokens.codebook` was null, and for files that the stage did not write, naming file,
    row and value.
    """
    path = folder / "visual_tokens.json"
    try:
        described = read_json(path)
        if described["format_version"] != FORMAT_VERSION:
            raise DataError(
                f"{path}: format_version {described['format_version']!r}, but this Facetmill reads {FORMAT_VERSION}"
            )
        if described["codebook"] is None:
            raise DataError(f"{path}: pictures have no codes: visual_tokens.codebook was null when this was built")
        num_codes, grid = int(described["num_codes"]), int(described["grid"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not what the stage visual_tokens writes: {error!r}") from error
    codes: dict[str, NDArray[np.uint16]] = {}
    for split in SPLITS:
        for shard in shards(folder / split):
            codes |= _read_shard(shard, num_codes, grid)
    return VisualTokens(codes, num_codes, grid)


def _read_shard(path: Path, num_codes: int, grid: int) -> dict[str, NDArray[np.uint16]]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not table.schema.equals(TOKEN_SCHEMA):
        raise DataError(f"{path}: columns {', '.join(map(str, table.schema))}, not those of visual tokens")
    column = table.column("codes").combine_chunks()
    lengths = np.diff(column.offsets.to_numpy())
    if (wrong := lengths != grid * grid).any():
        row = int(wrong.argmax())
        raise DataError(f"{path}, row {row}, field codes: {lengths[row]} codes, must be {grid} x {grid}")
    code_PK = column.flatten().to_numpy().reshape(len(column), grid * grid)
    if (wrong := (code_PK >= num_codes).any(axis=1)).any():
        row = int(wrong.argmax())
        raise DataError(f"{path}, row {row}, field codes: code {code_PK[row].max()}, must be below {num_codes}")
    return dict(zip(table.column("digest").to_pylist(), code_PK, strict=True))


def write_nothing(out_dir: Path) -> dict[str, Any]:
    """The folder of a dataset whose pictures get no codes, and the report of that."""
    with replace_folder(out_dir) as folder:
        write_json(folder / "visual_tokens.json", {"format_version": FORMAT_VERSION, "codebook": None})
    return {"codebook": None}
