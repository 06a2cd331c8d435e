"""Catalogues that retrain by the clock: for each that has a schedule, a Prefect deployment of the flow `retrain` in the
work pool of this project, which is paused until somebody resumes it.

All of it uses the server of `PREFECT_API_URL`, and raises `PlatformError` when that refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkPoolStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from facetmill.errors import ParamsError, PlatformError
from facetmill.files import hash_json
from facetmill.params.catalogue import FOLDER
from facetmill.params.schedule import Schedule
from facetmill.platform.flow_runs import PAGE, every_page
from facetmill.platform.layout import Layout
from facetmill.platform.pools import how_to_run

FLOW = "retrain"
TAG = "facetmill.schedule"

_BEGUN: list[StateType] = [state for state in StateType if state not in (StateType.SCHEDULED, StateType.PENDING)]
_DEPLOY = "facetmill deploy"


def pool_of(layout: Layout) -> str:
    """The work pool of a project; hosts that see its folder under the same path share it."""
    return f"facetmill-{_digest(layout)}"


def who_of(catalogue: str) -> str:
    """Whom the ledger names for what the clock asked for."""
    return f"schedule:{catalogue}"


def deploy(layout: Layout, schedules: Mapping[str, Schedule]) -> list[str]:
    """Have a deployment for each of these schedules, by catalogue, and no other one of this project; returns a line for
    each, and for the pool where it was made. What is paused stays so, and what is new is."""
    crons = {name: _cron(name, schedule) for name, schedule in schedules.items()}
    with _asking() as client:
        said = [] if _has_pool(client, layout) else [_make_pool(client, layout)]
        there = _deployed(client, layout)
        for name, cron in sorted(crons.items()):
            said.append(f"{name}: {_deploy(client, layout, name, cron, there.get(name))}")
        for name in sorted(there.keys() - crons.keys()):
            client.delete_deployment(there[name].id)
            said.append(f"{name}: removed, for {FOLDER}/{name}.yaml has no schedule any more")
    return said


def set_paused(layout: Layout, catalogue: str, paused: bool) -> str:
    """Pause or resume the schedule of a catalogue; returns how it is now."""
    with _asking() as client:
        deployment = _deployed(client, layout).get(catalogue)
        if deployment is None:
            raise PlatformError(
                f"{catalogue} has no deployed schedule; {_DEPLOY} deploys what {FOLDER}/{catalogue}.yaml says of it"
            )
        (client.pause_deployment if paused else client.resume_deployment)(deployment.id)
        cron = _facts(deployment)
        return f"{catalogue}: {'paused' if paused else 'on'}, {cron['cron']} ({cron['timezone']})"


def described(layout: Layout, schedules: Mapping[str, Schedule]) -> list[dict[str, Any]]:
    """How each schedule stands, those of the files and those that are deployed: by catalogue, its cron and time zone,
    whether it is on, its next run, and how its last one ended."""
    with _asking() as client:
        there = _deployed(client, layout)
        return [_described(client, name, schedules.get(name), there.get(name)) for name in sorted({*schedules, *there})]


def worker_is_there(layout: Layout) -> bool:
    """Whether a worker takes the runs of this project's pool."""
    with _asking() as client:
        return _has_pool(client, layout) and client.read_work_pool(pool_of(layout)).status == WorkPoolStatus.READY


def require_pool_of(layout: Layout) -> str:
    """The pool's name. Raises `PlatformError` where nothing was deployed."""
    with _asking() as client:
        if not _has_pool(client, layout):
            raise PlatformError(f"nothing is deployed here; {_DEPLOY} makes the work pool, and says what is in it")
    return pool_of(layout)


@contextmanager
def _asking() -> Iterator[SyncPrefectClient]:
    try:
        with get_client(sync_client=True) as client:
            yield client
    except httpx.HTTPError as error:
        raise PlatformError(f"the Prefect server does not do what schedules need: {error}") from error


def _digest(layout: Layout) -> str:
    return hash_json(str(layout.root))[:8]


def _cron(catalogue: str, schedule: Schedule) -> CronSchedule:
    try:
        return CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    except ValueError:
        raise ParamsError(
            f"{FOLDER}/{catalogue}.yaml: schedule.cron = {schedule.cron!r}: no cron expression; its fields are "
            "minute (0-59), hour (0-23), day of month (1-31), month (1-12) and day of week (0-7)"
        ) from None


def _has_pool(client: SyncPrefectClient, layout: Layout) -> bool:
    try:
        client.read_work_pool(pool_of(layout))
    except ObjectNotFound:
        return False
    return True


def _make_pool(client: SyncPrefectClient, layout: Layout) -> str:
    about = f"Retraining by the clock of the project {layout.root}; facetmill worker start executes it"
    client.create_work_pool(WorkPoolCreate(name=pool_of(layout), type="process", description=about))
    return f"work pool {pool_of(layout)}: made; facetmill worker start executes what is in it"


def _deployed(client: SyncPrefectClient, layout: Layout) -> dict[str, DeploymentResponse]:
    """Those of this project, by catalogue."""
    mine = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG, f"{TAG}:{_digest(layout)}"]))
    found = every_page(lambda at: client.read_deployments(deployment_filter=mine, limit=PAGE, offset=at))
    return {str(each.parameters["catalogue"]): each for each in found}


def _deploy(
    client: SyncPrefectClient, layout: Layout, catalogue: str, cron: CronSchedule, old: DeploymentResponse | None
) -> str:
    how = how_to_run(layout, FLOW)
    parameters = {"catalogue": catalogue, "who": who_of(catalogue), "why": "retrained by the clock"}
    wanted = {
        "cron": cron.cron,
        "timezone": cron.timezone,
        "pool": pool_of(layout),
        "parameters": parameters,
        **how,
    }
    before = {} if old is None else _facts(old)
    changed = [name for name, value in wanted.items() if before.get(name) != value]
    if old is not None and not changed:
        return f"as it was, {_when(wanted)}, {'paused' if old.paused else 'on'}"
    client.create_deployment(
        client.create_flow_from_name(FLOW),
        name=f"{catalogue}-{_digest(layout)}",
        schedules=[DeploymentScheduleCreate(schedule=cron, max_scheduled_runs=1)],  # what was missed is run once
        paused=True if old is None else old.paused,
        parameters=parameters,
        work_pool_name=pool_of(layout),
        tags=[TAG, f"{TAG}:{_digest(layout)}"],
        description=f"Retrains the catalogue {catalogue}, as {FOLDER}/{catalogue}.yaml says.",
        enforce_parameter_schema=False,
        **how,
    )
    if old is None:
        return f"made, {_when(wanted)}, paused until: facetmill schedule resume {catalogue}"
    if _when(before) != _when(wanted):
        return f"{_when(before)} -> {_when(wanted)}, {'paused' if old.paused else 'on'}"
    return f"brought up to date ({', '.join(changed)}), {_when(wanted)}, {'paused' if old.paused else 'on'}"


def _facts(deployment: DeploymentResponse) -> dict[str, Any]:
    """What a deployment says, in the words of `_deploy`."""
    crons = [each.schedule for each in deployment.schedules if isinstance(each.schedule, CronSchedule)]
    return {
        "cron": crons[0].cron if crons else None,
        "timezone": crons[0].timezone if crons else None,
        "pool": deployment.work_pool_name,
        "parameters": deployment.parameters,
        "entrypoint": deployment.entrypoint,
        "pull_steps": deployment.pull_steps,
        "job_variables": deployment.job_variables,
    }


def _when(facts: Mapping[str, Any]) -> str:
    return f"{facts['cron']} ({facts['timezone']})"


def _described(
    client: SyncPrefectClient, catalogue: str, schedule: Schedule | None, deployment: DeploymentResponse | None
) -> dict[str, Any]:
    if deployment is None:
        assert schedule is not None
        return {"catalogue": catalogue, "cron": schedule.cron, "timezone": schedule.timezone, "is": "not deployed"}
    facts = _facts(deployment)
    described = {"catalogue": catalogue, "cron": facts["cron"], "timezone": facts["timezone"]}
    if schedule is None:
        described["is"] = "removed from its file"
    elif (facts["cron"], facts["timezone"]) != (schedule.cron, schedule.timezone):
        described["is"] = f"changed in its file to {schedule.cron} ({schedule.timezone})"
    else:
        described["is"] = "paused" if deployment.paused else "on"
    waiting = _runs(client, deployment, [StateType.SCHEDULED], FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC)
    begun = _runs(client, deployment, _BEGUN, FlowRunSort.EXPECTED_START_TIME_DESC)
    described["next"] = _iso(waiting[0].next_scheduled_start_time) if waiting else None
    described["last"] = _ended(begun[0]) if begun else None
    return described


def _runs(
    client: SyncPrefectClient, deployment: DeploymentResponse, states: list[StateType], sort: FlowRunSort
) -> list[FlowRun]:
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))),
        sort=sort,
        limit=1,
    )


def _ended(run: FlowRun) -> dict[str, Any]:
    state = run.state
    return {
        "run": run.name,
        "state": run.state_name,
        "begun": _iso(run.start_time),
        "said": None if state is None or state.is_completed() else state.message,
    }


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat(timespec="seconds")
