"""Run by `spreadsheets`, as a program: the cells of a spreadsheet, a line of JSON each row.

A line is [number, [cells as text]], or [0, "name of a sheet that is not read"]. Imports nothing of Facetmill.
"""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, time, timedelta
from typing import Any

MAX_MEMORY = 2**31  # bytes of address space: some ten million cells
TOLD = "TOLD:"  # before the reason why a file cannot be read

_CPU_SECONDS = 600


def main(path: str) -> None:
    import resource

    for kind, most in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_CPU, _CPU_SECONDS)):
        _, hard = resource.getrlimit(kind)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (limit, limit))
    import python_calamine

    try:
        with open(path, "rb") as stream, python_calamine.load_workbook(stream) as book:
            _write(book)
    except (python_calamine.CalamineError, OSError, ValueError, MemoryError) as error:
        sys.stdout.flush()
        sys.exit(f"{TOLD} {str(error) or type(error).__name__}")


def _write(book: Any) -> None:
    read = False
    for sheet in book.sheets_metadata:
        if sheet.typ != type(sheet.typ).WorkSheet or sheet.visible != type(sheet.visible).Visible:
            continue
        rows = book.get_sheet_by_name(sheet.name)
        if rows.end is None:
            continue  # nothing in it
        if read:
            print(json.dumps([0, sheet.name]))
            continue
        read = True
        first_column = rows.start[1]
        for number, row in enumerate(rows.iter_rows(), start=1):
            print(json.dumps([number, [""] * first_column + list(map(_written, row))]))


def _written(cell: object) -> str:
    """A cell as a person would write it."""
    match cell:
        case bool():
            return "true" if cell else "false"
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else str(cell)
        case datetime():
            return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
        case date() | time():
            return cell.isoformat()
        case timedelta():
            return str(cell)
        case _:
            return str(cell)


if __name__ == "__main__":
    main(sys.argv[1])
