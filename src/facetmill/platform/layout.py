"""Where things lie below the root of a project."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from facetmill.errors import PlatformError

MARKERS = ("params.yaml", "dvc.yaml")


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds params.yaml and dvc.yaml; `PlatformError` if there is none."""
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if all((candidate / marker).is_file() for marker in MARKERS):
            return candidate
    raise PlatformError(f"{folder}: neither it nor a folder above it has {' and '.join(MARKERS)}; run inside a project")


@dataclass(frozen=True)
class Layout:
    """The paths of one project. `FACETMILL_STORAGE`, a postgresql:// URL, moves ledger and studies to one database."""

    root: Path

    @property
    def data_dir(self) -> Path:
        return self.root / "data"

    @property
    def state_dir(self) -> Path:
        """What the tools keep for themselves: server states, logs, locks, the ledger. Not for people, not for git."""
        return self.root / ".facetmill"

    @property
    def at_work_dir(self) -> Path:
        """Who is at work here: a lock of each process from under which nobody may pull the servers or the data."""
        return self.state_dir / "at-work"

    @property
    def mlruns_dir(self) -> Path:
        return self.root / "mlruns"

    @property
    def mlflow_db(self) -> Path:
        """Of the embedded MLflow server: runs, versions and which of them is live."""
        return self.mlruns_dir / "mlflow.db"

    @property
    def artifacts_dir(self) -> Path:
        """Files of runs and packages of models, of the embedded MLflow server."""
        return self.mlruns_dir / "artifacts"

    @property
    def prefect_home(self) -> Path:
        return self.state_dir / "prefect"

    @property
    def logs_dir(self) -> Path:
        return self.state_dir / "logs"

    @property
    def features_dir(self) -> Path:
        """What frozen encoders gave for texts and pictures; it may be removed at any time, and is made again."""
        return self.state_dir / "features"

    @property
    def looks_path(self) -> Path:
        """How pictures look, by their digests; it may be removed at any time, and is made again."""
        return self.state_dir / "looks.db"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the promotion ledger."""
        return _shared_storage() or f"sqlite:///{self.ledger_db}"

    @property
    def ledger_db(self) -> Path:
        """The ledger's file, where no database is named for it."""
        return self.state_dir / "ledger.db"

    @property
    def study_storage(self) -> str:
        """Where Optuna keeps its studies: a database URL, or the path of a journal file."""
        return _shared_storage() or str(self.state_dir / "studies.journal")


def _shared_storage() -> str | None:
    url = os.environ.get("FACETMILL_STORAGE")
    if url and not url.startswith(("postgresql://", "postgresql+psycopg://")):
        scheme = url.partition(":")[0]  # the rest may hold a password
        raise PlatformError(f"FACETMILL_STORAGE: {scheme}: is not supported; give a postgresql:// URL, or unset it")
    return url or None
