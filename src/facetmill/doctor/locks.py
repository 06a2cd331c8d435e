"""Locks that keep others waiting: who holds them, and whether that is still at work.

The system frees a lock when its holder ends, so a lock is never stale; but a child may have inherited it, and a holder
may hang. Linux tells who in /proc; elsewhere this check finds nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from facetmill.doctor.finding import Finding
from facetmill.platform.layout import Layout

if TYPE_CHECKING:
    import psutil

LONG = 600.0  # seconds; every wait for a lock but that for a dataset gives up after 300
LOCKS = Path("/proc/locks")


def check_locks(layout: Layout) -> list[Finding]:
    """Locks held by a stopped process, by what a dead process left behind, or for long."""
    import psutil

    found = []
    waited_for = (*layout.state_dir.glob("*.lock"), *layout.state_dir.glob("*.turn"), *layout.data_dir.glob("*/.lock"))
    refusing = tuple(layout.state_dir.glob("*/*.lock"))  # held as long as a training takes
    for path in waited_for + refusing:
        try:
            taken_by = _taken_by(path)
            seconds = time.time() - path.stat().st_mtime  # a lock's file is touched by whoever takes it
        except FileNotFoundError:  # it goes with its holder
            continue
        if taken_by is None:
            continue
        holder = _living(taken_by)
        if holder is None:
            for heir in _open_in(path):
                wrong = f"{path}: held by {_named(heir)}, left behind by process {taken_by}, which is gone"
                found.append(Finding("locks", "warning", wrong, f"wait for it, or kill {heir.pid}"))
        elif holder.status() == psutil.STATUS_STOPPED:
            wrong = f"{path}: held by {_named(holder)}, which is stopped"
            found.append(Finding("locks", "problem", wrong, f"kill -CONT {holder.pid}, or kill -KILL {holder.pid}"))
        elif seconds > LONG and path not in refusing:
            wrong = f"{path}: held for {seconds / 60:.0f} minutes by {_named(holder)}"
            found.append(Finding("locks", "warning", wrong, f"wait for it, or kill {holder.pid}"))
    return found


def _taken_by(path: Path) -> int | None:
    """The process that took the lock on a file, which may have ended since; None while it is free."""
    if not LOCKS.exists():
        return None
    status = path.stat()
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in LOCKS.read_text().strip().split("\n"):
        words = line.split()  # 1: FLOCK ADVISORY WRITE pid major:minor:inode ...; one that waits has "->" before FLOCK
        if words[1] == "FLOCK" and words[5] == place:
            return int(words[4])
    return None


def _open_in(path: Path) -> Iterator[psutil.Process]:
    """The processes that have a file open, as far as this user may see them."""
    import psutil

    for process in psutil.process_iter():
        try:
            if any(opened.path == str(path.resolve()) for opened in process.open_files()):
                yield process
        except psutil.Error:
            continue


def _living(pid: int) -> psutil.Process | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, ValueError):
        return None


def _named(process: psutil.Process) -> str:
    import psutil

    try:
        return f"process {process.pid} ({' '.join(process.cmdline())[:80]})"
    except psutil.Error:
        return f"process {process.pid}"
