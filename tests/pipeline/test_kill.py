"""`kill -9` in the middle of a training: the next one goes on where it was, and nothing is lost, doubled or open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from facetmill.files import read_json
from facetmill.project import EXPERIMENT
from facetmill.tracking.tags import PROCESS
from facetmill.tracking.tracker import Tracker

from .conftest import Platform
from .test_retrain import answer, change_params, facetmill, runs_of

pytestmark = pytest.mark.pipeline

SMALL = {
    "demo": {"products": 80, "image_size": 32},
    "models": {"jave": {"encoder": "bilstm"}},
    "encoders": {"text": {"bilstm": {"hidden_size": 16}}},
    "training": {"threads": 1, "epochs": 3, "min_epoch_steps": 40, "precision": "auto"},
    "sweep": {"final_seeds": [3]},
}


@pytest.mark.timeout(600)
def test_a_training_killed_in_an_epoch_ends_as_if_nothing_had_happened(platform: Platform) -> None:
    change_params(platform, SMALL)
    tracker = Tracker(platform.tracker.uri, EXPERIMENT)
    words = [sys.executable, "-m", "facetmill", "train", "--model", "jave"]
    training = subprocess.Popen(words, cwd=platform.layout.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    states = platform.layout.state_dir / "training"
    try:
        while not (found := list(states.glob("training-*/state.json"))):  # an epoch is behind it
            assert training.poll() is None, "the training ended before it could be killed"
            time.sleep(0.02)
        family = psutil.Process(training.pid).children(recursive=True)
        os.kill(training.pid, signal.SIGKILL)
        training.wait(60)
    finally:
        training.kill()
    for process in psutil.wait_procs(family, timeout=30)[1]:
        process.kill()
    state = read_json(found[0])
    rates, begun_in = [epoch["items_per_second"] for epoch in state["epochs"]], state["precision"]
    lost = [run for run in of_jave(tracker) if int(run.data.tags[PROCESS[1]]) == training.pid]
    assert [run.info.status for run in lost] == ["RUNNING"]

    made = answer(platform, "train", "--model", "jave")
    closed = answer(platform, "up")["closed"]
    assert any(lost[0].info.run_id in line for line in closed)
    ended = {run.info.run_id: run.info.status for run in of_jave(tracker)}
    assert sorted(ended.values()) == ["FINISHED", "KILLED"]
    assert ended[lost[0].info.run_id] == "KILLED"
    [resumed] = [run for run in of_jave(tracker) if run.info.status == "FINISHED"]
    speed = tracker.client.get_metric_history(resumed.info.run_id, "train/products_per_second")
    assert len(speed) == 3
    assert [point.value for point in speed][: len(rates)] == rates  # what was done was not done again
    recipe = tracker.read_json(resumed.info.run_id, "recipe.json")
    assert recipe["training"]["precision"] == resumed.data.params["precision"] == begun_in
    again = facetmill(platform, "reproduce", f"facets-candidates/{made['version']}", "--json")
    assert again.returncode == 0, again.stdout + again.stderr  # trained anew, in one go: the same metrics
    assert answer(platform, "up")["closed"] == []


def of_jave(tracker: Tracker) -> list[Any]:
    return [run for run in runs_of(tracker, "training") if run.data.tags["facetmill.model"] == "jave"]
