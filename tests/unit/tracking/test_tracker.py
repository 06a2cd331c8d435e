"""What tracking does without a server; with one, see tests/pipeline/test_registry.py."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from facetmill.errors import PlatformError
from facetmill.tracking.tracker import _param_text, _quoted, _sigterm_raises, flatten, git_tags


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_nested_parameters_become_dotted_names() -> None:
    assert flatten({"model": {"dropout": 0.1, "deep": {"x": None}}, "seed": 3}) == {
        "model.dropout": 0.1,
        "model.deep.x": None,
        "seed": 3,
    }


def test_a_parameter_is_written_as_a_reader_would_and_cut_with_a_mark() -> None:
    assert [_param_text(value) for value in ("auto", 0.5, True, None, ["a"])] == [
        "auto",
        "0.5",
        "true",
        "null",
        '["a"]',
    ]
    assert len(_param_text("x" * 6000)) == 6000
    assert _param_text("x" * 6001).endswith("x ...cut")
    assert len(_param_text("x" * 6001)) == 6000


def test_a_tag_value_cannot_change_a_search() -> None:
    assert _quoted("x' or tags.y = 'z") == "\"x' or tags.y = 'z\""
    with pytest.raises(PlatformError, match="quotes"):
        _quoted("both ' and \"")


def test_git_commit_and_dirty_flag(tmp_path: Path) -> None:
    assert git_tags(tmp_path) == {}
    git(tmp_path, "init")
    assert git_tags(tmp_path) == {}  # no commit yet
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    clean = git_tags(tmp_path)
    assert len(clean["mlflow.source.git.commit"]) == 40
    assert clean["facetmill.git_dirty"] == "false"
    (tmp_path / "a").write_text("2")
    assert git_tags(tmp_path) == {**clean, "facetmill.git_dirty": "true"}


def test_sigterm_ends_a_run_and_the_old_handler_comes_back() -> None:
    with pytest.raises(SystemExit) as caught, _sigterm_raises():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_that_someone_else_has_set_is_kept() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with _sigterm_raises():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_other_threads_leave_signals_alone() -> None:
    done: list[bool] = []

    def work() -> None:
        with _sigterm_raises():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
