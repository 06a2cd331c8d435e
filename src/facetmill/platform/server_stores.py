"""The databases of the embedded servers, looked at before a server is started: it would make a new one where it finds
none, and fail without a word of what to do where it finds half of one."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from facetmill.errors import PlatformError
from facetmill.platform.layout import Layout
from facetmill.platform.sqlite_files import RESTORE, damage, is_empty, require_sqlite


def require_mlflow_store(layout: Layout) -> None:
    """Raises `PlatformError` for a database that is damaged, or that is gone while its artifacts are still there."""
    if lost := lost_mlflow_store(layout):
        raise PlatformError(lost)
    require_sqlite(layout.mlflow_db, "experiments", "the record of runs and models")


def lost_mlflow_store(layout: Layout) -> str | None:
    """What to say of a database that is gone while its artifacts are still there; None where it is not."""
    path, artifacts = layout.mlflow_db, layout.artifacts_dir
    if not is_empty(path) or not artifacts.is_dir() or not any(artifacts.iterdir()):
        return None
    return (
        f"{path}: {'empty' if path.exists() else 'missing'}, but {artifacts} holds files of runs and models, so it was "
        f"lost; {RESTORE}, or move that folder away, and everything begins anew"
    )


def require_prefect_store(layout: Layout) -> None:
    """Raises `PlatformError` for a database that is damaged. Nothing in it is needed again."""
    path = prefect_db(layout)
    try:
        wrong = damage(path, "flow_run", read_only=False)
    except (OSError, sqlite3.OperationalError) as error:
        raise PlatformError(f"{path}: {error}") from error
    if wrong:
        raise PlatformError(f"{path}: {wrong}; move it away: it holds the history of flow runs, and no more")


def prefect_db(layout: Layout) -> Path:
    return Path(os.environ.get("PREFECT_HOME") or layout.prefect_home) / "prefect.db"
