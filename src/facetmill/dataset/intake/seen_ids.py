"""Which ids of products there have been, however many."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

_IN_MEMORY = 100_000  # some ten megabytes


class SeenIds:
    """The ids so far: the latest in memory, all others in a private temporary database on disk."""

    def __init__(self) -> None:
        self._latest: set[str] = set()
        self._stored = 0
        self._database = sqlite3.connect("", isolation_level=None)  # an empty name: on disk, gone when closed
        self._database.execute("PRAGMA cache_size = -65536")  # KiB; what does not fit goes to disk
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, product_ids: Collection[str]) -> bool:
        """Whether all of them are new and no two alike; if not, none is added."""
        new = set(product_ids)
        if len(new) < len(product_ids) or not new.isdisjoint(self._latest) or any(map(self._is_stored, new)):
            return False
        self._latest |= new
        if len(self._latest) > _IN_MEMORY:
            self._database.executemany("INSERT INTO ids VALUES (?)", zip(self._latest))
            self._stored += len(self._latest)
            self._latest.clear()
        return True

    def _is_stored(self, product_id: str) -> bool:
        if not self._stored:
            return False
        return self._database.execute("SELECT 1 FROM ids WHERE id = ?", (product_id,)).fetchone() is not None

    def close(self) -> None:
        self._database.close()
