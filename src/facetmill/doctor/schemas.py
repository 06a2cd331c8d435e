"""The tables of each database against the installed code: made by an older or a newer version of its tool?

The database says its revision in `alembic_version`, and each tool brings the chain of its revisions as files. Both are
read here without importing the tool or opening its server; a database that is not made yet is fine.
"""

from __future__ import annotations

import ast
import os
import shlex
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from facetmill.doctor.finding import Finding
from facetmill.errors import PlatformError
from facetmill.platform.layout import Layout

BACK_UP = "facetmill down, copy the database, then "


def check_mlflow_schema(layout: Layout) -> list[Finding]:
    """MLflow refuses to open a database of another revision."""
    from facetmill.platform.servers import MLFLOW, named_url

    path = layout.mlruns_dir / "mlflow.db"
    if named_url(MLFLOW):
        return []  # then this one is an archive
    chain = _chain(_folder("mlflow") / "store" / "db_migrations" / "versions")
    upgrade = shlex.join(["mlflow", "db", "upgrade", f"sqlite:///{path}"])
    return _compare("mlflow_schema", str(path), _revision(path), chain, "mlflow", "problem", BACK_UP + upgrade)


def check_prefect_schema(layout: Layout) -> list[Finding]:
    """Prefect brings an older database up to date when its server starts, and fails on a newer one."""
    from facetmill.platform.servers import PREFECT, named_url

    path = Path(os.environ.get("PREFECT_HOME") or layout.prefect_home) / "prefect.db"
    if named_url(PREFECT):
        return []
    chain = _chain(_folder("prefect") / "server" / "database" / "_migrations" / "versions" / "sqlite")
    upgrade = "facetmill up"
    return _compare("prefect_schema", str(path), _revision(path), chain, "prefect", "warning", BACK_UP + upgrade)


def check_study_schema(layout: Layout) -> list[Finding]:
    """Optuna's tables in FACETMILL_STORAGE, which may not be the database of another tool. A journal has none."""
    tables = _shared_tables(layout)
    if tables is None or "alembic_version" not in tables:
        return []
    chain = _chain(_folder("optuna") / "storages" / "_rdb" / "alembic" / "versions")
    revision = _shared_revision(layout)
    if "studies" not in tables and revision not in chain:
        wrong = "the database of FACETMILL_STORAGE is that of another tool (its alembic_version is not Optuna's)"
        return [Finding("study_schema", "problem", wrong, "CREATE DATABASE facetmill; and name that one instead")]
    upgrade = BACK_UP + 'optuna storage upgrade --storage "$FACETMILL_STORAGE"'
    return _compare("study_schema", "FACETMILL_STORAGE", revision, chain, "optuna", "problem", upgrade)


def check_ledger(layout: Layout) -> list[Finding]:
    """The promotion ledger has the columns that the code reads and writes."""
    from facetmill.registry.ledger import LEDGER

    path = layout.state_dir / "ledger.db"
    tables = _shared_tables(layout)
    if tables is not None:
        where, columns = "FACETMILL_STORAGE", tables.get(LEDGER.name, set())
    elif path.exists():
        where, columns = str(path), {str(row[1]) for row in _read(path, f"PRAGMA table_info({LEDGER.name})")}
    else:
        return []
    missing = {column.name for column in LEDGER.columns} - columns
    more = columns - {column.name for column in LEDGER.columns}
    if not columns or not (missing or more):
        return []
    if more:
        wrong = f"{where}: the ledger was made by a newer facetmill (unknown columns: {', '.join(sorted(more))})"
        return [Finding("ledger", "problem", wrong, "install the facetmill that wrote it")]
    wrong = f"{where}: the ledger was made by an older facetmill (missing columns: {', '.join(sorted(missing))})"
    return [Finding("ledger", "problem", wrong, f"ALTER TABLE {LEDGER.name} ADD COLUMN for each")]


def _compare(
    check: str, where: str, revision: str | None, chain: Mapping[str, set[str]], tool: str, severity: str, upgrade: str
) -> list[Finding]:
    """A revision of a database against a tool's chain, which maps each revision to those before it."""
    if revision is None:
        return []
    before = set[str]().union(*chain.values())
    heads = set(chain) - before
    if revision in heads:
        return []
    if revision in chain:
        wrong = f"{where}: is at revision {revision}, older than {'/'.join(heads)} of {tool} {version(tool)}"
        return [Finding(check, "problem" if severity == "problem" else "warning", wrong, upgrade)]
    wrong = f"{where}: revision {revision} is unknown to {tool} {version(tool)}, so a newer {tool} has written it"
    return [Finding(check, "problem", wrong, f"install that {tool} again, or restore a copy from before")]


def _folder(package: str) -> Path:
    """Where a package is installed, without importing it."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise PlatformError(f"{package} is not installed")
    return Path(found.origin).parent


def _chain(folder: Path) -> dict[str, set[str]]:
    """Each revision of a folder of Alembic scripts, and those it follows."""
    chain = {}
    for path in folder.glob("*.py"):
        values = {}
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision") and value is not None:
                values[target.id] = ast.literal_eval(value)
        if "revision" in values:
            before = values.get("down_revision") or ()
            chain[values["revision"]] = {before} if isinstance(before, str) else set(before)
    if not chain:
        raise PlatformError(f"{folder}: no revisions there")
    return chain


def _revision(path: Path) -> str | None:
    """What an SQLite database says; None where it is not made yet, or only begun."""
    if not path.exists() or not _read(path, "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"):
        return None
    rows = _read(path, "SELECT version_num FROM alembic_version")
    return str(rows[0][0]) if rows else None


def _read(path: Path, query: str) -> list[tuple[object, ...]]:
    """Read without leaving a trace: SQLite makes files beside a database in WAL mode unless it is called immutable,
    which it is while nobody has it open."""
    is_open = path.with_name(path.name + "-wal").exists()
    with (
        suppress(sqlite3.DatabaseError),  # a damaged one is for `check_records` to tell
        closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?{'mode=ro' if is_open else 'immutable=1'}", uri=True)
        ) as db,
    ):
        return db.execute(query).fetchall()
    return []


def _shared_tables(layout: Layout) -> dict[str, set[str]] | None:
    """The columns of each table in FACETMILL_STORAGE; None without one, or where `check_storage` has its say."""
    from facetmill.doctor.stores import check_storage

    if not os.environ.get("FACETMILL_STORAGE") or check_storage(layout):
        return None
    from sqlalchemy import NullPool, create_engine, inspect

    looked_at = inspect(create_engine(layout.ledger_url, poolclass=NullPool))
    return {name: {column["name"] for column in looked_at.get_columns(name)} for name in looked_at.get_table_names()}


def _shared_revision(layout: Layout) -> str | None:
    from sqlalchemy import NullPool, create_engine, text

    with create_engine(layout.ledger_url, poolclass=NullPool).connect() as connection:
        revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision
