"""The pages of a Parquet file by their headers, which say how large each becomes before anything is unpacked.

What the file's own footer says of sizes is somebody's word; a reader allocates what these headers say. They are structs
of Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from facetmill.errors import DataError

_HEADER_BYTES = 2**10  # nearly always enough; a header with long minima and maxima is read again
_LONGEST_HEADER = 2**20

_DICTIONARY_PAGE = 2
#: Kind of page: the field that describes it, and in that the field of its encoding; field 1 is the number of values.
_DESCRIBED = {0: (5, 2), _DICTIONARY_PAGE: (7, 2), 3: (8, 4)}
_INDEXED = frozenset({2, 8})  # encodings whose values are numbers of entries of the dictionary
_DELTA_STRINGS = 7  # each value may repeat the whole of the one before


@dataclass(frozen=True, slots=True)
class Page:
    """`num_bytes` is its size unpacked. `indexed`: its values stand in the dictionary page, not here. `repeats`: its
    values may be longer together than the page is."""

    num_bytes: int
    num_values: int
    is_dictionary: bool
    indexed: bool
    repeats: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """The bytes [start, end) of a file that hold a column of a row group."""

    start: int
    end: int


def column_chunks(path: Path) -> list[list[Chunk]]:
    """The columns of each row group as the footer has them, and as Arrow looks for them. (To ask Arrow itself ends the
    process where a footer is damaged.) Raises `DataError` where the footer cannot be read."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(size - 8)
        footer = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, size - 8 - footer))
        said = _Struct(stream.read(footer))
    try:
        return [[_chunk(column[3]) for column in group[1]] for group in said.fields().get(4, [])]
    except (IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{path}: its footer cannot be read: {error!r}") from None


def _chunk(said: dict[int, Any]) -> Chunk:
    start, dictionary = said[9], said.get(11, 0)
    if 0 < dictionary < start:
        start = dictionary
    return Chunk(start, start + said[7])


def column_pages(path: Path, stream: IO[bytes], chunk: Chunk) -> Iterator[Page]:
    """The pages of a column chunk. Raises `DataError` where they are not."""
    at = chunk.start
    while at < chunk.end:
        try:
            page, num_bytes = _page(stream, at)
        except (IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise DataError(f"{path}: no page of a column at byte {at:,}: {error!r}") from None
        yield page
        at += num_bytes


def _page(stream: IO[bytes], at: int) -> tuple[Page, int]:
    """The page at a place of the file, and how many bytes of the file it takes."""
    size = _HEADER_BYTES
    while True:
        stream.seek(at)
        header = _Struct(stream.read(size))
        try:
            fields = header.fields()
        except IndexError:
            if size >= _LONGEST_HEADER:
                raise
            size = _LONGEST_HEADER
            continue
        kind, num_bytes, packed_bytes = fields[1], fields[2], fields[3]
        description, encoding = _DESCRIBED[kind]
        num_values = fields[description][1]
        if min(num_bytes, packed_bytes, num_values) < 0:
            raise ValueError("a size is negative")
        encoding = fields[description][encoding]
        is_dictionary = kind == _DICTIONARY_PAGE
        indexed = not is_dictionary and encoding in _INDEXED
        return Page(num_bytes, num_values, is_dictionary, indexed, encoding == _DELTA_STRINGS), header.at + packed_bytes


class _Struct:
    """The fields of a struct by their ids: numbers, structs, and lists of them. All else is passed over."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def fields(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            if field in found:
                raise ValueError(f"field {field} stands twice")
            found[field] = self._value(head & 15)
        return found

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:  # true, false
                return None
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._number()
            case 7:
                self.at += 8
                return None
            case 8:
                length = self._varint()
                self.at += length
                return None
            case 9 | 10:
                head = self._byte()
                length = head >> 4 if head >> 4 < 15 else self._varint()
                return [self._byte() if head & 15 <= 2 else self._value(head & 15) for _ in range(length)]
            case 12:
                return self.fields()
            case _:
                raise ValueError(f"type {kind} does not belong there")

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number without end")

    def _number(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
