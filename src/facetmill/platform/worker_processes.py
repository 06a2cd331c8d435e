"""Several processes on one piece of work: `supervise` starts them and sees to them, see `platform.supervision`.

A worker's standard input is a pipe that its supervisor holds open: when that dies, however it dies, the worker ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

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
