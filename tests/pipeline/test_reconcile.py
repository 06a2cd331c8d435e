"""What a killed process leaves open in MLflow, Prefect, Optuna and the ledger is closed, and nothing else is."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import Running

from facetmill.platform import flow_runs
from facetmill.platform.flow_runs import crash_lost_flow_runs, owner_tag
from facetmill.platform.processes import this_process
from facetmill.platform.steps import connect_prefect
from facetmill.project import EXPERIMENT
from facetmill.runs.recovery import close_lost_runs, reconcile
from facetmill.tracking.tags import PROCESS
from facetmill.tracking.tracker import Tracker
from facetmill.training.search.storage import open_storage

from .conftest import Platform
from .test_retrain import answer, change_params, runs_of

pytestmark = [pytest.mark.pipeline, pytest.mark.usefixtures("prefect")]

OPEN_RUN = """
import sys, time
from facetmill.tracking.tracker import Tracker
with Tracker(sys.argv[1], "tests").run("to be killed") as run:
    print(run.run_id, flush=True)
    time.sleep(600)
"""

OPEN_FLOW = """
import os, time
from prefect import flow
from prefect.context import get_run_context
from facetmill.platform.flow_runs import run_flow
from facetmill.platform.steps import step

def done():
    pass

def sleep():
    os.write(1, f"{get_run_context().task_run.flow_run_id}\\n".encode())
    time.sleep(600)

@flow(name="sleepy")
def sleepy():
    step(done)()
    step(sleep)()

run_flow(sleepy)
"""

SLOW_TRIALS = {
    "demo": {"products": 120, "image_size": 32},
    "models": {"jave": {"encoder": "bilstm"}},
    "encoders": {"text": {"bilstm": {"hidden_size": 16}}},
    "training": {"threads": 1, "min_epoch_steps": 400},
    "sweep": {"trials": 2, "epochs": 5},
}


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    while not (found := condition()):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.1)
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and do not take leave of it: a zombie is gone, too."""
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_a_damaged_store_is_told_and_keeps_no_other_from_being_put_in_order(platform: Platform) -> None:
    connect_prefect()
    journal = Path(platform.layout.study_storage)
    journal.write_text('{"half a line\n')
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN_RUN, platform.tracker.uri], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        lost = process.stdout.readline().strip()
        kill(process)
        closed, told = reconcile(platform.layout, platform.tracker, platform.ledger)
    finally:
        process.kill()
        process.communicate()
        journal.unlink()
    assert f"closed: run {lost}" in closed
    assert f"not closed: {journal}, line 1: no line of Optuna's journal" in told


def test_only_the_run_of_a_dead_process_is_closed(platform: Platform) -> None:
    tracker = platform.tracker
    words = [sys.executable, "-c", OPEN_RUN, tracker.uri]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lost = process.stdout.readline().strip()
        with tracker.run("alive") as alive:
            other = {name: "elsewhere" if name == PROCESS[0] else "1" for name in PROCESS}
            elsewhere = tracker.client.create_run(tracker.experiment_id, tags=other).info.run_id
            untagged = tracker.client.create_run(tracker.experiment_id).info.run_id
            assert close_lost_runs(tracker) == []
            kill(process)
            assert close_lost_runs(tracker) == [
                f"closed: run {lost} (to be killed), whose process {process.pid} is gone"
            ]
            statuses = [tracker.run_info(run).status for run in (lost, alive.run_id, elsewhere, untagged)]
        assert statuses == ["KILLED", "RUNNING", "RUNNING", "RUNNING"]
        assert close_lost_runs(tracker) == []
    finally:
        process.kill()
        process.communicate()


def test_only_the_flow_run_of_a_dead_process_crashes(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    connect_prefect()
    monkeypatch.setattr(flow_runs, "PAGE", 1)  # so that there are several
    process = subprocess.Popen([sys.executable, "-c", OPEN_FLOW], stdout=subprocess.PIPE, text=True)
    try:
        with get_client(sync_client=True) as client:
            here = this_process()
            dead_elsewhere = dataclasses.replace(here, host="elsewhere", created=1.0)
            tags = [[owner_tag(here)], [owner_tag(dead_elsewhere)], [], ["facetmill.process:damaged"]]
            others = [client.create_flow_run(flow(_nothing), tags=tag, state=Running()).id for tag in tags]
            assert process.stdout is not None
            lost = process.stdout.readline().strip()
            of_run = FlowRunFilter(id=FlowRunFilterId(any_=[lost]))

            def tasks() -> list[str]:
                """Prefect hears of task runs a moment later than they begin."""
                return sorted(task.state_type.value for task in client.read_task_runs(flow_run_filter=of_run))

            wait_until(lambda: tasks() == ["COMPLETED", "RUNNING"], process)
            assert crash_lost_flow_runs() == []
            kill(process)
            run = client.read_flow_run(lost)
            assert crash_lost_flow_runs() == [
                f"closed: flow run {run.name} (1 of its task runs, too), whose process {process.pid} is gone"
            ]
            state = client.read_flow_run(lost).state
            assert (state.type.value, state.message) == ("CRASHED", f"process {process.pid} on {here.host} is gone")
            assert tasks() == ["COMPLETED", "CRASHED"]
            assert {client.read_flow_run(other).state_type.value for other in others} == {"RUNNING"}
            assert crash_lost_flow_runs() == []
    finally:
        process.kill()
        process.communicate()


def _nothing() -> None:
    pass


def test_up_closes_all_that_a_killed_sweep_and_a_cut_off_promotion_left(platform: Platform) -> None:
    change_params(platform, SLOW_TRIALS)
    words = [sys.executable, "-m", "facetmill", "sweep", "--data", "demo:", "--model", "jave"]
    process = subprocess.Popen(words, cwd=platform.layout.root, text=True)
    tracker = Tracker(platform.tracker.uri, EXPERIMENT)
    try:
        wait_until(lambda: [run for run in runs_of(tracker, "trial") if run.info.status == "RUNNING"], process)
        kill(process)
        row = platform.ledger.append(
            who="ana",
            why="cut off",
            candidate_version=7,
            from_version=None,
            dataset_version="",
            decision={},
            state="pending",
        )
        closed = answer(platform, "up")["closed"]
    finally:
        process.kill()
        process.communicate()
    kinds = [line.partition(" ")[0] + " " + line.split()[1] for line in closed]
    assert sorted(kinds) == ["closed: flow", "closed: run", "closed: run", "closed: trial", "undone: a"]
    assert f"(ledger row {row})" in closed[0]
    assert {run.info.status for kind in ("sweep", "trial") for run in runs_of(tracker, kind)} == {"KILLED"}
    assert platform.ledger.history()[-1].state == "failed"
    storage = open_storage(platform.layout.study_storage)
    [study] = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
    assert [trial.state.name for trial in study.get_trials()] == ["FAIL", "WAITING"]


def test_a_sweep_that_is_told_to_end_leaves_nothing_open(platform: Platform) -> None:
    """SIGTERM, as of a system that shuts down."""
    change_params(platform, SLOW_TRIALS)
    words = [sys.executable, "-m", "facetmill", "sweep", "--data", "demo:", "--model", "jave"]
    process = subprocess.Popen(words, cwd=platform.layout.root, text=True, stderr=subprocess.PIPE)
    tracker = Tracker(platform.tracker.uri, EXPERIMENT)
    try:
        wait_until(lambda: [run for run in runs_of(tracker, "trial") if run.info.status == "RUNNING"], process)
        process.terminate()
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + signal.SIGTERM
    assert said.rstrip("\n").split("\n")[-1] == "facetmill: ended by SIGTERM"
    assert "Traceback" not in said
    assert {run.info.status for kind in ("sweep", "trial") for run in runs_of(tracker, kind)} == {"KILLED"}
    again = answer(platform, "up")
    assert again["closed"] == []
    assert again["started"] == []
