"""What cannot be made again: the files of ledger, runs and studies are whole, they tell of the same champions,
and their packages are those that were judged. Read without any server, so of embedded stores alone.
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

DEMO, IN_HAND = "demo", "facets"  # the catalogue and its registered model, named here so that nothing is imported
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
    from facetmill.platform.servers import MLFLOW, named_url

    if named_url(MLFLOW) or check_records(layout):
        return []
    lives = _lives(layout.mlflow_db)
    noted = None if os.environ.get("FACETMILL_STORAGE") else _noted(layout.ledger_db)
    names = {name for name, live in lives.items() if live.is_ours} | (noted or {}).keys()
    return [
        finding
        for name in sorted(names)
        for finding in _check(layout, name, lives.get(name), None if noted is None else noted.get(name, 0))
    ]


def _check(layout: Layout, name: str, live: _Live | None, noted: int | None) -> list[Finding]:
    """What is wrong with one catalogue's champion; `noted` is the version that its ledger says is live."""
    from facetmill.files import hash_folder

    option = f"--catalogue {DEMO if name == IN_HAND else name}"
    if live is None:
        wrong = f"{layout.ledger_db}: {name}/{noted} is live, but MLflow has no champion"
        mend = f"facetmill rollback {option} --to {noted} --why REASON, or {RESTORE}"
        return [Finding("champion", "problem", wrong, mend)] if noted else []
    found = []
    if noted == 0:
        wrong = f"{layout.ledger_db}: knows of no promotion, but {name}/{live.version} is live: it was lost"
        mend = f"{RESTORE}; without a back-up, facetmill adopt {option} --why REASON"
        found.append(Finding("champion", "problem", wrong, mend))
    elif noted is not None and noted != live.version:
        wrong = f"{name}/{live.version} is live in MLflow, but by the ledger it is {name}/{noted}"
        mend = f"facetmill rollback {option} --to {noted} --why REASON, or {RESTORE}"
        found.append(Finding("champion", "problem", wrong, mend))
    package = layout.artifacts_dir / live.location.removeprefix("mlflow-artifacts:/")
    if not package.is_dir() or hash_folder(package) != live.sha256:
        wrong = f"{package}: {'not what was judged' if package.is_dir() else 'missing'}; it is {name}/{live.version}"
        mend = f"facetmill rollback {option}, or {RESTORE}"
        found.append(Finding("champion", "problem", f"{wrong}, which is live", mend))
    return found


@dataclass(frozen=True)
class _Live:
    version: int
    location: str
    sha256: str
    is_ours: bool


def _lives(path: Path) -> dict[str, _Live]:
    """The champions as the registry's tables have them, by registered model."""
    found = _rows(
        path,
        "SELECT a.name, v.version, v.storage_location, t.value, c.value FROM registered_model_aliases AS a"
        " JOIN model_versions AS v ON v.name = a.name AND v.version = a.version"
        " LEFT JOIN model_version_tags AS t ON t.name = v.name AND t.version = v.version AND t.key = ?"
        " LEFT JOIN registered_model_tags AS c ON c.name = a.name AND c.key = ?"
        " WHERE a.alias = 'champion'",
        ("facetmill.package_sha256", "facetmill.catalogue"),
    )
    return {
        str(name): _Live(int(version), str(location), str(sha256), name == IN_HAND or catalogue is not None)
        for name, version, location, sha256, catalogue in found
    }


def _noted(path: Path) -> dict[str, int] | None:
    """The versions that the ledger says are live, by registered model; None while a promotion is under way."""
    columns = [row[1] for row in _rows(path, "PRAGMA table_info(facetmill_promotions)", ())]
    if not columns:
        return {}
    catalogue = "catalogue" if "catalogue" in columns else f"'{DEMO}'"  # older than there were any
    rows = _rows(path, f"SELECT state, to_version, {catalogue} FROM facetmill_promotions ORDER BY id", ())
    if any(state == "pending" for state, _, _ in rows):
        return None
    done = [(str(name), int(version)) for state, version, name in rows if state == "done" and version is not None]
    return {IN_HAND if name == DEMO else name: version for name, version in done}


def _rows(path: Path, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
    """What a query finds; nothing where the file or its tables are still to be made."""
    if not path.is_file() or not path.stat().st_size:
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table'").fetchone():
            return []
        return database.execute(query, values).fetchall()
