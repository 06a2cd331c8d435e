"""Closes what a crash left open. Only processes of this host can be looked up, so only what they began is judged."""

from __future__ import annotations

from mlflow.entities import Run

from facetmill.platform.processes import Process
from facetmill.tags import PROCESS
from facetmill.tracking import Tracker


def close_lost_runs(tracker: Tracker) -> list[str]:
    """End MLflow runs that are RUNNING while their process is gone, as KILLED; returns a line for each."""
    closed = []
    token = None
    running = []
    while True:
        page = tracker.client.search_runs([tracker.experiment_id], "attributes.status = 'RUNNING'", page_token=token)
        running += list(page)
        token = page.token
        if not token:
            break
    for run in running:
        owner = _owner(run)
        if owner is not None and owner.is_gone:
            tracker.client.set_terminated(run.info.run_id, "KILLED")
            closed.append(f"closed: run {run.info.run_id} ({run.info.run_name}), whose process {owner.pid} is gone")
    return closed


def _owner(run: Run) -> Process | None:
    """The process that began a run; None where its tags do not say, and then nobody may judge it."""
    host, pid, created = (run.data.tags.get(name) for name in PROCESS)
    if host is None or pid is None or created is None:
        return None
    try:
        return Process(host, int(pid), float(created))
    except ValueError:
        return None
