"""The places that a back-up is put back to, one class a part."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import orjson

from facetmill.backup.contents import ARTIFACTS, LEDGER, MLFLOW_DB, STUDIES, Part
from facetmill.dataset.store import dvc
from facetmill.files import replace_file, replace_folder
from facetmill.platform.layout import Layout
from facetmill.platform.sqlite_files import damage, is_empty
from facetmill.registry.ledger import LEDGER as TABLE
from facetmill.registry.ledger import Entry, Ledger
from facetmill.tracking.names import ALIAS, Names

READ_ONLY = 0o444  # as DVC keeps what is in its cache


class Store(Protocol):
    """Where one part of a project is kept."""

    def here(self) -> str | None:
        """What is here that would be overwritten, in words; None for nothing."""

    def move_aside(self, folder: Path) -> None:
        """Move that to a folder, which may not be there yet."""

    def put_back(self, source: Path, names: Sequence[str]) -> None:
        """Put back these files of a back-up."""


class LedgerStore:
    """The promotion ledger, in its file or in the database that FACETMILL_STORAGE names."""

    def __init__(self, layout: Layout) -> None:
        self._url, self._path = layout.ledger_url, layout.ledger_db
        self._is_file = self._url.startswith("sqlite:")

    def here(self) -> str | None:
        if self._is_file and (wrong := damage(self._path, TABLE.name)):
            return f"{self._path}: {wrong}"
        if self._is_file and is_empty(self._path):
            return None
        ledger = Ledger(self._url)
        rows = ledger.everything()
        lives = ledger.lives()
        named = ", ".join(f"{Names(catalogue).live}/{version}" for catalogue, version in sorted(lives.items()))
        said = f"; by it {named} {'is' if len(lives) == 1 else 'are'} live" if lives else ""
        return f"{ledger.place}: {len(rows)} rows{said}" if rows else None

    def move_aside(self, folder: Path) -> None:
        if self._is_file:
            _move(folder, *_with_journals(self._path))
            return
        ledger = Ledger(self._url)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LEDGER).write_bytes(to_lines(ledger.everything()))
        ledger.clear()

    def put_back(self, source: Path, names: Sequence[str]) -> None:
        Ledger(self._url).fill(read_ledger(source / LEDGER))


class RunStore:
    """The embedded MLflow store and its artifacts."""

    def __init__(self, layout: Layout) -> None:
        self._database, self._artifacts = layout.mlflow_db, layout.artifacts_dir

    def here(self) -> str | None:
        if wrong := damage(self._database, "experiments"):
            return f"{self._database}: {wrong}"
        if self._artifacts.is_dir() and any(self._artifacts.iterdir()):
            return f"{self._artifacts} and {self._database}{self._champion()}"
        return None if is_empty(self._database) or not self._num_runs() else f"{self._database}{self._champion()}"

    def move_aside(self, folder: Path) -> None:
        _move(folder, *_with_journals(self._database), self._artifacts)

    def put_back(self, source: Path, names: Sequence[str]) -> None:
        if self._artifacts.is_dir() and not any(self._artifacts.iterdir()):
            self._artifacts.rmdir()
        with replace_folder(self._artifacts) as folder:
            for name in names:
                parts = PurePosixPath(name).parts
                if parts[0] == ARTIFACTS:
                    target = folder.joinpath(*parts[1:])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source / name, target)
        with replace_file(self._database) as database:
            shutil.copyfile(source / MLFLOW_DB, database)

    def _num_runs(self) -> int:
        counted = self._rows("SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM model_versions)")
        return int(counted[0][0]) if counted else 0

    def _champion(self) -> str:
        lives = self._rows(f"SELECT name, version FROM registered_model_aliases WHERE alias = '{ALIAS}' ORDER BY name")
        named = ", ".join(f"{name}/{version}" for name, version in lives)
        return f", in which {named} {'is' if len(lives) == 1 else 'are'} live" if lives else ""

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        if is_empty(self._database):
            return []
        with closing(sqlite3.connect(f"{self._database.absolute().as_uri()}?mode=ro", uri=True)) as database:
            try:
                return database.execute(query).fetchall()
            except sqlite3.OperationalError:  # its tables are still to be made
                return []


class StudyStore:
    """Optuna's studies, in a journal or in the database that FACETMILL_STORAGE names."""

    def __init__(self, layout: Layout) -> None:
        self._storage = layout.study_storage
        self._path = None if "://" in self._storage else Path(self._storage)

    def here(self) -> str | None:
        return None if self._path is None or is_empty(self._path) else str(self._path)

    def move_aside(self, folder: Path) -> None:
        if self._path is not None:
            _move(folder, self._path)

    def put_back(self, source: Path, names: Sequence[str]) -> None:
        """In a database, those studies that it has not got."""
        if self._path is not None:
            with replace_file(self._path) as journal:
                shutil.copyfile(source / STUDIES, journal)
            return
        import optuna

        from facetmill.training.search.storage import open_storage, turn

        with turn(self._storage):
            kept, storage = open_storage(source / STUDIES), open_storage(self._storage)
            known = optuna.get_all_study_names(storage)
            for name in optuna.get_all_study_names(kept):
                if name not in known:
                    optuna.copy_study(from_study_name=name, from_storage=kept, to_storage=storage)


class DatasetStore:
    """DVC's cache, whose files are named by their hash: what is there already stays."""

    def __init__(self, layout: Layout) -> None:
        self._cache = dvc.cache_dir(layout.root) / "files" / "md5"

    def here(self) -> str | None:
        return None

    def move_aside(self, folder: Path) -> None:
        raise AssertionError("nothing of it is ever in the way")

    def put_back(self, source: Path, names: Sequence[str]) -> None:
        for name in names:
            target = self._cache.joinpath(*PurePosixPath(name).parts[1:])
            if not target.exists():
                with replace_file(target) as copy:
                    shutil.copyfile(source / name, copy)
                os.chmod(target, READ_ONLY)


STORES: Mapping[Part, type[LedgerStore] | type[RunStore] | type[StudyStore] | type[DatasetStore]] = {
    "ledger": LedgerStore,
    "runs": RunStore,
    "studies": StudyStore,
    "datasets": DatasetStore,
}


def to_lines(rows: Sequence[Entry]) -> bytes:
    """Rows of the ledger as a back-up has them."""
    return b"".join(orjson.dumps(row.to_json(), option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def read_ledger(path: Path) -> list[Entry]:
    """The rows of a back-up, whose hash was checked."""
    return list(_entries(path.read_bytes()))


def _entries(content: bytes) -> Iterator[Entry]:
    for line in content.split(b"\n"):
        if line:
            yield Entry.from_json(orjson.loads(line))


def _with_journals(database: Path) -> list[Path]:
    """A database's file, and those that SQLite would take for a part of whatever is put in its place."""
    return [database, *(database.with_name(database.name + end) for end in ("-journal", "-wal", "-shm"))]


def _move(folder: Path, *paths: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if path.exists():
            shutil.move(path, folder / path.name)  # perhaps to another disk
