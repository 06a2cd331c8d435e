"""What every step of the loop needs at hand: where things lie, the parameters, the tracker and the ledger."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from facetmill.dataset.store import workspace
from facetmill.files import hash_json
from facetmill.params import Params, load_params, model_config
from facetmill.platform import servers
from facetmill.platform.layout import Layout, find_root
from facetmill.platform.locks import exclusive, register

if TYPE_CHECKING:
    from facetmill.registry.ledger import Ledger
    from facetmill.tracking.tracker import Tracker

EXPERIMENT = "facetmill"


@dataclass(frozen=True)
class Project:
    """Stores are opened when they are first asked for, so that what needs none does not wait for one."""

    layout: Layout
    params: Params

    @cached_property
    def tracker(self) -> Tracker:
        """Waits for the MLflow server, which may still be coming up, and closes a promotion that a crash has left."""
        from facetmill.registry.repair import close_lost_promotions
        from facetmill.tracking.tracker import Tracker

        endpoints = servers.up(self.layout, servers.MLFLOW)
        servers.connect(endpoints)
        tracker = Tracker(endpoints[servers.MLFLOW.name].url, EXPERIMENT)
        for line in close_lost_promotions(tracker, self.ledger):
            print(line, file=sys.stderr)
        return tracker

    @cached_property
    def ledger(self) -> Ledger:
        from facetmill.registry.ledger import Ledger

        return Ledger(self.layout.ledger_url)

    def retraining(self) -> AbstractContextManager[None]:
        """Be the only one that retrains on this data. Raises `Busy` while another process does."""
        address = f"{self.params.dataset.format}:{self.params.dataset.path}"
        path = self.layout.state_dir / "retrain" / f"{hash_json(address)[:16]}.lock"
        return exclusive(path, f"retraining on {address}", timeout=0)


def resolve_params(
    root: Path, data: str | None = None, model: str | None = None, changes: Sequence[str] | None = None
) -> Params:
    """params.yaml with one run's `--set section.key=value`, `--data format:path` and `--model key` applied, in this
    order; all are checked here."""
    params = load_params(root / "params.yaml", changes or ())
    if model is not None:
        params = dataclasses.replace(params, model=model)
    model_config(params, params.model)
    return workspace.resolve(root, params, data)


def open_project(
    data: str | None = None,
    model: str | None = None,
    changes: Sequence[str] | None = None,
    start: Path | None = None,
) -> Project:
    """Check the parameters, then have the MLflow server come up, on another core, while work begins.

    As long as there is the project, this process is at work in it, and nobody stops the servers.
    """
    root = find_root(start or Path.cwd())
    params = resolve_params(root, data, model, changes)
    layout = Layout(root)
    project = Project(layout, params)
    register(layout.at_work_dir, project)
    servers.start(layout, servers.MLFLOW)
    return project
