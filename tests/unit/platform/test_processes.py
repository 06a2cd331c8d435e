"""A process is told from any other by when it began, whatever is done to the clock."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from facetmill.platform.processes import Process, created_at, lives, this_process


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_living_process_is_not_gone_and_a_killed_one_is_though_nobody_took_leave_of_it(
    other: subprocess.Popen[bytes],
) -> None:
    there = dataclasses.replace(this_process(), pid=other.pid, created=created_at(other.pid))
    assert not there.is_gone
    os.kill(other.pid, signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert there.is_gone
    other.wait()
    assert there.is_gone


def test_a_later_process_with_the_same_id_is_another_one(other: subprocess.Popen[bytes]) -> None:
    assert not lives(other.pid, created_at(other.pid) - 1)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="told by the clock here")
def test_a_clock_that_is_set_back_kills_nobody(other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The system tells the time of its boot by the clock of now, so that seems to have been another one."""
    before = created_at(other.pid)
    by_the_clock = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: by_the_clock(process) - 7 * 3600)
    assert lives(other.pid, before)
    assert created_at(other.pid) == before


def test_what_was_written_in_seconds_since_the_epoch_is_still_understood(other: subprocess.Popen[bytes]) -> None:
    written = psutil.Process(other.pid).create_time()
    assert lives(other.pid, written + 2)
    assert not lives(other.pid, written - 3600)


def test_a_process_of_another_host_is_never_gone() -> None:
    assert not Process("elsewhere", 1, 1.0).is_gone
