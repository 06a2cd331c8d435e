"""What a killed process leaves open in MLflow is closed, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from facetmill.platform.reconcile import close_lost_runs
from facetmill.tags import PROCESS

from .conftest import Platform

pytestmark = pytest.mark.pipeline

OPEN_RUN = """
import sys, time
from facetmill.tracking import Tracker
with Tracker(sys.argv[1], "tests").run("to be killed") as run:
    print(run.run_id, flush=True)
    time.sleep(600)
"""


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
            os.kill(process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert close_lost_runs(tracker) == [
                f"closed: run {lost} (to be killed), whose process {process.pid} is gone"
            ]
            statuses = [tracker.run_info(run).status for run in (lost, alive.run_id, elsewhere, untagged)]
        assert statuses == ["KILLED", "RUNNING", "RUNNING", "RUNNING"]
        assert close_lost_runs(tracker) == []
    finally:
        process.kill()
        process.communicate()
