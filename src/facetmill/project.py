"""What every step of the loop needs at hand: where things lie, the parameters, the tracker and the ledger."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from facetmill.dataset.store import workspace
from facetmill.errors import FacetmillError
from facetmill.params import Params, load_params, model_config
from facetmill.params.catalogue import DEMO, read_catalogue, require_name, saved_names, unsaved_name
from facetmill.platform import servers
from facetmill.platform.layout import Layout, find_root
from facetmill.platform.locks import exclusive, register
from facetmill.tracking.names import named

if TYPE_CHECKING:
    from facetmill.registry.ledger import Ledger
    from facetmill.tracking.tracker import Tracker

EXPERIMENT = "facetmill"


@dataclass(frozen=True)
class Project:
    """Stores are opened when they are first asked for, so that what needs none does not wait for one. `catalogue` is
    the one in hand, by name: that of the data that is worked on, and of the champion that is asked and challenged.
    `is_batch` says that the data is other data than the catalogue's own, named beside it."""

    layout: Layout
    params: Params
    catalogue: str = DEMO
    is_batch: bool = False

    @cached_property
    def tracker(self) -> Tracker:
        """Waits for the MLflow server, which may still be coming up, and closes a promotion that a crash has left."""
        from facetmill.registry.repair import close_lost_promotions
        from facetmill.tracking.tracker import Tracker

        endpoints = servers.up(self.layout, servers.MLFLOW)
        servers.connect(endpoints)
        tracker = Tracker(endpoints[servers.MLFLOW.name].url, EXPERIMENT, self.catalogue)
        for line in close_lost_promotions(tracker, self.ledger):
            print(line, file=sys.stderr)
        return tracker

    @cached_property
    def ledger(self) -> Ledger:
        from facetmill.registry.ledger import Ledger

        return Ledger(self.layout.ledger_url, self.catalogue)

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
    *,
    with_data: bool = True,
) -> Params:
    """params.yaml with a `--catalogue`, one run's `--set section.key=value`, `--data format:path` and `--model key`
    applied, in this order; all are checked here, and `with_data` that the data is there."""
    said = () if catalogue is None else read_catalogue(root, catalogue)
    params = load_params(root / "params.yaml", changes or (), said)
    if model is not None:
        params = dataclasses.replace(params, model=model)
    model_config(params, params.model)
    return workspace.resolve(root, params, data) if with_data else workspace.named_data(root, params, data)


def catalogue_in_hand(root: Path, catalogue: str | None = None, data: str | None = None) -> str:
    """The name of the catalogue that a command is about: the one that is named, else that of the data, which need not
    be there any more. It need not be a saved one either, since a champion outlives the file."""
    if catalogue is not None:
        require_name(catalogue)
        return catalogue
    return _name_of(resolve_params(root, data, with_data=False))


def open_project(
    data: str | None = None,
    model: str | None = None,
    changes: Sequence[str] | None = None,
    start: Path | None = None,
    catalogue: str | None = None,
    *,
    ref: str | None = None,
    with_data: bool = True,
) -> Project:
    """Check the parameters, then have the MLflow server come up, on another core, while work begins.

    The catalogue in hand is the one that is named, else the one whose model `ref` names, else that of the data.
    As long as there is the project, this process is at work in it, and nobody stops the servers.
    """
    root = find_root(start or Path.cwd())
    parts = None if ref is None or catalogue is not None else named(ref)
    of_model = None if parts is None else parts.catalogue
    settings = of_model if of_model in saved_names(root) else catalogue
    params = resolve_params(root, data, model, changes, settings, with_data=with_data)
    name = catalogue or of_model or _name_of(params)
    if data is not None and name == _name_of(params):
        for saved in _with_this_data(root, params):
            print(f"this is the data of the catalogue {saved}: --catalogue {saved} takes its champion", file=sys.stderr)
    layout = Layout(root)
    project = Project(layout, params, name, _is_batch(root, settings, name, params))
    register(layout.at_work_dir, project)
    servers.start(layout, servers.MLFLOW)
    return project


def _is_batch(root: Path, settings: str | None, name: str, params: Params) -> bool:
    """Whether the data of `params` is not that of the catalogue `name`, which is saved if it has `settings`."""
    if settings is None:
        return name != _name_of(params)
    own = resolve_params(root, catalogue=settings, with_data=False).dataset
    return (own.format, own.path) != (params.dataset.format, params.dataset.path)


def _with_this_data(root: Path, params: Params) -> list[str]:
    """The saved catalogues whose own data is that of `params`; one that cannot be read has none."""
    found = []
    for name in saved_names(root):
        with suppress(FacetmillError):
            own = resolve_params(root, catalogue=name, with_data=False).dataset
            if name != DEMO and (own.format, own.path) == (params.dataset.format, params.dataset.path):
                found.append(name)
    return found


def _name_of(params: Params) -> str:
    """That of the catalogue which nobody saved: it is its data."""
    return unsaved_name(params.dataset.format, Path(params.dataset.path))
