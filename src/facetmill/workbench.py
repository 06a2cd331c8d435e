"""What every step of the loop needs at hand: where things lie, the parameters, the tracker and the ledger."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from facetmill.dataset import workspace
from facetmill.params import Params, load_params, model_config
from facetmill.platform import servers
from facetmill.platform.layout import Layout, find_root
from facetmill.registry.ledger import Ledger
from facetmill.tracking import Tracker

EXPERIMENT = "facetmill"


@dataclass(frozen=True)
class Workbench:
    layout: Layout
    params: Params
    tracker: Tracker
    ledger: Ledger


def resolve_params(root: Path, data: str | None = None, model: str | None = None) -> Params:
    """params.yaml with one run's `--data format:path` and `--model key` applied; both are checked here."""
    params = load_params(root / "params.yaml")
    if model is not None:
        params = dataclasses.replace(params, model=model)
    model_config(params, params.model)
    return workspace.resolve(root, params, data)


def open_workbench(data: str | None = None, model: str | None = None, start: Path | None = None) -> Workbench:
    """Check the parameters first, then start what is needed and connect to it."""
    root = find_root(start or Path.cwd())
    params = resolve_params(root, data, model)
    layout = Layout(root)
    running = servers.up(layout)
    servers.connect(running)
    return Workbench(layout, params, Tracker(running.mlflow_url, EXPERIMENT), Ledger(layout.ledger_url))
