"""Servers, databases and disks that are not there, asked by the real clients: told by name, with what to do."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy
from mlflow import MlflowClient
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from facetmill.platform.folders import unwritable
from facetmill.platform.layout import Layout
from facetmill.platform.outages import as_outage
from tests.conftest import ROOT

NOBODY = "127.0.0.1:9"  # the port of `discard`, on which nobody listens


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A project, which the working directory is in."""
    (tmp_path / "dvc.yaml").touch()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{NOBODY}")
    monkeypatch.setenv("PREFECT_API_URL", f"http://{NOBODY}/api")
    monkeypatch.setenv("FACETMILL_STORAGE", f"postgresql://ana:secret@{NOBODY}/shop")
    return Layout(tmp_path)


def ask_prefect(layout: Layout) -> object:
    return httpx.get(f"http://{NOBODY}/api/health")


def ask_mlflow(layout: Layout) -> object:
    return MlflowClient(f"http://{NOBODY}").get_run("a" * 32)


def ask_database(layout: Layout) -> object:
    return sqlalchemy.create_engine(f"postgresql+psycopg://ana:secret@{NOBODY}/shop").connect()


def commit_a_trial(layout: Layout) -> object:
    """Optuna tells of any error of the database as invalid data."""
    try:
        RDBStorage(f"postgresql+psycopg://ana:secret@{NOBODY}/shop")
    except sqlalchemy.exc.OperationalError as error:
        raise StorageInternalError("This typically happens due to invalid data") from error
    raise AssertionError


def make_a_folder(layout: Layout) -> object:
    layout.data_dir.write_text("a file")
    return (layout.data_dir / "demo").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (ask_prefect, "the prefect server at http://127.0.0.1:9/api was lost (Connection refused); start it again"),
        (ask_mlflow, "the mlflow server at http://127.0.0.1:9 was lost (Connection refused); start it again"),
        (ask_database, "the database of FACETMILL_STORAGE, postgresql://127.0.0.1:9/shop, was lost (connection"),
        (commit_a_trial, "the database of FACETMILL_STORAGE, postgresql://127.0.0.1:9/shop, was lost (connection"),
        (make_a_folder, "/data: cannot be written (Not a directory); move the file away"),
    ],
)
def test_what_was_lost_is_named(layout: Layout, ask: Callable[[Layout], object], told: str) -> None:
    with pytest.raises(Exception) as raised:  # each client has its own
        ask(layout)
    said = str(as_outage(raised.value))
    assert told in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "error", [ValueError("no"), FileNotFoundError(errno.ENOENT, "no such file", "x"), StorageInternalError("too long")]
)
def test_an_error_of_our_own_is_no_outage(layout: Layout, error: Exception) -> None:
    assert as_outage(error) is None


def test_a_full_disk_is_told_by_its_folder(layout: Layout) -> None:
    """A limit on the size of files stands for the disk."""
    layout.mlruns_dir.mkdir()
    assert unwritable(layout) is None
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from pathlib import Path\n"
        "from facetmill.platform.folders import unwritable\n"
        "from facetmill.platform.layout import Layout\n"
        "print(unwritable(Layout(Path.cwd())))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == f"{layout.mlruns_dir}: cannot be written (File too large); allow larger files (ulimit -f)\n"


@pytest.mark.parametrize(
    ("words", "spoilt", "told"),
    [
        (("history",), None, "the database of FACETMILL_STORAGE, postgresql://127.0.0.1:9/shop, was lost"),
        (("up",), ".facetmill", "/.facetmill: cannot be written (Not a directory); move the file away"),
        (("up",), "mlruns", "/mlruns: cannot be written (Not a directory); move the file away"),
    ],
)
def test_a_command_ends_with_one_message(
    layout: Layout, words: tuple[str, ...], spoilt: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if spoilt:
        (layout.root / spoilt).write_text("a file")
        for name in ("FACETMILL_STORAGE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
            monkeypatch.delenv(name)
    done = subprocess.run(
        [sys.executable, "-m", "facetmill", *words], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == 1
    assert done.stderr.startswith("facetmill: ")
    assert told in done.stderr
    assert done.stderr.endswith(", and give the same command again: what was done is kept\n")
    assert done.stderr.count("\n") == 1
