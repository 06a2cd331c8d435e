"""What runs in a process of its own cannot hurt the one who asks, and does not outlive its time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from facetmill.errors import PlatformError
from facetmill.platform.isolated import run_isolated, warm_up


def test_it_runs_elsewhere_and_is_waited_for(tmp_path: Path) -> None:
    warm_up()
    run_isolated(os.mkdir, str(tmp_path / "made"), what="making a folder", timeout=60)
    assert (tmp_path / "made").is_dir()


LOADING = """
import sys
from pathlib import Path
from facetmill.training.checkpoint import load_model
known = set(sys.modules)
load_model(Path(folder))
sys.exit(f"imported {sorted(name for name in set(sys.modules) - known if not name.startswith('facetmill.'))}")
"""


def test_what_a_model_needs_is_there_before_it_is_loaded(root: Path) -> None:
    """A judgement loads several, each in a process of its own, and each would spend seconds on imports."""
    folder = root / "tests" / "champions_92b7a0f" / "jave"
    with pytest.raises(PlatformError, match=r"imported \[\]"):
        run_isolated(exec, LOADING, {"folder": str(folder)}, what="loading", timeout=60)


def test_an_error_is_told_with_the_last_words() -> None:
    with pytest.raises(PlatformError, match=r"(?s)counting: failed \(exit code 1\).*invalid literal for int.*'many'"):
        run_isolated(int, "many", what="counting", timeout=60)


@pytest.mark.parametrize(("function", "args", "end"), [(os._exit, (7,), "exit code 7"), (os.abort, (), "signal 6")])
def test_a_process_that_just_dies_is_told_too(function: object, args: tuple[int, ...], end: str) -> None:
    with pytest.raises(PlatformError, match=end):
        run_isolated(function, *args, what="dying", timeout=60)  # type: ignore[arg-type]


def test_of_what_it_says_the_end_is_told_and_nothing_that_a_terminal_obeys() -> None:
    talk = r"head -c 30000000 /dev/zero | tr '\0' x; printf '\033[2J\nlast \000 words'; exit 3"
    with pytest.raises(PlatformError) as caught:
        run_isolated(os.execlp, "sh", "sh", "-c", talk, what="a talker", timeout=60)
    said = str(caught.value)
    assert said.endswith("xx\\u001b[2J\n  last \\u0000 words")
    assert len(said) < 3000


def test_what_sleeps_for_ever_is_killed(tmp_path: Path) -> None:
    run_isolated(os.getpid, what="warming up", timeout=60)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"a nap: not done in 0\.5 s"):
        run_isolated(signal.pause, what="a nap", timeout=0.5)
    assert time.monotonic() - started < 30
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    run_isolated(os.getpid, what="warming up", timeout=60)
    note = tmp_path / "pid"
    with pytest.raises(PlatformError, match="not done"):
        run_isolated(os.system, f"sleep 600 & echo $! > {note}; wait", what="a busy one", timeout=5)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid := int(note.read_text())) else [], 10)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
