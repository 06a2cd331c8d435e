"""Build one dataset and judge it."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.dataset.store.describe import described
from facetmill.dataset.store.workspace import build
from facetmill.platform.steps import step
from facetmill.platform.told import run_name, telling_rejected_data
from facetmill.project import open_project


@flow(name="build_dataset", flow_run_name=run_name, log_prints=True)
def build_dataset(
    data: str | None = None, catalogue: str | None = None, changes: list[str] | None = None
) -> dict[str, Any]:
    """Run the stale DVC stages. Fails when the data gate says no; the dataset and its verdict stay to be looked at."""
    project = open_project(data, changes=changes, catalogue=catalogue)
    built = step(build)(project.layout.root, project.params, log=print)
    with telling_rejected_data(project.catalogue):
        step(built.dataset.require_passed)()
    return {**described(built.dataset), **built.to_json()}
