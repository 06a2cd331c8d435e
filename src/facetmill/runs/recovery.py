"""Closes what a crash left open. Only processes of this host can be looked up, so only what they began is judged."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlflow.entities import Run

from facetmill.errors import PlatformError
from facetmill.platform.layout import Layout
from facetmill.platform.processes import Process
from facetmill.tracking.tags import PROCESS
from facetmill.tracking.tracker import Tracker

if TYPE_CHECKING:
    from facetmill.registry.ledger import Ledger


def reconcile(layout: Layout, tracker: Tracker, ledger: Ledger) -> list[str]:
    """Close all that crashes left open, each by its own rules, and return a line for each thing, and for each store
    that could not be read. Safe to repeat.

    The servers must be connected. Prefect and Optuna are imported here, since most callers need only the parts below.
    """
    from facetmill.platform.flow_runs import crash_lost_flow_runs, end_left_task_runs
    from facetmill.registry.repair import close_lost_promotions
    from facetmill.training.search.lost import end_lost_trials

    closed = []
    for close in (
        partial(close_lost_promotions, tracker, ledger),
        partial(close_lost_runs, tracker),
        partial(end_lost_trials, layout.study_storage),
        crash_lost_flow_runs,
        end_left_task_runs,
    ):
        try:
            closed += close()
        except PlatformError as error:  # one damaged store keeps no other from being put in order
            closed.append(f"not closed: {error}")
    return closed


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
