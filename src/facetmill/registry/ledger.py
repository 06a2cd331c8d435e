"""The promotion ledger: who put which model live, when, why, and what every gate said. Rows are only ever added.

MLflow keeps no history of an alias, so this is the only record of what was live when.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.schema import CreateColumn, CreateTable

from facetmill.errors import PlatformError
from facetmill.params.catalogue import DEMO, MAX_NAME
from facetmill.platform.locks import exclusive
from facetmill.platform.postgres import patient
from facetmill.platform.sqlite_files import require_sqlite
from facetmill.tracking.names import Names

State = Literal["pending", "done", "rejected", "failed", "waiting", "refused"]

LOCK_KEY = 4_216_001  # of PostgreSQL's advisory locks, which are numbers
LOCK_TIMEOUT = 300.0  # seconds

LEDGER = Table(
    "facetmill_promotions",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("when", String(32), nullable=False),  # ISO 8601, UTC: the same text in every database
    Column("who", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("candidate_version", Integer, nullable=False),
    Column("from_version", Integer),
    Column("to_version", Integer),
    Column("dataset_version", String(64), nullable=False),
    Column("decision", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("catalogue", String(MAX_NAME), nullable=False, server_default=DEMO),
)


@dataclass(frozen=True)
class Entry:
    """One row. `from_version` and `to_version` are versions of the catalogue's live model: None = none was live, none
    is new. Rows from before there were catalogues are of `demo`."""

    id: int
    when: datetime
    who: str
    why: str
    candidate_version: int
    from_version: int | None
    to_version: int | None
    dataset_version: str
    decision: Mapping[str, Any]
    state: State
    catalogue: str = DEMO

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `when` as ISO 8601 in UTC."""
        return {**asdict(self), "when": self.when.isoformat()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Entry:
        """The inverse of `to_json`."""
        return cls(**{**raw, "when": datetime.fromisoformat(raw["when"])})


class Ledger:
    """What the ledger behind an SQLAlchemy URL, SQLite or PostgreSQL, has of one catalogue; its table is made where it
    is missing, and one from before there were catalogues gets their column (`num_migrated` rows had none). A file that
    is damaged, or something else, is a `PlatformError`. PostgreSQL must be there when it is opened, and is waited for
    afterwards."""

    def __init__(self, url: str, catalogue: str = DEMO) -> None:
        self.names = Names(catalogue)
        self._url = make_url(url)
        if self._url.get_backend_name() == "sqlite":
            self._sqlite_path.parent.mkdir(parents=True, exist_ok=True)
            require_sqlite(self._sqlite_path, LEDGER.name, "who put which model live")
        self._engine: Engine = create_engine(self._url, pool_pre_ping=True)
        with self._engine.begin() as connection:
            if not self._is_sqlite:  # PostgreSQL's IF NOT EXISTS fails when two come at once
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY + 1})
            connection.execute(CreateTable(LEDGER, if_not_exists=True))
            self.num_migrated = _add_catalogue(connection)
        patient(self._engine)

    def of(self, catalogue: str) -> Ledger:
        """The same ledger for another catalogue."""
        other = copy(self)
        other.names = Names(catalogue)
        return other

    def append(
        self,
        *,
        who: str,
        why: str,
        candidate_version: int,
        from_version: int | None,
        dataset_version: str,
        decision: Mapping[str, Any],
        state: Literal["pending", "rejected", "waiting", "refused"],
    ) -> int:
        """Add a row and return its id. `decision` is plain JSON; NaN in it is refused. Raises `PlatformError` where
        nobody is named who wants it."""
        if not who.strip():
            raise PlatformError("the ledger keeps who wants it; say who (--who)")
        row = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": who,
            "why": why,
            "candidate_version": candidate_version,
            "from_version": from_version,
            "dataset_version": dataset_version,
            "decision": _json(decision),
            "state": state,
            "catalogue": self.names.catalogue,
        }
        with self._engine.begin() as connection:
            return int(connection.execute(LEDGER.insert().values(row).returning(LEDGER.c.id)).scalar_one())

    def close(self, row_id: int, state: Literal["done", "failed"], to_version: int | None = None) -> None:
        """End a pending row, the only change that a row ever sees. Raises `PlatformError` for any other row."""
        change = LEDGER.update().where(LEDGER.c.id == row_id, LEDGER.c.state == "pending")
        with self._engine.begin() as connection:
            if connection.execute(change.values(state=state, to_version=to_version)).rowcount != 1:
                raise PlatformError(f"ledger row {row_id} is not pending, so it cannot become {state}")

    def history(self) -> list[Entry]:
        """Every row of the catalogue, oldest first."""
        return [entry for entry in self.everything() if entry.catalogue == self.names.catalogue]

    def everything(self) -> list[Entry]:
        """Every row of every catalogue, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(LEDGER.select().order_by(LEDGER.c.id)).mappings().all()
        return [_entry(row) for row in rows]

    def catalogues(self) -> list[str]:
        """Those that have a row, by name."""
        with self._engine.connect() as connection:
            return sorted(connection.execute(select(LEDGER.c.catalogue).distinct()).scalars())

    def lives(self) -> dict[str, int]:
        """The version that is live by the ledger, by catalogue."""
        return {
            entry.catalogue: entry.to_version
            for entry in self.everything()
            if entry.state == "done" and entry.to_version is not None
        }

    def fill(self, entries: Sequence[Entry]) -> None:
        """Put rows into a ledger that has none, under the ids that they had. Raises `PlatformError` where it has."""
        rows = [
            {**asdict(entry), "when": entry.when.isoformat(), "decision": _json(entry.decision)} for entry in entries
        ]
        with self._engine.begin() as connection:
            if connection.execute(LEDGER.select().limit(1)).first() is not None:
                raise PlatformError(f"the ledger at {self.place} has rows already")
            if rows:
                connection.execute(LEDGER.insert(), rows)
            if rows and not self._is_sqlite:  # where the next id comes from
                sequence = f"SELECT setval(pg_get_serial_sequence('{LEDGER.name}', 'id'), :last)"
                connection.execute(text(sequence), {"last": max(entry.id for entry in entries)})

    def clear(self) -> None:
        """Remove every row, which only a restore does, after it has copied them elsewhere."""
        with self._engine.begin() as connection:
            connection.execute(LEDGER.delete())

    def pending(self) -> list[Entry]:
        """Rows of the catalogue that are being worked on, or that a crash has left."""
        return [entry for entry in self.history() if entry.state == "pending"]

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One promotion at a time: on this machine by a lock file, on PostgreSQL on every machine that uses it."""
        if self._is_sqlite:
            with exclusive(self._sqlite_path.parent / "promotion.lock", "promoting", LOCK_TIMEOUT):
                yield
            return
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"SET lock_timeout = {int(LOCK_TIMEOUT * 1000)}"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            try:
                yield
            finally:
                with suppress(DBAPIError):  # it was cut off, and its lock with it
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})

    @property
    def place(self) -> str:
        """Where it is, as it can be shown."""
        return str(self._sqlite_path) if self._is_sqlite else self._url.render_as_string(hide_password=True)

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @property
    def _sqlite_path(self) -> Path:
        return Path(self._url.database or "ledger.db")


def _add_catalogue(connection: Connection) -> int:
    """Give a table from before there were catalogues their column; returns the number of its rows."""
    if any(column["name"] == "catalogue" for column in inspect(connection).get_columns(LEDGER.name)):
        return 0
    column = CreateColumn(LEDGER.c.catalogue).compile(connection)
    try:
        connection.execute(text(f"ALTER TABLE {LEDGER.name} ADD COLUMN {column}"))
    except OperationalError as error:  # SQLite has no lock to wait for: another process was faster
        if "duplicate column" not in str(error):
            raise
        return 0
    return int(connection.execute(select(func.count()).select_from(LEDGER)).scalar_one())


def _json(decision: Mapping[str, Any]) -> str:
    return json.dumps(decision, ensure_ascii=False, sort_keys=True, allow_nan=False)


def _entry(row: Mapping[Any, Any]) -> Entry:
    values = dict(row)
    return Entry(
        **{**values, "when": datetime.fromisoformat(values["when"]), "decision": json.loads(values["decision"])}
    )
