"""Work on the study of a sweep that runs elsewhere; `sweep` starts it in the work pool that `sweep.pool` names."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.platform.flow_runs import own_flow_run
from facetmill.platform.steps import step
from facetmill.runs.sweep_worker import work


@flow(name="sweep_worker", log_prints=True)
def sweep_worker(job: dict[str, Any]) -> None:
    """Try candidates until the study is complete."""
    own_flow_run()
    step(work)(job)
