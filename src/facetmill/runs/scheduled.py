"""`facetmill worker start`: executes what the clock asks for, and sees to what crashes have cut off."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from facetmill.errors import PlatformError
from facetmill.platform.begin_again import begin_again
from facetmill.platform.flow_runs import crash_lost_flow_runs
from facetmill.platform.keeping import kept_up
from facetmill.platform.layout import Layout

LOOK_SECONDS = 5.0
REST_SECONDS = 10.0  # before a worker that died is started again
STOP_SECONDS = 30.0  # for what it has begun to end in order


def work(
    layout: Layout, pool: str, limit: int, close_lost: Callable[[], list[str]], log: Callable[[str], None]
) -> None:
    """Execute the runs of a work pool, at most `limit` at a time, until told to end by a signal.

    Servers of this project that die are started again, and so is Prefect's worker. A run whose process is gone goes
    back into the queue; so does one that this worker was told to leave. `close_lost` closes what else a crash has left
    open, at the beginning and after each crash, and returns a line for each. The servers must be connected.
    """
    for line in close_lost():
        log(line)
    with kept_up(layout, max_restarts=math.inf):
        while True:
            worker = _start(pool, limit)
            log(f"taking the runs of {pool}, {limit} at a time; Ctrl-C ends it")
            try:
                while worker.poll() is None:
                    _see_to(pool, close_lost, log)
                    time.sleep(LOOK_SECONDS)
            finally:
                _stop(worker)
            log(f"Prefect's worker has ended (exit code {worker.returncode}); it is started again")
            time.sleep(REST_SECONDS)


def _see_to(pool: str, close_lost: Callable[[], list[str]], log: Callable[[str], None]) -> None:
    try:
        if again := [*crash_lost_flow_runs(), *begin_again(pool)]:
            for line in (*again, *close_lost()):
                log(line)
    except PlatformError as error:  # Prefect may be gone for a moment
        log(f"looking again: {error}")


def _start(pool: str, limit: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "facetmill.platform.pool_worker", pool, str(limit)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, start_new_session=True)


def _stop(worker: subprocess.Popen[bytes]) -> None:
    """End it and the runs that it has begun: TERM, and KILL for what is still there after a while."""
    members = _members(worker)
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.terminate()
    for member in psutil.wait_procs(members, timeout=STOP_SECONDS)[1]:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    worker.kill()
    worker.wait()
    if worker.stdin is not None:
        worker.stdin.close()


def _members(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The worker, if it lives, and all that descends from it."""
    try:
        process = psutil.Process(worker.pid)
        return [process, *process.children(recursive=True)] if worker.poll() is None else []
    except psutil.NoSuchProcess:
        return []
