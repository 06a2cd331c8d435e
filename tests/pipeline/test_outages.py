"""A server or a disk that is lost in the midst of work: the work goes on, and what is said of it is true.

Every server that must come back costs seconds, so the last test leaves one dead.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from facetmill.errors import PlatformError
from facetmill.platform import servers
from facetmill.platform.flow_runs import end_left_task_runs, run_flow
from facetmill.platform.keeping import kept_up
from facetmill.platform.outages import as_outage
from facetmill.platform.servers import MLFLOW, PREFECT, Kind
from facetmill.platform.steps import connect_prefect, step
from tests.conftest import missing

from .candidates import last, live_version, new_candidate, promote
from .conftest import Platform

pytestmark = [pytest.mark.pipeline, pytest.mark.usefixtures("prefect")]


def kill(platform: Platform, kind: Kind) -> None:
    os.kill(servers.running(platform.layout)[kind.name].pid, signal.SIGKILL)


@pytest.fixture
def small_disk(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of its own, with hardly any room, where the artifacts lie."""
    monkeypatch.chdir(platform.layout.root)
    folder = platform.layout.artifacts_dir
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False).returncode:
        missing("mount", "this user may mount nothing")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [("rw", "No space left on device); make room on its disk"), ("ro", "Read-only file system); mount it writable")],
)
def test_a_disk_that_takes_nothing_is_told_by_its_folder(
    platform: Platform, small_disk: Path, options: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is what writes there, and tells its clients only that it failed."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    subprocess.run(["mount", "-o", f"remount,{options}", small_disk], check=True)
    with pytest.raises(Exception) as raised, platform.tracker.run("too much") as run:
        run.log_text("page.html", "x" * 100_000)
    assert f"{small_disk}: cannot be written ({told}" in str(as_outage(raised.value))


def test_a_promotion_that_loses_mlflow_says_so_and_is_undone_when_mlflow_is_back(
    platform: Platform, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, before = new_candidate(platform, model_dir), live_version(platform)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(PlatformError) as raised:
            promote(platform, candidate, smoke=lambda uri, tracking_uri: kill(platform, MLFLOW))
    row = last(platform)
    assert row.state == "pending"
    assert "the mlflow server at" in str(raised.value)
    assert f"facetmill up completes or undoes this promotion (ledger row {row.id})" in str(raised.value)
    with kept_up(platform.layout):  # the next promotion waits until the server is there again
        done = promote(platform, candidate)
    assert [entry.state for entry in platform.ledger.history()] == ["failed", "done"]
    assert (done.from_version, done.to_version) == (before, live_version(platform))


def test_a_flow_outlives_its_prefect_server_which_is_started_again(
    platform: Platform, capfd: pytest.CaptureFixture[str]
) -> None:
    connect_prefect()

    def task_states() -> set[str | None]:
        with get_client(sync_client=True) as client:
            return {task.state_name for task in client.read_task_runs()}

    def lose_prefect() -> int:
        while task_states() != {"Running"}:  # Prefect hears of it a moment later
            time.sleep(0.05)
        kill(platform, PREFECT)
        return 1

    def add_one(number: int) -> int:
        return number + 1

    @flow
    def outliving() -> int:
        return step(add_one)(step(lose_prefect)())

    with kept_up(platform.layout):
        assert run_flow(outliving) == 2
    said = capfd.readouterr().err
    assert "the prefect server died, and is started again" in said
    assert "Traceback" not in said
    with get_client(sync_client=True) as client:
        assert {run.state_name for run in client.read_flow_runs()} == {"Completed"}
    end_left_task_runs(timedelta())
    assert task_states() == {"Completed"}
    assert end_left_task_runs(timedelta()) == []


def test_where_prefect_stays_away_the_outcome_is_told_all_the_same(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    connect_prefect()

    def judge() -> str:
        kill(platform, PREFECT)
        return "promoted"

    @flow
    def judging() -> str:
        return step(judge)()

    assert run_flow(judging) == "promoted"
    said = capfd.readouterr().err
    assert "the work has ended, but Prefect does not show how: the prefect server at" in said
    assert "Traceback" not in said
