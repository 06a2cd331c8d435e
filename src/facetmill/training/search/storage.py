"""Where studies are kept: a journal file for one host, PostgreSQL for many, and one turn at a time on either."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from facetmill.errors import FacetmillError
from facetmill.platform.locks import exclusive
from facetmill.platform.postgres import patient
from facetmill.training.search.journal import replaying

LOCK_KEY = 4_216_003  # of PostgreSQL's advisory locks, which are numbers


def open_storage(storage: str | Path) -> BaseStorage:
    """A journal file by its path, or PostgreSQL by its URL. Raises `PlatformError` for a journal that is damaged.

    Tables are made on first use, which two processes must not do at once: hold `turn` meanwhile. The database may not
    be MLflow's or Prefect's, since each of the three keeps its own `alembic_version` table.
    """
    if url := _database_url(storage):
        opened = RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        patient(opened.engine)
        return opened
    path = Path(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_torn_line(path)
    with replaying(path):
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_WriteLock(path)))


@contextmanager
def turn(storage: str | Path) -> Iterator[None]:
    """Be the only process that changes which trials run. The lock of a process that dies is free at once, and so is
    that of a connection that is cut off."""
    if url := _database_url(storage):
        engine = patient(create_engine(url, poolclass=NullPool))
        connection = engine.connect()
        try:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            yield
        finally:
            with suppress(SQLAlchemyError):  # it was cut off, and nothing is left to give back
                connection.close()
    else:
        path = Path(storage)
        with exclusive(path.with_name(path.name + ".turn"), "choosing trials"):
            yield


def _database_url(storage: str | Path) -> str | None:
    scheme, found, rest = str(storage).partition("://")
    if not found:
        return None
    if scheme not in ("postgresql", "postgresql+psycopg"):
        raise FacetmillError(f"study storage: {scheme}: is not supported; give a postgresql:// URL or a file")
    return f"postgresql+psycopg://{rest}"


class _WriteLock(BaseJournalFileLock):
    """A lock that the system releases when its holder dies. Optuna's own stays, and stops everyone for 30 seconds."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + ".writing")
        self._handle = -1

    def acquire(self) -> bool:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        self._handle = handle  # only its holder may write here: threads share this object
        return True

    def release(self) -> None:
        os.close(self._handle)


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without an end, left by a crash in mid-write; Optuna would fail on it for ever."""
    if not path.exists():
        return
    lock = _WriteLock(path)
    lock.acquire()
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    finally:
        lock.release()
