"""Several processes on one study: `supervise` starts them and sees to them, and each is this module's `main`.

A worker's standard input is a pipe that its supervisor holds open: when that dies, however it dies, the worker ends.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from facetmill.errors import FacetmillError

MAX_RESTARTS = 2  # of each worker
STOP_SECONDS = 20.0  # to end a trial and its run after SIGTERM

_log = logging.getLogger(__name__)


def supervise(num_workers: int, command: Sequence[str], on_death: Callable[[], None]) -> None:
    """Run `num_workers` processes of a command until all have ended well.

    One that dies is started again, at most twice; `on_death` is called first. However this ends, no worker is left.
    Raises `FacetmillError` when none is left and the last one died. What workers print goes to stderr.
    """
    workers: dict[int, subprocess.Popen[bytes]] = {}
    restarts = dict.fromkeys(range(num_workers), 0)
    ended_well = False
    try:
        for place in range(num_workers):
            workers[place] = _start(command)
        while workers:
            for place, worker in list(workers.items()):
                code = worker.poll()
                if code is None:
                    continue
                _stop([workers.pop(place)])
                ended_well = code == 0
                if not ended_well:
                    _log.warning("worker %d of the sweep died (%s)", place, _how(code))
                    on_death()
                    if restarts[place] < MAX_RESTARTS:
                        restarts[place] += 1
                        workers[place] = _start(command)
            time.sleep(0.1)
    finally:
        _stop(list(workers.values()))
    if not ended_well:
        raise FacetmillError("every worker of the sweep died; what they printed says why. Run it again to go on")


def follow_supervisor() -> None:
    """In a worker: end as SIGTERM ends it, by `SystemExit`, when told to, and when the supervisor is gone."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: closing the trial must not be interrupted
        raise SystemExit(128 + number)

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, daemon=True).start()


def main(job: str) -> None:
    """Work on the study of one sweep; `job` is JSON, see `facetmill.training.sweep`."""
    follow_supervisor()
    from facetmill.dataset.version import Dataset
    from facetmill.params import parse_params
    from facetmill.platform.layout import Layout
    from facetmill.training.sweep import Trial, open_study
    from facetmill.workbench import Workbench

    given = json.loads(job)
    bench = Workbench(Layout(Path(given["root"])), parse_params(given["params"], "params of the sweep"))
    dataset = Dataset.open(Path(given["dataset"]))
    name, study = open_study(bench, dataset, given["model"])
    trial = Trial(bench, dataset, given["model"], name, given["run"])
    study.run(bench.params.sweep.trials, trial, failed_before=given["failed_before"])


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # Of its own session: Ctrl-C reaches the supervisor alone, which then ends the workers in order.
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, start_new_session=True)


def _stop(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """TERM, and KILL for the whole session of what is still there after a while."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    try:
        for worker in workers:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            if worker.stdin is not None:
                worker.stdin.close()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


if __name__ == "__main__":
    main(sys.argv[1])
