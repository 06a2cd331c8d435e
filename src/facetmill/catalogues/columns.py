"""The columns of a shop's file as its first rows fill them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from facetmill.errors import DataError
from facetmill.sources.any_table import read_any_table
from facetmill.sources.base import BadRow
from facetmill.sources.parquet import ParquetTable
from facetmill.sources.products import OBJECTS, PARQUET, SUFFIXES, catalogue_files, kind_of, read_objects, usual_names
from facetmill.sources.rows import Row, without_unknown

MAX_ROWS = 2000


@dataclass
class Column:
    """`cells` are the cells of the rows looked at that say something, as text, in their order."""

    name: str
    cells: list[str] = field(default_factory=list)

    @property
    def distinct(self) -> set[str]:
        return set(self.cells)


@dataclass(frozen=True)
class Looked:
    """The file that was looked at, its columns in their order, and how many rows of it were read."""

    file: Path
    columns: Mapping[str, Column]
    num_rows: int


def look(path: Path) -> Looked:
    """The first `MAX_ROWS` rows of a file, or of the first file of a folder. Rows that cannot be read are passed over:
    a build counts them. Raises `DataError` where it is no table of products."""
    files = catalogue_files(path)
    file = next((file for file in files if kind_of(file) in SUFFIXES), files[0])
    header, rows = _open(file)
    columns = {name: Column(name) for name in header}
    num_rows = 0
    for row in islice(rows, MAX_ROWS):
        num_rows += 1
        for name, value in row.fields.items():
            column = columns.setdefault(name, Column(name))
            column.cells += [text for cell in (value if isinstance(value, list) else [value]) if (text := _text(cell))]
    if not num_rows:
        raise DataError(f"{file}: no row that can be read")
    return Looked(file, columns, num_rows)


def _open(file: Path) -> tuple[list[str], Iterator[Row]]:
    kind = kind_of(file)
    if kind in OBJECTS:
        header, rows = [], read_objects(file)
    elif kind == PARQUET:
        table = ParquetTable(file)
        header, rows = table.header, table.rows(table.header)
    else:
        header, rows = read_any_table(file, list(usual_names()))
    return header, (row for row in without_unknown(file, rows) if not isinstance(row, BadRow))


def _text(cell: Any) -> str:
    return "" if cell is None or isinstance(cell, dict) else str(cell).strip()
