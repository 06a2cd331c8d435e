"""SQLite files of ours looked at before they are used: SQLite itself makes an empty one into a new database, and a tool
finds out in the middle of its work that one is damaged or belongs to another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from facetmill.errors import PlatformError

RESTORE = "put it back from a back-up (facetmill restore DIR)"

_MAGIC = b"SQLite format 3\0"


def require_sqlite(path: Path, table: str, what: str) -> None:
    """Raises `PlatformError` for a file that is there and is not a whole SQLite database with this table. One without
    any table, or of no bytes, is as good as none. `what` says what is in it.

    A transaction that a crash has cut off is rolled back, as whoever opens the file next would do.
    """
    try:
        wrong = damage(path, table, read_only=False)
    except (OSError, sqlite3.OperationalError) as error:  # busy, or not to be opened: no damage
        raise PlatformError(f"{path}: {error}") from error
    if wrong:
        raise PlatformError(f"{path}: {wrong}, so {what} cannot be read; {RESTORE}")


def is_empty(path: Path) -> bool:
    """Whether there is no file, or none with anything in it."""
    return not path.is_file() or not path.stat().st_size


def damage(path: Path, table: str, *, read_only: bool = True) -> str | None:
    """What is wrong with the file itself; None for a whole database with this table, an empty one, or no file."""
    if path.is_dir():
        return "a folder stands in its place"
    if is_empty(path):
        return None
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            return "no SQLite database"
    try:
        name = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        with closing(sqlite3.connect(name, uri=True, timeout=60)) as database:
            tables = {str(row[0]) for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            [(said,)] = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return f"damaged ({error})"
    if said != "ok":
        return f"damaged ({said.partition(chr(10))[0]})"
    return None if not tables or table in tables else f"a database of something else (it has no table {table})"
