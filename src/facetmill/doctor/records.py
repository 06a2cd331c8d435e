"""What cannot be made again: the files of ledger, runs and studies are whole, they tell of one champion, and its
package is the one that was judged. Read without any server, so of embedded stores alone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facetmill.doctor.finding import Finding
from facetmill.platform.layout import Layout

RESTORE = "facetmill down && facetmill restore DIR"


def check_records(layout: Layout) -> list[Finding]:
    """Files that are gone, cut off, damaged, or something else's."""
    from facetmill.platform.server_stores import lost_mlflow_store, prefect_db
    from facetmill.platform.servers import MLFLOW, PREFECT, named_url
    from facetmill.platform.sqlite_files import damage
    from facetmill.training.search.journal import MEND, bad_line

    found = []
    if not named_url(MLFLOW):
        if lost := lost_mlflow_store(layout):
            found.append(Finding("records", "problem", lost, RESTORE))
        if wrong := damage(layout.mlflow_db, "experiments"):
            found.append(Finding("records", "problem", f"{layout.mlflow_db}: {wrong}", RESTORE))
    if not os.environ.get("FACETMILL_STORAGE"):
        if wrong := damage(layout.ledger_db, "facetmill_promotions"):
            found.append(Finding("records", "problem", f"{layout.ledger_db}: {wrong}", RESTORE))
        if wrong := bad_line(Path(layout.study_storage)):
            found.append(Finding("records", "problem", wrong, MEND))
    if not named_url(PREFECT) and (wrong := damage(prefect_db(layout), "flow_run")):
        mend = "facetmill down, then move it away: it holds the history of flow runs, and no more"
        found.append(Finding("records", "problem", f"{prefect_db(layout)}: {wrong}", mend))
    return found


def check_champion(layout: Layout) -> list[Finding]:
    """What MLflow says is live against the ledger, and the bytes of its package against the hash that was judged."""
    from facetmill.files import hash_folder
    from facetmill.platform.servers import MLFLOW, named_url

    if named_url(MLFLOW) or check_records(layout):
        return []
    live = _live(layout.mlflow_db)
    noted = None if os.environ.get("FACETMILL_STORAGE") else _noted(layout.ledger_db)
    if live is None:
        wrong = f"{layout.ledger_db}: facets/{noted} is live, but MLflow has no champion"
        return [Finding("champion", "problem", wrong, RESTORE)] if noted else []
    found = []
    if noted == 0:
        wrong = f"{layout.ledger_db}: knows of no promotion, but facets/{live.version} is live: it was lost"
        mend = f"{RESTORE}; without a back-up, facetmill adopt --why REASON"
        found.append(Finding("champion", "problem", wrong, mend))
    elif noted is not None and noted != live.version:
        wrong = f"facets/{live.version} is live in MLflow, but by the ledger it is facets/{noted}"
        found.append(Finding("champion", "problem", wrong, f"facetmill rollback --to {noted}, or {RESTORE}"))
    package = layout.artifacts_dir / live.location.removeprefix("mlflow-artifacts:/")
    if not package.is_dir() or hash_folder(package) != live.sha256:
        wrong = f"{package}: {'not what was judged' if package.is_dir() else 'missing'}; it is facets/{live.version}"
        found.append(Finding("champion", "problem", f"{wrong}, which is live", f"facetmill rollback, or {RESTORE}"))
    return found


@dataclass(frozen=True)
class _Live:
    version: int
    location: str
    sha256: str


def _live(path: Path) -> _Live | None:
    """The champion as the registry's tables have it."""
    found = _rows(
        path,
        "SELECT v.version, v.storage_location, t.value FROM registered_model_aliases AS a"
        " JOIN model_versions AS v ON v.name = a.name AND v.version = a.version"
        " LEFT JOIN model_version_tags AS t ON t.name = v.name AND t.version = v.version AND t.key = ?"
        " WHERE a.name = 'facets' AND a.alias = 'champion'",
        ("facetmill.package_sha256",),
    )
    return _Live(int(found[0][0]), str(found[0][1]), str(found[0][2])) if found else None


def _noted(path: Path) -> int | None:
    """The version that the ledger says is live, 0 where it knows of none; None while a promotion is under way."""
    rows = _rows(path, "SELECT state, to_version FROM facetmill_promotions ORDER BY id", ())
    if any(state == "pending" for state, _ in rows):
        return None
    return next((int(version) for state, version in reversed(rows) if state == "done" and version is not None), 0)


def _rows(path: Path, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
    """What a query finds; nothing where the file or its tables are still to be made."""
    if not path.is_file() or not path.stat().st_size:
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table'").fetchone():
            return []
        return database.execute(query, values).fetchall()
