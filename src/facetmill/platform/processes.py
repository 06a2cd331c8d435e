"""Which process wrote this, and is it still there? What a crash may leave open says so in these three values."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import psutil

SAME_START = 60.0  # seconds; the clock may have been set since, and a process id is not given anew that soon


@dataclass(frozen=True)
class Process:
    """A process of a host; `created` is in seconds since the epoch, and tells it from a later one with its id."""

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
        if not self.is_here:
            return False
        try:
            found = psutil.Process(self.pid)
            return abs(found.create_time() - self.created) > SAME_START or found.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def this_process() -> Process:
    found = psutil.Process()
    return Process(socket.gethostname(), found.pid, found.create_time())
