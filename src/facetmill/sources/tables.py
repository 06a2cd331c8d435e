"""Delimited text as rows, each within bounds and none skipped in silence.

Rows are numbered as a spreadsheet numbers them: the header is row 1, a cell of several lines is one row, an empty row
counts. Rows and columns with nothing in any cell are none.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from io import StringIO
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason
from facetmill.sources.rows import MAX_ROW_BYTES, Opened, Row, Rows, bad_row, whole_lines
from facetmill.sources.text_files import WINDOWS_1252, text_file

#: Of a table. Reading takes time in proportion to rows times columns, so more is no trouble but memory.
MAX_COLUMNS = 100_000

#: The number of each row and its cells.
Cells: TypeAlias = Iterator[tuple[int, list[str]] | BadRow]

_NAMES_SHOWN = 20
_DELIMITERS = (",", ";", "\t", "|")  # spreadsheets write a semicolon where a comma is the decimal point
_HINT = re.compile(r"sep=([^\w\s\"']|\t)\r?\n", re.IGNORECASE)  # Excel's first line, which it does not show
_START = 2**16  # bytes that a delimiter is told by
_START_ROWS = 20
#: What nobody sees at the ends of a column's name: BOMs, zero-width spaces and joiners, marks of direction.
_UNSEEN = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\xad"


def read_table(path: Path, delimiter: str | None = None, looked_for: Collection[str] = ()) -> tuple[list[str], Rows]:
    """The header and the rows (column: cell) of a delimited file with quotes as spreadsheets write them.

    Without `delimiter` it is told by the content, comma, semicolon, tab or `|`: by which most of the columns
    `looked_for` are there, then by which most rows have as many cells as the header. Raises `DataError` for a header
    that is missing, names a column twice, or has too many.
    """
    file = text_file(path)
    with file.opened() as stream:
        start = stream.read(_START).decode(errors="replace")
    hint = _HINT.match(start) if delimiter is None else None
    if hint:
        delimiter = hint[1]
    elif delimiter is None:
        delimiter = _delimiter(start, looked_for)
    header, rows = table_of(path, _cells(path, file.opened, delimiter, num_hidden=1 if hint else 0))
    if file.encoding == WINDOWS_1252:
        told = BadRow(str(path), 1, "file", "save it as UTF-8 to be sure", Reason.READ_AS_WINDOWS_1252)
        rows = chain([told], rows)
    return header, rows


def table_of(path: Path, cells: Cells) -> tuple[list[str], Rows]:
    """The header and the rows of a table whose first row that is not empty names its columns.

    Raises `DataError` as `read_table` does.
    """
    cells = (row for row in cells if isinstance(row, BadRow) or any(map(str.strip, row[1])))
    first = next(cells, None)
    if first is None:
        raise DataError(f"{path}: no header line")
    if isinstance(first, BadRow):
        raise DataError(f"{path}: the header cannot be read: {first}")
    header = [seen_name(name) for name in first[1]]
    require_distinct(path, header, nameless=True)
    return [name for name in header if name], _table_rows(path, header, cells)


def seen_name(name: str) -> str:
    """The name of a column without what nobody sees around it."""
    return name.strip().strip(_UNSEEN).strip()


def _delimiter(start: str, looked_for: Collection[str]) -> str:
    wanted = {name.casefold() for name in looked_for}
    best, most = ",", (-1, -1.0, -1)
    for delimiter in _DELIMITERS:
        header, *rows = _first_rows(start, delimiter) or [[""]]
        found = len(wanted & {seen_name(name).casefold() for name in header})
        alike = sum(len(row) == len(header) for row in rows) / len(rows) if rows else 1.0
        if len(header) > 1 and (found, alike, len(header)) > most:
            best, most = delimiter, (found, alike, len(header))
    return best


def _first_rows(start: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(StringIO(start, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) > _START_ROWS:
                break
    except csv.Error:
        pass  # of a row that will be told of, or that the start cuts off
    return rows[:-1] if len(rows) > 2 else rows  # the last may be cut off


def require_distinct(path: Path, header: Sequence[str], *, nameless: bool = False) -> None:
    """Raises `DataError` where the columns of a table are too many, or one has the name of another, or none, which may
    be if `nameless`."""
    if len(header) > MAX_COLUMNS:
        raise DataError(
            f"{path}: {len(header):,} columns, and MAX_COLUMNS of facetmill/sources/tables.py is {MAX_COLUMNS:,}; "
            "put attributes into one column `facets`, as JSON"
        )
    seen: set[str] = set()
    for position, name in enumerate(header, start=1):
        if not name and nameless:
            continue
        if not name or name in seen:
            raise DataError(f"{path}: header column {position} {'repeats ' + repr(name) if name else 'is empty'}")
        seen.add(name)


def require_columns(path: Path, header: Sequence[str], *columns: str) -> None:
    """Raises `DataError` where the header of a table lacks one of them."""
    if lacking := [column for column in columns if column not in header]:
        raise DataError(f"{path}: no column {', '.join(lacking)}; the header has {shown_names(header)}")


def shown_names(header: Sequence[str]) -> str:
    """The columns for a message: the first of them, and how many more."""
    more = len(header) - _NAMES_SHOWN
    return ", ".join(header[:_NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _table_rows(path: Path, header: Sequence[str], rows: Cells) -> Rows:
    names = [name for name in header if name]
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        number, cells = row
        if len(cells) == len(names) == len(header):
            yield Row(number, dict(zip(names, cells, strict=True)))
            continue
        named = dict(zip(header, cells, strict=False))
        extra = next(
            (at for at, cell in enumerate(cells) if not (at < len(header) and header[at]) and cell.strip()), None
        )
        if extra is not None:
            yield bad_row(path, number, f"column {extra + 1}", cells[extra], Reason.BROKEN_TABLE_ROW)
        elif missing := next((name for name in names if name not in named), None):
            yield bad_row(path, number, missing, "\t".join(cells), Reason.MISSING_FIELD)
        else:
            yield Row(number, {name: named[name] for name in names})


def _cells(path: Path, opened: Opened, delimiter: str, num_hidden: int) -> Cells:
    """The rows of a file. The first `num_hidden` are neither given nor counted."""
    lines = _RowLines(path, opened, delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for _ in islice(reader, num_hidden):
        pass
    while True:
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _RowGivenUp:
            cells = []
        except csv.Error as error:  # an unclosed quote ends here too: csv refuses cells above 128 KiB
            said = "a line end (CR) inside a cell without quotes" if "new-line" in str(error) else error
            lines.blame(said, Reason.BROKEN_TABLE_ROW)
        yield lines.fault or (lines.number, cells)


class _RowGivenUp(Exception):
    """A row is too large, or where it ends cannot be known."""


class _RowLines:
    """The lines of a table for `csv.reader`, and what is known of the row that is being read: its `number`, and in
    `fault` the first thing wrong with it."""

    def __init__(self, path: Path, opened: Opened, delimiter: str) -> None:
        self._path, self._delimiter, self._lines = path, delimiter, whole_lines(path, opened=opened)
        self.number = 0
        self.fault: BadRow | None = None
        self._num_bytes = self._num_cells = 0

    def begin_row(self) -> None:
        self.number += 1
        self.fault = None
        self._num_bytes = self._num_cells = 0

    def blame(self, value: object, reason: Reason) -> None:
        self.fault = self.fault or bad_row(self._path, self.number, "line", value, reason)

    def __iter__(self) -> _RowLines:
        return self

    def __next__(self) -> str:
        _, text, reason = next(self._lines)
        self._num_bytes += len(text)
        self._num_cells += text.count(self._delimiter)
        if reason:
            self.blame(text[:80], reason)
        if self._num_bytes > MAX_ROW_BYTES or self._num_cells >= MAX_COLUMNS:
            self.blame(f"more than {MAX_COLUMNS:,} cells or {MAX_ROW_BYTES:,} bytes", Reason.ROW_TOO_LARGE)
        if reason is Reason.LINE_TOO_LONG or (self.fault and self.fault.reason is Reason.ROW_TOO_LARGE):
            raise _RowGivenUp
        return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
