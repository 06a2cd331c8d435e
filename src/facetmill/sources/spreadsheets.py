"""Spreadsheets as rows: Excel's `.xlsx`, `.xlsm`, `.xlsb` and `.xls`, OpenDocument's `.ods`.

`python-calamine` reads them, in a process of its own (`spreadsheet_process.py`): a file of kilobytes may name a cell in
row one million, and what a reader does then is not ours to say. That process has so much memory and no more; where it
fails, the file is refused.

The first visible sheet that has a cell is read, each other is named. Cells are what is shown or stored: whole numbers
without ".0", dates as ISO writes them, formulas as their last result, and nothing where that is an error.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason
from facetmill.sources.rows import MAX_ROW_BYTES, Rows, input_file
from facetmill.sources.spreadsheet_process import MAX_MEMORY, TOLD
from facetmill.sources.tables import Cells, table_of

SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")

_PROGRAM = Path(__file__).with_name("spreadsheet_process.py")


def read_sheet(path: Path) -> tuple[list[str], Rows]:
    """The header and the rows (column: cell) of the first visible sheet that has a cell, numbered as it numbers them.

    Raises `DataError` where it cannot be read, at any time, and as `tables.table_of` does.
    """
    return table_of(path, _cells(input_file(path)))


def _cells(path: Path) -> Cells:
    for line in _lines(path):
        row = orjson.loads(line)
        if isinstance(row[1], str):
            yield BadRow(str(path), 1, "sheet", row[1], Reason.SHEET_NOT_READ)
        else:
            yield row[0], row[1]


def _lines(path: Path) -> Iterator[bytes]:
    """What the process says, row by row; it is ended where nobody reads on."""
    with subprocess.Popen(
        [sys.executable, "-I", str(_PROGRAM), str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            while line := process.stdout.readline(MAX_ROW_BYTES + 1):
                if len(line) > MAX_ROW_BYTES:
                    raise DataError(f"{path}: a row of more than {MAX_ROW_BYTES:,} bytes")
                yield line
            said = process.stderr.read(2**16).decode(errors="replace").strip()
        finally:
            process.kill()
    if process.wait() != 0 or said:
        _, told, reason = said.rpartition(TOLD)
        limit = f"it would take more than {MAX_MEMORY // 2**20:,} MiB, or is damaged"
        raise DataError(f"{path}: this spreadsheet cannot be read: {reason if told else limit}")
