"""A table as a person keeps it, a spreadsheet or delimited text: whatever people write by hand is read here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from facetmill.sources.rows import Rows
from facetmill.sources.spreadsheets import SPREADSHEETS, read_sheet
from facetmill.sources.tables import read_table

#: Endings, in lower case; a `.gz` or `.zst` may follow those of text.
DELIMITED = (".csv", ".tsv", ".tab", ".txt")
TABLES = (*DELIMITED, *SPREADSHEETS)


def read_any_table(path: Path, looked_for: Collection[str]) -> tuple[list[str], Rows]:
    """The header and the rows (column: cell, as text) of a spreadsheet or delimited file.

    `looked_for` are names of columns, in any case, that tell how text is delimited. Raises `DataError` where there is
    no such file, or no header that names each column once.
    """
    return read_sheet(path) if path.suffix.lower() in SPREADSHEETS else read_table(path, looked_for=looked_for)
