"""Flow runs that say which process runs them, so that a crash is told later.

A flow that is called runs in the caller's own process, and Prefect never learns that this has died. A tag at the
creation of the run leaves no moment in which it has no owner. A run in a work pool is tagged by the process that
executes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import Flow, tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.runtime import flow_run
from prefect.states import Cancelling, Completed, Crashed, Failed

from facetmill.errors import PlatformError
from facetmill.platform.outages import as_outage
from facetmill.platform.processes import Process, this_process

TAG = "facetmill.process:"  # host/pid/created follows
OPEN = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
PAGE = 200
RECORDED_WITHIN = timedelta(minutes=1)  # Prefect's server takes note of a task's end in batches, after that of its flow

R = TypeVar("R")


def run_flow(flow: Flow[..., Any], **parameters: Any) -> Any:
    """Call a flow in this process, its run tagged with it.

    What the flow returns, itself or in its final state, or raises is what counts. Where Prefect was lost meanwhile and
    cannot take it, Prefect is told once more at the end, and one line on stderr says so if that fails, too.
    """
    outcome: Future[Any] = Future()
    run_id: list[UUID] = []

    @wraps(flow.fn)
    def work(*args: Any, **kwargs: Any) -> Any:
        run_id.append(UUID(flow_run.id))
        try:
            made = flow.fn(*args, **kwargs)
        except BaseException as error:
            outcome.set_exception(error)
            raise
        outcome.set_result(made.data if isinstance(made, State) else made)
        return made

    watched = copy(flow)
    watched.fn = work
    try:
        with tags(owner_tag(this_process())):
            watched(**parameters)
    except Exception as error:
        lost = as_outage(error)
        if lost is None or not outcome.done() or outcome.exception() is error:
            raise
        _tell_late(run_id[0], outcome, lost)
    return outcome.result()


def _tell_late(run_id: UUID, outcome: Future[Any], lost: PlatformError) -> None:
    """How a flow run ended, told to a Prefect that may be back; while it waited for that, Prefect's own machinery may
    have come to the conclusion that the flow failed."""
    error = outcome.exception()
    late = "told late, for Prefect was lost meanwhile"
    state: State[Any] = Completed(message=late) if error is None else Failed(message=f"{error} ({late})")
    try:
        with get_client(sync_client=True) as client:
            _end(client, run_id, state)
    except httpx.HTTPError:
        print(f"the work has ended, but Prefect does not show how: {lost}", file=sys.stderr)


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


def end_left_task_runs(ended_before: timedelta = RECORDED_WITHIN) -> list[str]:
    """End open task runs of flow runs that have ended so long ago, whose own end Prefect missed while it was gone;
    returns a line for each flow run. A flow run that is Completed went through all of them, so they are, too.

    Uses the server of `PREFECT_API_URL`; raises `PlatformError` when that refuses.
    """
    ended = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ENDED)),
        end_time=FlowRunFilterEndTime.model_validate({"before_": datetime.now(UTC) - ended_before}),
    )
    try:
        with get_client(sync_client=True) as client:
            runs = {task.flow_run_id for task in _open_tasks(client, ended) if task.flow_run_id is not None}
            return [_end_tasks_of(client, client.read_flow_run(run)) for run in sorted(runs)]
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
    return every_page(
        lambda at: client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=at)
    )


def _crash(client: SyncPrefectClient, run: FlowRun, owner: Process) -> str:
    """The flow run last: while it is open, an interrupted closing is taken up again."""
    for begun in _flow_runs(client, [StateType.SCHEDULED, *OPEN], begun_by=run.id):
        if begun.work_pool_name is not None:
            client.set_flow_run_state(begun.id, Cancelling())
    num_tasks = _end(client, run.id, Crashed(message=f"process {owner.pid} on {owner.host} is gone"))
    return f"closed: flow run {run.name} ({num_tasks} of its task runs, too), whose process {owner.pid} is gone"


def _end(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> int:
    """Set a flow run, and before it its open task runs, to a state; returns how many these were."""
    num_tasks = _end_tasks(client, run_id, state)
    client.set_flow_run_state(run_id, state, force=True)
    return num_tasks


def _end_tasks_of(client: SyncPrefectClient, run: FlowRun) -> str:
    missed = "ended while Prefect was gone"
    is_completed = run.state_type == StateType.COMPLETED
    num_tasks = _end_tasks(client, run.id, Completed(message=missed) if is_completed else Crashed(message=missed))
    return f"closed: {num_tasks} task runs of flow run {run.name}, whose end Prefect has missed"


def _end_tasks(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> int:
    tasks = _open_tasks(client, FlowRunFilter(id=FlowRunFilterId(any_=[run_id])))
    for task in tasks:
        client.set_task_run_state(task.id, state, force=True)
    return len(tasks)


def _open_tasks(client: SyncPrefectClient, of_runs: FlowRunFilter) -> list[TaskRun]:
    wanted = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=OPEN)))
    return every_page(
        lambda at: client.read_task_runs(
            flow_run_filter=of_runs, task_run_filter=wanted, sort=TaskRunSort.ID_DESC, limit=PAGE, offset=at
        )
    )


def every_page(read: Callable[[int], list[R]]) -> list[R]:
    """Every page of what `read` gives from an offset on; the server cuts a longer answer."""
    found: list[R] = []
    while len(page := read(len(found))) == PAGE:
        found += page
    return found + page
