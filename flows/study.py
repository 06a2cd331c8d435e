"""Make the table of a study; `facetmill study NAME --pool POOL` starts it in that work pool."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.imports import imported_meanwhile
from facetmill.platform.flow_runs import own_flow_run
from facetmill.platform.steps import step
from facetmill.project import open_project


@flow(name="study", log_prints=True)
def study(
    name: str,
    data: str | None = None,
    catalogue: str | None = None,
    changes: list[str] | None = None,
    asked: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train what is missing of the table, and keep it in MLflow; `asked` are further arguments of `run_study`."""
    own_flow_run()
    project = open_project(data, changes=changes, catalogue=catalogue)
    with imported_meanwhile("facetmill.studies.run"):
        from facetmill.studies.tracked import log_table
    from facetmill.studies.run import run_study

    table = step(run_study)(project.layout, project.params, name, **(asked or {}), log=print)
    return {**table.to_json(), "run": step(log_table)(project.tracker, table)}
