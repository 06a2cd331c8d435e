"""What exports of shop systems have in common: a product in several rows, columns by known names, lists in cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from facetmill.errors import DataError
from facetmill.sources.any_table import TABLES, read_any_table
from facetmill.sources.base import BadRow
from facetmill.sources.rows import Row, Rows, input_files, without_unknown
from facetmill.sources.tables import shown_names

#: The cells of one product that are not empty, by the name of their column, in lower case but for a shop's own names.
Columns: TypeAlias = Mapping[str, Sequence[str]]

#: A column that a shop has named itself.
METAFIELD = re.compile(r"(?P<name>.+) \(product\.metafields\..+\)")

_COMMA = re.compile(r"(?<!\\),")


def export_files(path: Path, *more: str) -> list[Path]:
    """`path`, or every table below the folder `path`, or file ending in one of `more`, in the order of their names.

    Raises `DataError` as `input_files` does.
    """
    return input_files(path, *TABLES, *more, ".gz", ".zst")


def read_export(path: Path, required: Sequence[str], system: str, key: Callable[[Columns], str]) -> Rows:
    """The products of a table as one row each, its fields `Columns`, numbered by its first: neighbours with one `key`
    are one product. Cells that say that nothing is known are empty, and counted.

    Raises `DataError` where a column that the export of this `system` has is not there.
    """
    header, rows = read_any_table(path, required)
    present = {name.casefold() for name in header}
    if lacking := [name for name in required if name.casefold() not in present]:
        raise DataError(f"{path}: is no {system}: no column {', '.join(lacking)}; the header has {shown_names(header)}")
    return _joined(without_unknown(path, rows), key)


def _joined(rows: Rows, key: Callable[[Columns], str]) -> Rows:
    first, last_key = 0, ""
    product: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        cells = {_known_name(name): [cell] for name, cell in row.fields.items() if cell and cell.strip()}
        row_key = key(cells)
        if first and row_key and row_key == last_key:
            for name, more in cells.items():
                product.setdefault(name, []).extend(more)
            continue
        if first:
            yield Row(first, product)
        first, last_key, product = row.number, row_key, cells
    if first:
        yield Row(first, product)


def _known_name(column: str) -> str:
    return column if METAFIELD.fullmatch(column) else column.casefold()


def first_of(columns: Columns, *names: str) -> str:
    """The first cell of the first of these columns that has one; empty without."""
    return next((columns[name][0] for name in names if name in columns), "")


def listed(cell: str) -> Iterator[str]:
    """What stands between the commas of a cell; one behind a backslash is none."""
    for part in _COMMA.split(cell):
        if text := part.replace("\\,", ",").strip():
            yield text


def listed_in(columns: Columns, *names: str) -> list[str]:
    """What stands between the commas of all cells of these columns, each once."""
    cells = (cell for name in names for cell in columns.get(name, ()))
    return list(dict.fromkeys(text for cell in cells for text in listed(cell)))
