"""One process at a time: a lock on a file, which the system itself releases when its holder dies.

Its holder writes into it who holds it and since when, for those who are kept waiting or are refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from uuid import uuid4

from facetmill.errors import Busy
from facetmill.platform.processes import Process, this_process

LONGEST_COMMAND = 200  # characters that are shown of it


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: the process, how it was called, and since when, by the clock of its host. `process` is None
    where it could not write that, as on a full disk."""

    process: Process | None
    command: str
    since: str

    def __str__(self) -> str:
        if self.process is None:
            return "one that could not say who it is"
        where = "" if self.process.is_here else f" on {self.process.host}"
        return f"process {self.process.pid}{where} ({self.command[:LONGEST_COMMAND]}), since {self.since}"


@contextmanager
def exclusive(path: Path, what: str, timeout: float = 300) -> Iterator[None]:
    """Hold the lock file at `path`; wait `timeout` seconds for another holder, then raise `Busy`, which names it and
    says that it is `what`, "promoting" say. Never taken within itself."""
    deadline = time.monotonic() + timeout
    while (lock := _take(path)) is None:
        if time.monotonic() >= deadline and (holder := _holder(path)):
            raise Busy(f"another process is {what}: {holder}; wait until it ends, or kill it")
        time.sleep(0.05)
    with lock:
        with suppress(OSError):  # on a full disk it keeps others out all the same
            lock.write(json.dumps(asdict(_this_holder())).encode())
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def register(folder: Path, user: object) -> None:
    """Have this process be one of those that `require_alone` looks for, as long as there is the object `user`."""
    held = ExitStack()
    held.enter_context(exclusive(folder / f"{uuid4().hex}.lock", "here", timeout=0))
    weakref.finalize(user, held.close)


def require_alone(folder: Path) -> None:
    """Raises `Busy`, which names them, while other processes have registered in a folder. What dead ones have left
    there is removed."""
    others: dict[Process | None, str] = {}  # a process may be registered more than once
    for path in sorted(folder.glob("*.lock")):
        if (left := _take(path)) is not None:
            with left:
                path.unlink()
        elif holder := _holder(path):
            others.setdefault(holder.process, str(holder))
    others.pop(this_process(), None)
    if others:
        named = "".join(f"\n  {other}" for other in others.values())
        raise Busy(f"others are at work here; wait until they end, or kill them:{named}")


def _take(path: Path) -> FileIO | None:
    """The emptied file at `path`, locked; None while another process holds it.

    A holder removes the file before it lets go, so one that was opened before that is nobody's any more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("ab", buffering=0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            lock.truncate(0)
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    lock.close()
    return None


def _holder(path: Path) -> Holder | None:
    """Who says that it holds a lock, which it may just be about to write; None once the lock is gone."""
    for _ in range(5):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            process = Process(**told["process"])
            if not process.is_gone:
                return Holder(process, told["command"], told["since"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            pass
        time.sleep(0.02)
    return Holder(None, "", "")


def _this_holder() -> Holder:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return Holder(this_process(), _command(), since)


def _command() -> str:
    """As one types it, in one line: without the interpreter and the folder of programs."""
    words = sys.orig_argv[1:]
    words = words[1:] if words[:1] == ["-m"] else [Path(word).name for word in words[:1]] + words[1:]
    return " ".join(shlex.join(words).split())
