"""Parquet as rows, in memory that is known before anything is unpacked.

A few kilobytes may become terabytes: pages unpack to thousands of times their size, one dictionary entry may be every
value, and no value at all takes a bit. So sizes are read first, of every page, and as many rows are decoded at a time
as fit whatever is in them. What a file becomes altogether is bounded by its own size.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason
from facetmill.sources.parquet_pages import Chunk, Page, column_chunks, column_pages
from facetmill.sources.rows import MAX_ROW_BYTES, Row, Rows, bad_row
from facetmill.sources.tables import MAX_COLUMNS, require_distinct

MAX_BATCH_BYTES = 2**29  # that some rows of a row group may take while they are decoded
#: Of the text in a table to its file. Catalogues shrink to a tenth, repeated descriptions to a hundredth.
MAX_RATIO = 1000
ALWAYS_FINE = 2**28  # bytes of text whatever the ratio
ROW_BYTES = 64  # that a row counts at least, and a byte for each of its cells

_BATCH_ROWS = 1024
_BUFFER = 2**16  # bytes of a column that are read at a time
_MAX_FOOTER = 2**24
_INDEX_BYTES = 16  # of a value in a list: its place in the dictionary and its levels
_SMALLER_GROUPS = "write it with smaller row groups, such as to_parquet(..., row_group_size=20_000)"


class ParquetTable:
    """One file; `header` names its columns, `kinds` says what each holds."""

    def __init__(self, path: Path) -> None:
        """Raises `DataError` where it is no Parquet file, or one whose columns cannot be told apart."""
        self.path = path
        try:
            _require_short_footer(path)
            with pq.ParquetFile(path, thrift_container_size_limit=4 * MAX_COLUMNS, pre_buffer=False) as parquet:
                self._metadata, schema = parquet.metadata, parquet.schema_arrow
                self.header: list[str] = schema.names
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a Parquet file: {error}") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: the name of a column is no UTF-8: {error.object!r}") from None
        require_distinct(path, self.header)
        self._chunks = column_chunks(path)
        if any(len(chunks) != len(self._metadata.schema) for chunks in self._chunks):
            raise DataError(f"{path}: a row group has not the columns of the file")
        self.kinds: dict[str, pa.DataType] = dict(zip(self.header, schema.types, strict=True))

    def rows(self, columns: Collection[str]) -> Rows:
        """Stream the rows, of each only these columns.

        Raises `DataError`, naming the file and the place, where a column holds what no field can be, where rows cannot
        be decoded, and where they become more than is honest.
        """
        for name in columns:
            if not _is_readable(self.kinds[name]):
                raise DataError(
                    f"{self.path}: column {name!r} holds {self.kinds[name]}; store it as text, or name it in "
                    "dataset.ignore"
                )
        leaves = self._leaves(frozenset(columns))
        self._require_honest(self._metadata.num_rows * (ROW_BYTES + len(columns)), f"{self._metadata.num_rows:,} rows")
        number = spelled = 0
        # A list of a million times the same text is a million numbers of its one entry.
        lists = [
            leaf.path for leaf in leaves.values() if leaf.max_repetition_level and leaf.physical_type == "BYTE_ARRAY"
        ]
        try:
            with (
                self.path.open("rb") as stream,
                pq.ParquetFile(
                    self.path, metadata=self._metadata, read_dictionary=lists, buffer_size=_BUFFER, pre_buffer=False
                ) as parquet,
            ):
                for group, chunks in enumerate(self._chunks):
                    at_once = self._rows_at_once(stream, group, chunks, leaves)
                    for batch in parquet.iter_batches(at_once, [group], list(columns), use_threads=False):
                        num_bytes = sum(map(_spelled_bytes, batch.columns))
                        spelled += num_bytes + batch.num_rows * (ROW_BYTES + len(columns))
                        self._require_honest(spelled, f"row {number + 1} and on")
                        yield from _batch_rows(self.path, number, batch, num_bytes)
                        number += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: cannot be read after row {number}: {error}") from None

    def _leaves(self, columns: Collection[str]) -> dict[int, Any]:
        """What Parquet stores of these columns, by its number."""
        schema = self._metadata.schema
        described = {number: schema.column(number) for number in range(len(schema))}
        return {number: leaf for number, leaf in described.items() if _belongs(leaf.path, columns)}

    def _rows_at_once(self, stream: IO[bytes], group: int, chunks: list[Chunk], leaves: dict[int, Any]) -> int:
        """How many rows of a row group may be decoded together, whatever is in them."""
        held = longest_row = 0
        for number, leaf in leaves.items():
            pages = list(column_pages(self.path, stream, chunks[number]))
            held += 2 * max((page.num_bytes for page in pages), default=0)
            entry = max((page.num_bytes for page in pages if not page.indexed), default=0)
            if leaf.max_repetition_level:
                held += sum(_most_in_lists(page) for page in pages) + entry
            else:
                longest_row += max(entry, leaf.length if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0, 8)
        if held + longest_row > MAX_BATCH_BYTES:
            size = f"{(held + longest_row) / 2**20:,.0f} MiB"
            raise DataError(
                f"{self.path}: row group {group} may take {size} for a single row, and "
                f"MAX_BATCH_BYTES of facetmill/sources/parquet.py is {MAX_BATCH_BYTES // 2**20} MiB; {_SMALLER_GROUPS}"
            )
        return max(1, min(_BATCH_ROWS, (MAX_BATCH_BYTES - held) // max(1, longest_row)))

    def _require_honest(self, num_bytes: int, what: str) -> None:
        most = max(ALWAYS_FINE, MAX_RATIO * self.path.stat().st_size)
        if num_bytes > most:
            raise DataError(
                f"{self.path}, {what}: becomes more than {most / 2**20:,.0f} MiB, as a decompression bomb does; "
                f"MAX_RATIO of facetmill/sources/parquet.py is {MAX_RATIO:,} times the file. If it is honest, write it "
                "without compression and dictionaries"
            )


def _require_short_footer(path: Path) -> None:
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        footer, magic = int.from_bytes(stream.read(4), "little"), stream.read(4)
        if magic == b"PAR1" and _MAX_FOOTER < footer < size:
            raise DataError(f"{path}: its footer has {footer:,} bytes, more than {_MAX_FOOTER:,}; {_SMALLER_GROUPS}")


def _belongs(leaf: str, columns: Collection[str]) -> bool:
    """Whether a leaf "facets.key_value.key" is of one of the columns; the name of a column may have dots, too."""
    return leaf in columns or any(leaf[:at] in columns for at, char in enumerate(leaf) if char == ".")


def _is_readable(kind: pa.DataType) -> bool:
    """Text, numbers, yes and no, nothing; lists of them; and maps from text to any of it."""
    if pa.types.is_map(kind):
        return _is_text(kind.key_type) and not pa.types.is_map(kind.item_type) and _is_readable(kind.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_plain(kind.value_type)
    return _is_plain(kind)


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return (
        _is_text(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _most_in_lists(page: Page) -> int:
    """The most that the values of a page may take, all of which may be of one row."""
    if page.indexed:
        return page.num_values * _INDEX_BYTES
    return page.num_values * (_INDEX_BYTES + page.num_bytes * page.repeats) + page.num_bytes


def _spelled_bytes(array: pa.Array) -> int:
    """What the cells of a column are as text."""
    if pa.types.is_dictionary(array.type):
        return pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0
    if pa.types.is_map(array.type):
        return _spelled_bytes(_inner(array, array.keys)) + _spelled_bytes(_inner(array, array.items))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _spelled_bytes(_inner(array, array.values))
    num_bytes: int = array.nbytes
    return num_bytes


def _inner(array: pa.Array, values: pa.Array) -> pa.Array:
    """Those values that stand in a list of this column, which may be a slice of a longer one."""
    begin, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
    return values.slice(begin, end - begin)


def _batch_rows(path: Path, before: int, batch: pa.RecordBatch, num_bytes: int) -> Rows:
    if num_bytes <= MAX_ROW_BYTES:
        try:
            yield from map(Row, range(before + 1, before + 1 + batch.num_rows), _fields(batch))
            return
        except (UnicodeDecodeError, KeyError):
            pass  # one of them is to blame
    for index in range(batch.num_rows):
        yield _one_row(path, before + index + 1, batch.slice(index, 1))


def _one_row(path: Path, number: int, row: pa.RecordBatch) -> Row | BadRow:
    num_bytes = sum(map(_spelled_bytes, row.columns))
    if num_bytes > MAX_ROW_BYTES:
        return bad_row(path, number, "row", f"{num_bytes:,} bytes", Reason.ROW_TOO_LARGE)
    try:
        return Row(number, _fields(row)[0])
    except UnicodeDecodeError as error:  # Parquet does not check the encoding of its strings
        return bad_row(path, number, "row", error.object.decode(errors="replace"), Reason.WRONG_ENCODING)
    except KeyError as error:  # a map may name a key twice
        return bad_row(path, number, "row", error, Reason.DUPLICATE_KEY)


def _fields(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = batch.to_pylist(maps_as_pydicts="strict")
    return rows
