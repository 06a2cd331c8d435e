"""Several processes on one study: `supervise` starts them and sees to them, and each is this module's `main`.
A Prefect worker runs `work` alone, see `sweep.pool`.

A worker's standard input is a pipe that its supervisor holds open: when that dies, however it dies, the worker ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from facetmill.errors import PlatformError
from facetmill.platform import supervision
from facetmill.platform.supervision import Ending

STOP_SECONDS = 20.0  # to end a trial and its run after SIGTERM


def supervise(num_workers: int, command: Sequence[str], on_death: Callable[[], None]) -> None:
    """Run `num_workers` processes of a command until all have ended, see `platform.supervision`.

    What workers print goes to stderr.
    """
    supervision.supervise(num_workers, _Processes(command), on_death)


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
    """Work on one sweep in a process that `supervise` has started; `job` is JSON."""
    follow_supervisor()
    work(json.loads(job))


def work(job: Mapping[str, Any]) -> None:
    """Try candidates of one sweep's study until it is complete; `job` is what `facetmill.training.sweep` says of it.

    Raises `PlatformError` on a host with other code or another storage, where it would begin a study of its own.
    """
    import optuna

    from facetmill.dataset.version import Dataset
    from facetmill.params import parse_params
    from facetmill.platform.layout import Layout
    from facetmill.training.search.storage import open_storage
    from facetmill.training.sweep import Trial, open_study, study_name
    from facetmill.workbench import Workbench

    bench = Workbench(Layout(Path(job["root"])), parse_params(job["params"], "params of the sweep"))
    dataset = Dataset.open(Path(job["dataset"]))
    if study_name(bench, dataset, job["model"]) != job["study"]:
        raise PlatformError("the Facetmill of this worker's host is not that of the sweep; install the same code there")
    if job["study"] not in optuna.get_all_study_names(open_storage(bench.layout.study_storage)):
        raise PlatformError("the sweep's study is not in this worker's storage; give it the sweep's FACETMILL_STORAGE")
    name, study = open_study(bench, dataset, job["model"])
    trial = Trial(bench, dataset, job["model"], name, job["run"])
    study.run(bench.params.sweep.trials, trial, failed_before=job["failed_before"])


class _Processes:
    """A crew of processes of one command."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def start(self) -> subprocess.Popen[bytes]:
        # Of its own session: Ctrl-C reaches the supervisor alone, which then ends the workers in order.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=2, start_new_session=True)

    def ending(self, worker: subprocess.Popen[bytes]) -> Ending | None:
        code = worker.poll()
        if code is None:
            return None
        self.stop([worker])
        return Ending(well=code == 0, how=_how(code))

    def stop(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
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

    def pause(self) -> None:
        time.sleep(0.1)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


if __name__ == "__main__":
    main(sys.argv[1])
