"""Flow runs that say which process runs them, so that a crash is told later.

A flow that is called runs in the caller's own process, and Prefect never learns that this has died. A tag at the
creation of the run leaves no moment in which it has no owner. A run in a work pool is tagged by the process that
executes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import Flow, tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.runtime import flow_run
from prefect.states import Cancelling, Crashed

from facetmill.errors import PlatformError
from facetmill.platform.processes import Process, this_process

TAG = "facetmill.process:"  # host/pid/created follows
OPEN = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
PAGE = 200

R = TypeVar("R")


def run_flow(flow: Flow[..., Any], **parameters: Any) -> Any:
    """Call a flow in this process, its run tagged with it."""
    with tags(owner_tag(this_process())):
        return flow(**parameters)


def own_flow_run() -> None:
    """In a flow run that a Prefect worker has begun: tag it with this process, which only now can be known."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(flow_run.id))
        others = [tag for tag in run.tags if not tag.startswith(TAG)]
        client.update_flow_run(run.id, tags=[*others, owner_tag(this_process())])


def crash_lost_flow_runs() -> list[str]:
    """Set open flow runs whose process is gone, and their open task runs, to Crashed; returns a line for each flow run.

    What they had begun in a work pool is cancelled, since nobody waits for it. A run without an owner, or of another
    host, is left alone. Uses the server of `PREFECT_API_URL`; raises `PlatformError` when that refuses.
    """
    try:
        with get_client(sync_client=True) as client:
            lost = [(run, owner) for run in _flow_runs(client, OPEN) if (owner := _owner(run)) and owner.is_gone]
            return [_crash(client, run, owner) for run, owner in lost]
    except httpx.HTTPError as error:
        raise PlatformError(f"the Prefect server does not show its flow runs: {error}") from error


def owner_tag(process: Process) -> str:
    return f"{TAG}{process.host}/{process.pid}/{process.created}"


def _owner(run: FlowRun) -> Process | None:
    """The process that its tag names; None without such a tag, or with more than one, and then nobody may judge."""
    named = [tag.removeprefix(TAG).split("/") for tag in run.tags if tag.startswith(TAG)]
    if len(named) != 1 or len(named[0]) != 3:
        return None
    host, pid, created = named[0]
    try:
        return Process(host, int(pid), float(created))
    except ValueError:
        return None


def _flow_runs(client: SyncPrefectClient, states: list[StateType], begun_by: UUID | None = None) -> list[FlowRun]:
    """Those in one of these states; with `begun_by` those that this flow run has begun."""
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)))
    if begun_by is not None:
        wanted.parent_flow_run_id = FlowRunFilterParentFlowRunId(any_=[begun_by])
    return _all(
        lambda at: client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=at)
    )


def _crash(client: SyncPrefectClient, run: FlowRun, owner: Process) -> str:
    """The flow run last: while it is open, an interrupted closing is taken up again."""
    for begun in _flow_runs(client, [StateType.SCHEDULED, *OPEN], begun_by=run.id):
        if begun.work_pool_name is not None:
            client.set_flow_run_state(begun.id, Cancelling())
    state: State[Any] = Crashed(message=f"process {owner.pid} on {owner.host} is gone")
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    wanted = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=OPEN)))
    tasks = _all(
        lambda at: client.read_task_runs(
            flow_run_filter=of_run, task_run_filter=wanted, sort=TaskRunSort.ID_DESC, limit=PAGE, offset=at
        )
    )
    for task in tasks:
        client.set_task_run_state(task.id, state, force=True)
    client.set_flow_run_state(run.id, state, force=True)
    return f"closed: flow run {run.name} ({len(tasks)} of its task runs, too), whose process {owner.pid} is gone"


def _all(read: Callable[[int], list[R]]) -> list[R]:
    """Every page of what `read` gives from an offset on; the server cuts a longer answer."""
    found: list[R] = []
    while len(page := read(len(found))) == PAGE:
        found += page
    return found + page
