"""One process at a time: a lock on a file, which the system itself releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facetmill.errors import PlatformError


@contextmanager
def exclusive(path: Path, what: str, timeout: float = 300) -> Iterator[None]:
    """Hold the lock file at `path`; wait `timeout` seconds for another holder, then raise `PlatformError`.

    The file stays: removing it would let two processes hold two files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PlatformError(f"{path}: another process has been {what} for {timeout:.0f} s") from None
                time.sleep(0.05)
        os.utime(lock.fileno())  # says since when, to whoever wonders
        yield
