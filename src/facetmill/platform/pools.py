"""A flow of this project as several flow runs in a Prefect work pool, whose workers may be on other hosts.

The hosts see the project's folder under the same path. Their workers bring Python and the addresses of the servers
and stores; the switches of `platform.environment` come with each run.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from facetmill.errors import PlatformError
from facetmill.files import hash_json
from facetmill.platform.environment import project_environment
from facetmill.platform.flow_runs import crash_lost_flow_runs
from facetmill.platform.layout import Layout
from facetmill.platform.supervision import Ending, supervise

POLL_SECONDS = 2.0
STOP_SECONDS = 30.0  # to end after it was cancelled; a Prefect worker takes ten to say so
REST_SECONDS = 60.0  # for the others to end once one has found all done

_log = logging.getLogger(__name__)


def require_pool(pool: str) -> None:
    """Raise `PlatformError`, which names the command that makes it, when the Prefect server has no such work pool."""
    try:
        with get_client(sync_client=True) as client:
            make = _command(client, f"work-pool create {pool} --type process")
            client.read_work_pool(pool)
    except ObjectNotFound:
        raise PlatformError(f"sweep.pool: there is no work pool {pool!r}; make it with: {make}") from None
    except httpx.HTTPError as error:
        raise PlatformError(f"the Prefect server does not show its work pools: {error}") from error


def run_in_pool(
    layout: Layout,
    flow_name: str,
    pool: str,
    num_runs: int,
    parameters: Mapping[str, Any],
    on_death: Callable[[], None],
) -> None:
    """Run `flows/<flow_name>.py` `num_runs` times at once in a work pool, all on the same piece of work.

    One that crashes or fails is started again, at most twice; `on_death` is called first. When one has completed, all
    is done: those not begun are cancelled, and the others end by themselves. However this ends, none is left open.
    Uses the server of `PREFECT_API_URL`. Raises `PlatformError` when that refuses or has no such pool, and
    `FacetmillError` when no run completed.
    """
    require_pool(pool)
    try:
        with get_client(sync_client=True) as client:
            deployment = _deploy(client, layout, flow_name, pool)
            supervise(num_runs, _FlowRuns(client, deployment, pool, parameters), on_death)
    except httpx.HTTPError as error:
        raise PlatformError(f"the Prefect server does not run {flow_name} in pool {pool!r}: {error}") from error


def _deploy(client: SyncPrefectClient, layout: Layout, flow_name: str, pool: str) -> UUID:
    """The deployment of one flow of one project for one pool, made or brought up to date."""
    return client.create_deployment(
        client.create_flow_from_name(flow_name),
        name=f"{pool}-{hash_json(str(layout.root))[:8]}",
        work_pool_name=pool,
        enforce_parameter_schema=False,
        **how_to_run(layout, flow_name),
    )


def how_to_run(layout: Layout, flow_name: str) -> dict[str, Any]:
    """What a deployment says of how `flows/<flow_name>.py` of a project is run."""
    switches = {name: os.environ.get(name, value) for name, value in project_environment(layout).items()}
    return {
        "entrypoint": f"flows/{flow_name}.py:{flow_name}",
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(layout.root)}}],
        "job_variables": {"env": switches},
    }


class _FlowRuns:
    """A crew of flow runs of one deployment, each known by its id."""

    def __init__(self, client: SyncPrefectClient, deployment: UUID, pool: str, parameters: Mapping[str, Any]) -> None:
        self._client, self._deployment, self._pool, self._parameters = client, deployment, pool, dict(parameters)
        self._done_at: float | None = None
        self._some_wait = False
        self._has_said_so = False

    def start(self) -> UUID:
        """Without this process's owner tag: whoever executes it says so then, see `flow_runs.own_flow_run`."""
        run = run_deployment(self._deployment, parameters=self._parameters, timeout=0)
        assert isinstance(run, FlowRun)  # a coroutine only where an event loop runs
        return run.id

    def ending(self, worker: UUID) -> Ending | None:
        state = self._state(worker)
        if state.is_completed():
            self._done_at = self._done_at or time.monotonic()
            return Ending(well=True)
        if state.is_final():
            return Ending(False, f"flow run {worker}: {state.name} {state.message or ''}", not state.is_cancelled())
        self._some_wait |= state.is_scheduled()
        if self._done_at is not None and (state.is_scheduled() or time.monotonic() > self._done_at + REST_SECONDS):
            self._cancel(worker)
            return Ending(well=True)
        return None

    def stop(self, workers: Sequence[UUID]) -> None:
        left = [worker for worker in workers if not self._state(worker).is_final()]
        for worker in left:
            self._cancel(worker)
        deadline = time.monotonic() + STOP_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(0.2)
            left = [worker for worker in left if not self._state(worker).is_final()]
        for worker in left:
            _log.warning("flow run %s is cancelled and has not ended; its Prefect worker may be gone", worker)

    def pause(self) -> None:
        time.sleep(POLL_SECONDS)
        with suppress(PlatformError):  # Prefect may be gone for a moment, and is asked again at the next look
            for line in crash_lost_flow_runs():  # of this host, whose Prefect worker died with them
                _log.warning(line)
        if self._some_wait and not self._has_said_so:
            self._has_said_so = self._say_who_is_missing()
        self._some_wait = False

    def _say_who_is_missing(self) -> bool:
        match self._client.read_work_pool(self._pool).status:
            case WorkPoolStatus.NOT_READY:
                start = _command(self._client, f"worker start --pool {self._pool}")
                _log.warning("no worker has taken it yet; start one with: %s", start)
            case WorkPoolStatus.PAUSED:
                resume = _command(self._client, f"work-pool resume {self._pool}")
                _log.warning("work pool %r is paused; go on with: %s", self._pool, resume)
            case _:
                return False
        return True

    def _state(self, run: UUID) -> State[Any]:
        state = self._client.read_flow_run(run).state
        assert state is not None  # the server gives every run one
        return state

    def _cancel(self, run: UUID) -> None:
        self._client.set_flow_run_state(run, Cancelling())


def _command(client: SyncPrefectClient, words: str) -> str:
    """A command of Prefect as it can be typed anywhere; without the address it would speak to a server of its own."""
    return f"PREFECT_API_URL={str(client.api_url).rstrip('/')} prefect {words}"
