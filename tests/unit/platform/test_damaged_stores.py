"""Databases and state files that a disk, a crash or a person has damaged: named, with the mend, and never made anew."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from facetmill.errors import PlatformError
from facetmill.platform import environment, servers
from facetmill.platform.layout import Layout
from facetmill.platform.sqlite_files import damage, require_sqlite
from tests.damage import flip_byte

TABLE = "experiments"


def make(path: Path, table: str = TABLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, said TEXT)")
        database.executemany(f"INSERT INTO {table} (said) VALUES (?)", [["x" * 3000]] * 20)
    return path


def overwrite_page(path: Path) -> None:
    """The second page, where the table begins."""
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 4096)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut in half": (lambda path: os.truncate(path, path.stat().st_size // 2), "damaged"),
    "cut in its head": (lambda path: os.truncate(path, 50), "damaged"),
    "cut in its first word": (lambda path: os.truncate(path, 5), "no SQLite database"),
    "a page of other bytes": (overwrite_page, "damaged"),
    "a text": (lambda path: path.write_text("no database at all, but long enough to be one" * 9), "no SQLite database"),
    "zeros": (lambda path: path.write_bytes(b"\0" * 8192), "no SQLite database"),
    "another tool's": (lambda path: (path.unlink(), make(path, "flow_run")), "it has no table experiments"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "a folder stands in its place"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_database_is_told_by_its_file(tmp_path: Path, how: str) -> None:
    path = make(tmp_path / "store.db")
    assert damage(path, TABLE) is None
    spoil, said = DAMAGES[how]
    spoil(path)
    assert said in (damage(path, TABLE) or "")
    with pytest.raises(PlatformError, match=rf"{path}: .*so runs cannot be read; .*facetmill restore"):
        require_sqlite(path, TABLE, "runs")


def test_what_is_still_to_be_made_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    assert damage(path, TABLE) is None
    path.touch()
    assert damage(path, TABLE) is None
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 1")  # a file without tables
    assert damage(path, TABLE) is None


def test_a_transaction_that_a_kill_cut_off_is_no_damage(tmp_path: Path) -> None:
    """Its journal lies beside the file, half of which is rewritten already."""
    path = make(tmp_path / "store.db")
    before = path.read_bytes()
    program = textwrap.dedent(
        f"""
        import os, sqlite3
        database = sqlite3.connect({str(path)!r})
        database.execute("PRAGMA cache_size = 1")
        database.execute("PRAGMA cache_spill = 1")
        database.execute("UPDATE {TABLE} SET said = 'changed' || said")
        os._exit(0)
        """
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert path.with_name("store.db-journal").exists()
    assert path.read_bytes() != before
    require_sqlite(path, TABLE, "runs")
    assert path.read_bytes() == before


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    found = Layout(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", *environment.project_environment(found)):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_runs_without_their_database_are_a_loss_and_not_a_start(layout: Layout, how: str) -> None:
    (layout.artifacts_dir / "1" / "models").mkdir(parents=True)
    if how == "empty":
        layout.mlflow_db.touch()
    with pytest.raises(PlatformError, match=rf"{layout.mlflow_db}: {how}, but .*artifacts holds files.*restore DIR"):
        servers.start(layout, servers.MLFLOW)
    assert servers.running(layout) == {}
    assert layout.mlflow_db.exists() == (how == "empty")


def test_a_server_with_a_damaged_database_is_not_started(layout: Layout) -> None:
    flip_byte(make(layout.mlflow_db), at=0.0)
    with pytest.raises(PlatformError, match=rf"{layout.mlflow_db}: no SQLite database.*restore DIR"):
        servers.start(layout, servers.MLFLOW)
    history = make(layout.prefect_home / "prefect.db", "flow_run")
    os.truncate(history, history.stat().st_size // 2)
    with pytest.raises(PlatformError, match=rf"{history}: damaged .*; move it away: it holds the history"):
        servers.start(layout, servers.PREFECT)
    assert servers.running(layout) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"mlflow": 1}',
        b'{"mlflow": {"pid": 1}}',
        b'{"mlflow": {"pid": "1", "created": 0, "port": 5000, "url": "http://127.0.0.1:5000"}}',
        b'{"mlflow": {"pid": -1, "created": 0, "port": 5000, "url": "http://127.0.0.1:5000"}}',
        b'{"mlflow": {"pid": 1, "created": 0, "port": 5000, "url": "http://elsewhere.example:5000"}}',
    ],
)
def test_a_state_file_that_we_have_not_written_is_named(layout: Layout, content: bytes) -> None:
    layout.state_dir.mkdir()
    path = layout.state_dir / "servers.json"
    path.write_bytes(content)
    for ask in (servers.running, servers.start, servers.down):
        with pytest.raises(PlatformError, match=rf"{path}: not readable .*no server runs: remove it"):
            ask(layout)
    assert path.read_bytes() == content


def test_the_servers_of_a_lost_state_file_are_named(layout: Layout) -> None:
    """By their command and their environment: a process of another project is none of them."""
    layout.state_dir.mkdir()
    (layout.state_dir / "servers.json").write_text("{")
    command = [sys.executable, "-c", "input()", "facetmill.platform.mlflow_server"]
    homes = [str(layout.prefect_home), "/elsewhere"]
    ours, other = (
        subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "PREFECT_HOME": home}) for home in homes
    )
    try:
        with pytest.raises(PlatformError, match=rf"stop the servers \(kill {ours.pid}\) and remove it"):
            servers.running(layout)
    finally:
        for process in (ours, other):
            process.communicate(b"\n")
