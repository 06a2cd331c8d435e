"""Catalogues that retrain by the clock: Prefect's scheduler, a real worker, real kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed, Failed, Pending, Running

from facetmill.errors import ParamsError, PlatformError
from facetmill.platform import servers
from facetmill.platform.begin_again import MAX_BEGUN, SETTLED, TAKEN_WITHIN, begin_again
from facetmill.platform.flow_runs import TAG
from facetmill.platform.outages import AGAIN
from facetmill.platform.schedules import described, pool_of, require_pool_of
from facetmill.platform.steps import connect_prefect
from facetmill.project import EXPERIMENT
from facetmill.tracking.tags import PROCESS
from facetmill.tracking.tracker import Tracker
from tests.commands import answered, run_here, run_process

from .conftest import Platform
from .test_retrain import runs_of

pytestmark = pytest.mark.pipeline

EVERY_MINUTE = "* * * * *"
SHOP = {
    "dataset": {
        "format": "demo",
        "path": "src/facetmill/sources/demo",
        "images": None,
        "corrections": None,
        "columns": {},
        "ignore": [],
    },
    "schedule": {"cron": EVERY_MINUTE, "timezone": "Europe/Berlin"},
    "demo": {"products": 120, "image_size": 32},
    "models": {"jave": {"encoder": "bilstm"}},
    "encoders": {"text": {"bilstm": {"hidden_size": 16}}},
    "training": {"epochs": 1, "min_epoch_steps": 60},
    "sweep": {"trials": 2, "epochs": 1, "final_seeds": [0]},
    "promotion": {"approval": "required", "dictionary": "may_go_live", "bootstrap": 100},
}


def write_catalogue(platform: Platform, name: str = "shop", **changes: Any) -> None:
    folder = platform.layout.root / "catalogues"
    folder.mkdir(exist_ok=True)
    said = {key: value for key, value in {**SHOP, **changes}.items() if value is not None}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(said))


def deployed(platform: Platform) -> list[str]:
    return list(answered(run_here(platform.layout.root, "deploy", "--json")))


def shown(platform: Platform) -> list[dict[str, Any]]:
    return list(answered(run_here(platform.layout.root, "schedule", "show", "--json"))["schedules"])


@contextmanager
def worker(platform: Platform) -> Iterator[psutil.Process]:
    """`facetmill worker start`, as systemd would; afterwards nothing of it is left."""
    environment = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", servers.CONNECTED):
        environment.pop(name, None)
    words = [sys.executable, "-m", "facetmill", "worker", "start"]
    process = subprocess.Popen(words, cwd=platform.layout.root, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()


def kill(process: psutil.Process) -> None:
    """And all that it has begun."""
    with suppress(psutil.NoSuchProcess):
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                member.kill()


def retrainings() -> list[FlowRun]:
    """Those that have begun."""
    of_flow = FlowFilter(name=FlowFilterName(any_=["retrain"]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_filter=of_flow)
    return [run for run in runs if run.state is not None and not run.state.is_scheduled()]


def wait_until(condition: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.2)
    return found


def owner_of(run: FlowRun) -> psutil.Process | None:
    """The process that executes it, as its tag says."""
    named = [tag.split("/")[1] for tag in run.tags if tag.startswith(TAG)]
    return psutil.Process(int(named[0])) if named and psutil.pid_exists(int(named[0])) else None


@pytest.fixture(scope="module")
def shop(platform: Platform, prefect: None) -> list[str]:
    """What the first `deploy` of the workspace said."""
    connect_prefect()
    with pytest.raises(PlatformError, match="nothing is deployed here; facetmill deploy"):
        require_pool_of(platform.layout)
    write_catalogue(platform)
    return deployed(platform)


def test_a_catalogue_retrains_by_the_clock_through_kills_waits_is_approved_and_goes_live(
    platform: Platform, shop: list[str]
) -> None:
    root, ledger = platform.layout.root, platform.ledger.of("shop")
    tracker = Tracker(platform.tracker.uri, EXPERIMENT, "shop")
    assert shop[-1] == f"shop: made, {EVERY_MINUTE} (Europe/Berlin), paused until: facetmill schedule resume shop"
    [told] = shown(platform)
    assert (told["is"], told["next"]) == ("paused", None)

    def training_process() -> psutil.Process | None:
        """That of the only retraining, once it is in the midst of a trial or a training."""
        [run] = retrainings() or [None]
        owner = None if run is None else owner_of(run)
        open_runs = [each for kind in ("trial", "training") for each in runs_of(tracker, kind)]
        pids = [each.data.tags[PROCESS[1]] for each in open_runs if each.info.status == "RUNNING"]
        return owner if owner is not None and str(owner.pid) in pids else None

    with worker(platform) as first:
        answered(run_here(root, "schedule", "resume", "shop", "--json"))
        wait_until(retrainings)
        answered(run_here(root, "schedule", "pause", "shop", "--json"))
        one = wait_until(training_process)
        kill(one)
        wait_until(lambda: training_process() not in (None, one))
        kill(first)
    dead = servers.running(platform.layout)["prefect"]
    os.killpg(dead.pid, signal.SIGKILL)
    with worker(platform):
        wait_until(lambda: servers.running(platform.layout).get("prefect", dead) != dead)
        servers.connect(servers.up(platform.layout))
        connect_prefect()
        wait_until(lambda: [run.state_type for run in retrainings()] == [StateType.COMPLETED])
    assert [run.run_count for run in retrainings()] == [3]

    rows = [(row.state, row.who) for row in ledger.history()]
    assert rows == [("rejected", "schedule:shop"), ("waiting", "schedule:shop")], "as without any kill"
    ended = [each for kind in ("sweep", "trial", "training") for each in runs_of(tracker, kind)]
    assert "RUNNING" not in {each.info.status for each in ended}
    [waits] = answered(run_here(root, "approvals", "--json"))
    version = waits["candidate"].rpartition("/")[2]
    words = ("approve", version, "--catalogue", "shop", "--why", "fine", "--who", "rita", "--json")
    told = answered(run_here(root, *words))
    assert (told["outcome"], told["champion_version"]) == ("promoted", 1)
    row = ledger.history()[-1]
    assert (row.state, row.who, row.decision["requested"]["who"]) == ("done", "rita", "schedule:shop")
    [told] = shown(platform)
    assert (told["is"], told["last"]["state"], told["last"]["said"]) == ("paused", "Completed", None)


def test_deploy_says_what_it_changed_and_keeps_what_is_paused(platform: Platform, shop: list[str]) -> None:
    root = platform.layout.root
    assert deployed(platform) == [f"shop: as it was, {EVERY_MINUTE} (Europe/Berlin), paused"]
    write_catalogue(platform, schedule={"cron": "0 3 * * 1-5"})
    [told] = shown(platform)
    assert told["is"] == "changed in its file to 0 3 * * 1-5 (UTC)"
    answered(run_here(root, "schedule", "resume", "shop", "--json"))
    assert deployed(platform) == [f"shop: {EVERY_MINUTE} (Europe/Berlin) -> 0 3 * * 1-5 (UTC), on"]
    [told] = wait_until(lambda: [d for d in shown(platform) if d["next"]])
    coming = datetime.fromisoformat(told["next"])
    assert (coming.hour, coming.minute) == (3, 0)
    answered(run_here(root, "schedule", "pause", "shop", "--json"))

    write_catalogue(platform, "hats")
    write_catalogue(platform, schedule=None)
    said = deployed(platform)
    assert said[0].startswith(f"hats: made, {EVERY_MINUTE}")
    assert said[1] == "shop: removed, for catalogues/shop.yaml has no schedule any more"
    assert [each["catalogue"] for each in described(platform.layout, {})] == ["hats"]
    done = run_process(root, "schedule", "resume", "shop")
    assert done.returncode == 1
    assert "shop has no deployed schedule; facetmill deploy deploys" in done.stderr


@pytest.mark.parametrize(
    ("schedule", "wrong"),
    [
        ({"cron": "0 3 * *"}, r"schedule\.cron = '0 3 \* \*': expected five fields"),
        ({"cron": "0 30 * * *"}, r"schedule\.cron = '0 30 \* \* \*': no cron expression; .* hour \(0-23\)"),
        (
            {"cron": EVERY_MINUTE, "timezone": "Europe/Berlni"},
            r"timezone = 'Europe/Berlni': no such time zone .*Berlin",
        ),
        ({"cron": EVERY_MINUTE, "timezoen": "UTC"}, r"unknown key 'schedule\.timezoen' \(did you mean 'timezone'"),
        ({"timezone": "UTC"}, r"missing key 'schedule\.cron'"),
        ("0 3 * * *", r"schedule = '0 3 \* \* \*': expected the keys cron and timezone"),
    ],
)
def test_a_schedule_that_is_none_is_told_by_file_key_and_value(
    platform: Platform, shop: list[str], schedule: Any, wrong: str
) -> None:
    write_catalogue(platform, "wrong", schedule=schedule)
    try:
        with pytest.raises(ParamsError, match=rf"catalogues/wrong\.yaml: .*{wrong}"):
            raise ParamsError(run_here(platform.layout.root, "deploy").stderr)
    finally:
        (platform.layout.root / "catalogues" / "wrong.yaml").unlink()


def test_what_was_cut_off_begins_again_and_what_ended_does_not(platform: Platform, shop: list[str]) -> None:
    """Each run is put into its state as Prefect would; nobody takes it, for no worker is there."""
    write_catalogue(platform)
    deployed(platform)
    now = datetime.now(UTC)
    lost = Failed(message=f"Flow run encountered an exception: PlatformError: the mlflow server was lost{AGAIN}")
    with get_client(sync_client=True) as client:
        [deployment] = [each for each in client.read_deployments() if each.parameters.get("catalogue") == "shop"]

        def made(state: State[Any], tag: str | None = None) -> FlowRun:
            run = client.create_flow_run_from_deployment(deployment.id)
            client.update_flow_run(run.id, tags=[] if tag is None else [tag])
            client.set_flow_run_state(run.id, state, force=True)
            return run

        begin = {name: made(state, f"{TAG}here/1/2") for name, state in (("crashed", Crashed()), ("lost", lost))}
        begin |= {"taken": made(Pending()), "begun": made(Running())}
        leave = {"failed": made(Failed(message="wrong")), "cancelled": made(Cancelled())}
        leave |= {"taken": made(Pending(), f"{TAG}here/1/2"), "begun": made(Running(), f"{TAG}here/1/2")}

        def states(runs: dict[str, FlowRun]) -> dict[str, str]:
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in runs.values()]))
            by_id = {run.id: run for run in client.read_flow_runs(flow_run_filter=wanted)}
            return {name: str(by_id[run.id].state_type) for name, run in runs.items()}

        left = states(leave)
        assert begin_again(pool_of(platform.layout), now) == [], "its worker may be about to say what became of it"
        said = begin_again(pool_of(platform.layout), now + 2 * SETTLED)
        assert len(said) == 2, "a worker may be about to begin what it has taken"
        said += begin_again(pool_of(platform.layout), now + TAKEN_WITHIN + timedelta(minutes=1))
        assert sorted(line.partition(": ")[2] for line in said) == [
            "a server was lost",
            "it was cut off",
            "its process died before it said who it is",
            "its process died before it said who it is",
        ]
        assert set(states(begin).values()) == {str(StateType.SCHEDULED)}
        assert states(leave) == left
        assert not [tag for run in begin.values() for tag in client.read_flow_run(run.id).tags], "the dead own nothing"

        often = made(Crashed())
        for _ in range(MAX_BEGUN):
            client._client.post(f"/flow_runs/{often.id}/set_state", json={"state": {"type": "RUNNING"}, "force": True})
        client.set_flow_run_state(often.id, Crashed(), force=True)
        assert client.read_flow_run(often.id).run_count == MAX_BEGUN
        assert begin_again(pool_of(platform.layout), now + 2 * SETTLED) == []


def test_the_unit_of_systemd_starts_what_there_is(root: Path) -> None:
    unit = (root / "infra" / "facetmill-worker.service").read_text()
    [command] = [line.partition("=")[2] for line in unit.split("\n") if line.startswith("ExecStart=")]
    assert command.endswith("/facetmill worker start")
    assert run_here(root, "worker", "start", "--help").returncode == 0
    assert "\nRestart=always\n" in unit
