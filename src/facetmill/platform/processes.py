"""Which process wrote this, and is it still there? What a crash may leave open says so in these three values."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

ONE_TICK = 0.02  # seconds; a process id is not given anew that soon
SINCE_THE_EPOCH = 1e9  # more than any time since boot; the clock may have been set since
CLOCK_CHANGE = 60.0


@dataclass(frozen=True)
class Process:
    """A process of a host; `created` is what `created_at` says of it, and tells it from a later one with its id."""

    host: str
    pid: int
    created: float

    @property
    def is_here(self) -> bool:
        """Whether it is one of this host, the only ones that can be looked up."""
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether it has ended; a zombie has. Never true for a process of another host."""
        return self.is_here and not lives(self.pid, self.created)


def this_process() -> Process:
    return Process(socket.gethostname(), os.getpid(), created_at(os.getpid()))


def created_at(pid: int) -> float:
    """When a process began, in seconds: since boot where the system tells that, which no setting of the clock changes,
    else since the epoch. Raises `psutil.NoSuchProcess`."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return int(after_name.split()[19]) / os.sysconf("SC_CLK_TCK")  # proc_pid_stat(5): 22, starttime
    except (FileNotFoundError, ProcessLookupError):
        return psutil.Process(pid).create_time()


def is_that(pid: int, created: float) -> bool:
    """Whether the process with an id began then; a zombie is still that process."""
    try:
        if created > SINCE_THE_EPOCH:  # as this project once wrote it, and as systems without /proc tell it
            return abs(psutil.Process(pid).create_time() - created) < CLOCK_CHANGE
        return abs(created_at(pid) - created) < ONE_TICK
    except psutil.NoSuchProcess:
        return False


def lives(pid: int, created: float) -> bool:
    """Whether the process that began then has not ended."""
    try:
        return is_that(pid, created) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
