"""Search one model's hyper-parameters on one dataset."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.dataset.store.storage import push
from facetmill.dataset.store.workspace import build
from facetmill.imports import imported_meanwhile
from facetmill.platform.steps import step
from facetmill.platform.told import run_name
from facetmill.project import open_project


@flow(name="sweep", flow_run_name=run_name, log_prints=True)
def sweep(
    data: str | None = None, catalogue: str | None = None, model: str | None = None, changes: list[str] | None = None
) -> dict[str, Any]:
    """Run or resume the study. Registers nothing: `train` does, with the winner on fixed seeds."""
    project = open_project(data, model, changes, catalogue=catalogue)
    with imported_meanwhile("facetmill.runs.sweep"):  # while DVC works in processes of its own
        dataset = step(build)(project.layout.root, project.params, log=print).dataset
    from facetmill.runs import sweep as search

    step(dataset.require_passed)()
    step(push)(project.layout.root, dataset, log=print)
    return step(search.sweep)(project, dataset, project.params.model).to_json()
