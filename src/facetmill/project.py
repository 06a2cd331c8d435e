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
from facetmill.params import Params, load_params, model_config
from facetmill.params.catalogue import DEMO, read_catalogue, require_name, unsaved_name
from facetmill.platform import servers
from facetmill.platform.layout import Layout, find_root
from facetmill.platform.locks import exclusive, register

if TYPE_CHECKING:
    from facetmill.registry.ledger import Ledger
    from facetmill.tracking.tracker import Tracker

EXPERIMENT = "facetmill"


@dataclass(frozen=True)
class Project:
    """Stores are opened when they are first asked for, so that what needs none does not wait for one. `catalogue` is
    the one in hand, by name: that of the data that is worked on, and of the champion that is asked and challenged."""

    layout: Layout
    params: Params
    catalogue: str = DEMO

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
        """Be the only one that retrains this catalogue. Raises `Busy` while another process does."""
        path = self.layout.state_dir / "retrain" / f"{self.catalogue}.lock"
        return exclusive(path, f"retraining the catalogue {self.catalogue}", timeout=0)


def resolve_params(
    root: Path,
    data: str | None = None,
    model: str | None = None,
    changes: Sequence[str] | None = None,
    catalogue: str | None = None,
) -> Params:
    """params.yaml with a `--catalogue`, one run's `--set section.key=value`, `--data format:path` and `--model key`
    applied, in this order; all are checked here."""
    said = () if catalogue is None else read_catalogue(root, catalogue)
    params = load_params(root / "params.yaml", changes or (), said)
    if model is not None:
        params = dataclasses.replace(params, model=model)
    model_config(params, params.model)
    return workspace.resolve(root, params, data)


def catalogue_in_hand(root: Path, catalogue: str | None = None, data: str | None = None) -> str:
    """The name of the catalogue that a command is about: the one that is named, else that of the data, which need not
    be there any more. It need not be a saved one either, since a champion outlives the file."""
    if catalogue is not None:
        require_name(catalogue)
        return catalogue
    params = workspace.named_data(root, load_params(root / "params.yaml"), data)
    return unsaved_name(params.dataset.format, Path(params.dataset.path))


def open_project(
    data: str | None = None,
    model: str | None = None,
    changes: Sequence[str] | None = None,
    start: Path | None = None,
    catalogue: str | None = None,
) -> Project:
    """Check the parameters, then have the MLflow server come up, on another core, while work begins.

    As long as there is the project, this process is at work in it, and nobody stops the servers.
    """
    root = find_root(start or Path.cwd())
    params = resolve_params(root, data, model, changes, catalogue)
    layout = Layout(root)
    name = catalogue or unsaved_name(params.dataset.format, Path(params.dataset.path))
    project = Project(layout, params, name)
    register(layout.at_work_dir, project)
    servers.start(layout, servers.MLFLOW)
    return project
