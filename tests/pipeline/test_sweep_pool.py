"""A sweep whose workers are flow runs in a Prefect work pool, executed by a real Prefect worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun

from facetmill.dataset.store.workspace import build
from facetmill.errors import PlatformError
from facetmill.platform import servers
from facetmill.platform.flow_runs import TAG, crash_lost_flow_runs
from facetmill.platform.layout import Layout
from facetmill.platform.pools import require_pool
from facetmill.platform.steps import connect_prefect
from facetmill.project import EXPERIMENT, open_project
from facetmill.runs.sweep import job_of, open_study
from facetmill.runs.sweep_worker import work
from facetmill.tracking.tags import PROCESS
from facetmill.tracking.tracker import Tracker
from facetmill.training.search.storage import open_storage

from .conftest import Platform
from .test_retrain import change_params, runs_of

pytestmark = [pytest.mark.pipeline, pytest.mark.usefixtures("prefect")]

SMALL = {
    "demo": {"products": 120, "image_size": 32},
    "models": {"jave": {"encoder": "bilstm"}},
    "encoders": {"text": {"bilstm": {"hidden_size": 16}}},
    "training": {"threads": 1, "min_epoch_steps": 15},
    "sweep": {"trials": 3, "workers": 2, "pool": "test", "epochs": 3},
}
SWEEP = ("sweep", "--data", "demo:", "--model", "jave")


@contextmanager
def prefect_worker(folder: Path) -> Iterator[psutil.Process]:
    """`prefect worker start`, as a person would in another shell; afterwards nothing of it is left."""
    words = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "test", "--type", "process"]
    environment = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    for name in ("MLFLOW_TRACKING_URI", servers.CONNECTED):
        environment.pop(name)  # which that shell does not know
    process = subprocess.Popen(words, cwd=folder, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()


@contextmanager
def started_sweep(platform: Platform) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "facetmill", *SWEEP, "--json"]
    sweep = subprocess.Popen(words, cwd=platform.layout.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield sweep
    finally:
        sweep.kill()
        sweep.wait()


def kill_all(process: psutil.Process) -> None:
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def pool_runs() -> list[FlowRun]:
    of_flow = FlowFilter(name=FlowFilterName(any_=["sweep_worker"]))
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_filter=of_flow)


def wait_until(condition: Callable[[], Any], sweep: subprocess.Popen[str]) -> Any:
    while not (found := condition()):
        assert sweep.poll() is None, "the sweep has ended too early"
        time.sleep(0.2)
    return found


def test_a_pool_that_is_not_there_is_told_with_the_command_that_makes_it(platform: Platform) -> None:
    connect_prefect()
    url = os.environ["PREFECT_API_URL"]
    with pytest.raises(PlatformError, match=f"PREFECT_API_URL={url} prefect work-pool create test --type process"):
        require_pool("test")


def test_trials_are_done_in_the_pool_and_survive_a_prefect_worker_that_is_killed_with_all_its_processes(
    platform: Platform, tmp_path: Path
) -> None:
    change_params(platform, SMALL)
    connect_prefect()
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="test", type="process"))
    tracker = Tracker(platform.tracker.uri, EXPERIMENT)

    def trying() -> list[int]:
        return [int(run.data.tags[PROCESS[1]]) for run in runs_of(tracker, "trial") if run.info.status == "RUNNING"]

    with started_sweep(platform) as sweep:
        assert sweep.stderr is not None
        assert "prefect worker start --pool test" in next(line for line in sweep.stderr if "no worker" in line)
        with prefect_worker(tmp_path) as first:
            wait_until(trying, sweep)
            owners = {tag for run in pool_runs() for tag in run.tags if tag.startswith(TAG)}
            assert owners
            assert not any(f"/{sweep.pid}/" in owner for owner in owners)
            kill_all(first)
        with prefect_worker(tmp_path):
            answer, said = sweep.communicate(timeout=200)
    assert sweep.returncode == 0, said
    assert json.loads(answer)["num_trials"] == 3
    [parent] = runs_of(tracker, "sweep")
    trials = runs_of(tracker, "trial")
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent.info.run_id}
    assert {run.info.status for run in trials} == {"FINISHED", "KILLED"}
    assert str(sweep.pid) not in {run.data.tags[PROCESS[1]] for run in trials}
    states = [run.state_type.value for run in pool_runs() if run.state_type]
    assert "CRASHED" in states
    assert "COMPLETED" in states
    assert set(states) <= {"CRASHED", "COMPLETED", "CANCELLED"}


def test_a_sweep_that_is_told_to_end_ends_its_flow_runs_and_queues_their_trials(
    platform: Platform, tmp_path: Path
) -> None:
    change_params(platform, {"training": {"min_epoch_steps": 4000}})
    tracker = Tracker(platform.tracker.uri, EXPERIMENT)
    before = {run.id for run in pool_runs()}
    with prefect_worker(tmp_path), started_sweep(platform) as sweep:
        wait_until(lambda: [run for run in runs_of(tracker, "trial") if run.info.status == "RUNNING"], sweep)
        sweep.send_signal(signal.SIGTERM)
        _, said = sweep.communicate(timeout=100)
        states = [run.state_type.value for run in pool_runs() if run.id not in before and run.state_type]
    assert sweep.returncode != 0
    assert states == ["CANCELLED", "CANCELLED"], said
    assert "RUNNING" not in {run.info.status for kind in ("sweep", "trial") for run in runs_of(tracker, kind)}
    storage = open_storage(platform.layout.study_storage)
    studies = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
    counts = [Counter(trial.state.name for trial in study.get_trials()) for study in studies]
    [stopped] = [count for count in counts if "COMPLETE" not in count]
    assert stopped["WAITING"] == stopped["FAIL"] == stopped.total() / 2 > 0


def test_flow_runs_of_a_killed_sweep_do_not_wait_in_the_pool_for_ever(platform: Platform) -> None:
    before = {run.id for run in pool_runs()}

    def begun() -> list[str]:
        return [run.state_type.value for run in pool_runs() if run.id not in before and run.state_type]

    with started_sweep(platform) as sweep:
        wait_until(lambda: begun() == ["SCHEDULED", "SCHEDULED"], sweep)
        sweep.kill()
        sweep.wait()
    assert len(crash_lost_flow_runs()) == 1
    assert begun() == ["CANCELLED", "CANCELLED"]


def test_a_worker_on_other_code_or_another_storage_begins_no_study_of_its_own(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_project("demo:", "jave", start=platform.layout.root)
    dataset = build(project.layout.root, project.params, log=print).dataset
    open_study(project, dataset, "jave")
    job = job_of(project, dataset, "jave", "a run", 0)
    with pytest.raises(PlatformError, match="install the same code"):
        work({**job, "study": "jave of yesterday"})
    monkeypatch.setattr(Layout, "study_storage", str(tmp_path / "studies.journal"))
    with pytest.raises(PlatformError, match="FACETMILL_STORAGE"):
        work(job)
