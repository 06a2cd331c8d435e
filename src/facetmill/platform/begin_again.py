"""Runs of a work pool that a crash has cut off, put back into its queue.

Prefect ends such a run and leaves it at that. All that a retraining does is kept as it is done, so the same run goes on
where it stopped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

from facetmill.errors import PlatformError
from facetmill.platform.flow_runs import PAGE, TAG, every_page
from facetmill.platform.outages import AGAIN

MAX_BEGUN = 3  # times
NOT_LATER = timedelta(days=1)  # than it was to begin; after that the clock has asked for another one
SETTLED = timedelta(seconds=15)  # a worker that lives says once more that a run has crashed, seconds after the run did
TAKEN_WITHIN = timedelta(minutes=5)  # from a worker's word that it takes a run until its process says who it is
FIRST_WAIT = timedelta(seconds=10)  # after a server was lost, and twice as long each further time

_LOOKED_AT = [StateType.CRASHED, StateType.FAILED, StateType.PENDING, StateType.RUNNING]


def begin_again(pool: str, now: datetime | None = None) -> list[str]:
    """Put runs of a pool back into its queue: those that crashed, those that ended for a server was lost, and those of
    which no process has said that it is at them, though a worker took them. Returns a line for each. Prefect's server
    must be that of `PREFECT_API_URL`; raises `PlatformError` when that refuses."""
    now = now or datetime.now(UTC)
    wanted = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(
                any_=[StateType.CRASHED, StateType.FAILED, StateType.PENDING, StateType.RUNNING]
            )
        ),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"after_": now - NOT_LATER}),
    )
    of_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    try:
        with get_client(sync_client=True) as client:
            found = every_page(
                lambda at: client.read_flow_runs(
                    flow_run_filter=wanted, work_pool_filter=of_pool, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=at
                )
            )
            return [_put_back(client, run, why, now) for run in found if (why := _why(run, now))]
    except httpx.HTTPError as error:
        raise PlatformError(f"the Prefect server does not show the runs of {pool}: {error}") from error


def _why(run: FlowRun, now: datetime) -> str | None:
    """Why a run should begin again; None where it should not."""
    state = run.state
    if state is None or run.run_count >= MAX_BEGUN or run.deployment_id is None:
        return None
    has_owner, since = any(tag.startswith(TAG) for tag in run.tags), now - state.timestamp
    if state.is_crashed() and since > SETTLED:
        return "it was cut off"
    if state.is_failed() and since > SETTLED and AGAIN in (state.message or ""):
        return "a server was lost"
    if (state.is_pending() or state.is_running()) and since > TAKEN_WITHIN and not has_owner:
        return "its process died before it said who it is"
    return None


def _put_back(client: SyncPrefectClient, run: FlowRun, why: str, now: datetime) -> str:
    wait = FIRST_WAIT * 2 ** (run.run_count - 1) if run.state is not None and run.state.is_failed() else timedelta()
    client.update_flow_run(run.id, tags=[tag for tag in run.tags if not tag.startswith(TAG)])  # its process is gone
    client.set_flow_run_state(run.id, Scheduled(scheduled_time=now + wait, message=why), force=True)
    return f"flow run {run.name} begins again: {why}"
