"""A sweep by two processes as a user runs it, one of them killed in mid-trial: every run ends as it did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from facetmill.project import EXPERIMENT
from facetmill.tracking.tags import PROCESS
from facetmill.tracking.tracker import Tracker

from .conftest import Platform
from .test_retrain import change_params, runs_of

pytestmark = pytest.mark.pipeline

SMALL = {
    "demo": {"products": 120, "image_size": 32},
    "models": {"jave": {"encoder": "bilstm"}},
    "encoders": {"text": {"bilstm": {"hidden_size": 16}}},
    "training": {"threads": 1, "min_epoch_steps": 20},
    "sweep": {"trials": 3, "workers": 2, "epochs": 3},
}


def test_a_killed_worker_costs_no_trial_and_leaves_no_open_run(platform: Platform) -> None:
    change_params(platform, SMALL)
    words = [sys.executable, "-m", "facetmill", "sweep", "--data", "demo:", "--model", "jave", "--json"]
    sweep = subprocess.Popen(words, cwd=platform.layout.root, stdout=subprocess.PIPE, text=True)
    tracker = Tracker(platform.tracker.uri, EXPERIMENT)
    try:
        running: list[int] = []
        while not running:
            assert sweep.poll() is None, "the sweep ended before a worker could be killed"
            time.sleep(0.1)
            trials = runs_of(tracker, "trial")
            running = [int(run.data.tags[PROCESS[1]]) for run in trials if run.info.status == "RUNNING"]
        assert sweep.pid not in running
        os.kill(running[0], signal.SIGKILL)
        answer, _ = sweep.communicate(timeout=300)
    finally:
        sweep.terminate()
        sweep.wait(60)
    assert sweep.returncode == 0
    assert json.loads(answer)["num_trials"] == 3
    parents, trials = runs_of(tracker, "sweep"), runs_of(tracker, "trial")
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert len(trials) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parents[0].info.run_id}
    statuses = [run.info.status for run in trials if int(run.data.tags[PROCESS[1]]) == running[0]]
    assert statuses.count("KILLED") >= 1
    assert "RUNNING" not in {run.info.status for run in trials}
    summary = tracker.read_json(parents[0].info.run_id, "sweep.json")
    assert [trial["number"] for trial in summary["trials"]] == [0, 1, 2, 3]
    assert summary["trials"][summary["best"]]["value"] == json.loads(answer)["score"]
    assert "complete trials say too little" in tracker.read_text(parents[0].info.run_id, "sweep.html")
