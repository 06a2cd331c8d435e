"""CSV as rows, each within bounds and none skipped in silence."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason
from facetmill.sources.rows import MAX_ROW_BYTES, Row, Rows, bad_row, whole_lines

#: Of a table. Reading takes time in proportion to rows times columns, so more is no trouble but memory.
MAX_COLUMNS = 100_000

_NAMES_SHOWN = 20


def read_table(path: Path, delimiter: str) -> tuple[list[str], Rows]:
    """The header and the rows (column: cell) of a delimited file with quotes as spreadsheets write them.

    A row is numbered by the line it starts on; blank lines are no rows, and in a quoted cell they are part of it.
    Raises `DataError` for a header that is missing, names a column twice or not at all, or has too many.
    """
    rows = _cells(path, delimiter)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: no header line")
    if isinstance(first, BadRow):
        raise DataError(f"{path}: the header cannot be read: {first}")
    header = [name.strip() for name in first[1]]
    require_distinct(path, header)
    return header, _table_rows(path, header, rows)


def require_distinct(path: Path, header: Sequence[str]) -> None:
    """Raises `DataError` where the columns of a table are too many, or one has no name or that of another."""
    if len(header) > MAX_COLUMNS:
        raise DataError(
            f"{path}: {len(header):,} columns, and MAX_COLUMNS of facetmill/sources/tables.py is {MAX_COLUMNS:,}; "
            "put attributes into one column `facets`, as JSON"
        )
    seen: set[str] = set()
    for position, name in enumerate(header, start=1):
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


def _table_rows(path: Path, header: Sequence[str], rows: Iterator[tuple[int, list[str]] | BadRow]) -> Rows:
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        number, cells = row
        if len(cells) < len(header):
            yield bad_row(path, number, header[len(cells)], "\t".join(cells), Reason.MISSING_FIELD)
        elif len(cells) > len(header):
            yield bad_row(path, number, f"column {len(header) + 1}", cells[len(header)], Reason.BROKEN_TABLE_ROW)
        else:
            yield Row(number, dict(zip(header, cells, strict=True)))


def _cells(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]] | BadRow]:
    """The line that each row starts on, and its cells."""
    lines = _RowLines(path, delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _RowGivenUp:
            cells = []
        except csv.Error as error:  # an unclosed quote ends here too: csv refuses cells above 128 KiB
            lines.blame(error, Reason.BROKEN_TABLE_ROW)
        if lines.fault:
            yield lines.fault
        elif not lines.blank:
            yield lines.first, cells


class _RowGivenUp(Exception):
    """A row is too large, or where it ends cannot be known."""


class _RowLines:
    """The lines of a table for `csv.reader`, and what is known of the row that is being read: `first` is its first
    line, `fault` the first thing wrong with it, `blank` whether nothing stands in it."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self._path, self._delimiter, self._lines = path, delimiter, whole_lines(path)
        self.begin_row()

    def begin_row(self) -> None:
        self.first, self.blank = 0, True
        self.fault: BadRow | None = None
        self._num_bytes = self._num_cells = 0

    def blame(self, value: object, reason: Reason) -> None:
        self.fault = self.fault or bad_row(self._path, self.first, "line", value, reason)

    def __iter__(self) -> _RowLines:
        return self

    def __next__(self) -> str:
        number, text, reason = next(self._lines)
        self.first = self.first or number
        self.blank = self.blank and not text.strip()
        self._num_bytes += len(text)
        self._num_cells += text.count(self._delimiter)
        if reason:
            self.fault = self.fault or bad_row(self._path, number, "line", text[:80], reason)
        if self._num_bytes > MAX_ROW_BYTES or self._num_cells >= MAX_COLUMNS:
            self.blame(f"more than {MAX_COLUMNS:,} cells or {MAX_ROW_BYTES:,} bytes", Reason.ROW_TOO_LARGE)
        if reason is Reason.LINE_TOO_LONG or (self.fault and self.fault.reason is Reason.ROW_TOO_LARGE):
            raise _RowGivenUp
        return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
