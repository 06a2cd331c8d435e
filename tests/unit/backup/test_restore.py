"""A back-up is put back whole or not at all, and over nothing that is here."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest

from facetmill.backup import save
from facetmill.backup.contents import PARTS, Contents, read_contents
from facetmill.backup.restore import restore
from facetmill.backup.stores import LedgerStore, StudyStore, to_lines
from facetmill.dataset.store import dvc
from facetmill.errors import PlatformError
from facetmill.files import hash_files
from facetmill.platform import environment, servers
from facetmill.platform.layout import Layout
from facetmill.registry.ledger import Entry, Ledger
from facetmill.training.search.storage import open_storage
from tests.damage import flip_byte

ROW = Entry(1, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "Åsa", "spring\u2028range", 7, None, 3, "d" * 64, {}, "done")
OBJECT = "objects/ab/cdef0123"


def quiet(line: str) -> None:
    pass


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    found = Layout(tmp_path / "project")
    names = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "FACETMILL_STORAGE", *environment.project_environment(found))
    for name in names:
        monkeypatch.delenv(name, raising=False)
    return found


def make_runs(path: Path, champion: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("experiments", "runs", "model_versions"):
            database.execute(f"CREATE TABLE {table} (id INTEGER)")
        database.execute("INSERT INTO runs VALUES (1)")
        database.execute("CREATE TABLE registered_model_aliases (name TEXT, alias TEXT, version INTEGER)")
        database.execute("INSERT INTO registered_model_aliases VALUES ('facets', 'champion', ?)", [champion])


def make_journal(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(study_name="jave-things", storage=open_storage(path))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    path.with_name(f"{path.name}.writing").unlink()


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A back-up of a ledger of one row, runs with an artifact, a study and a file of a dataset."""
    folder = tmp_path / "backup"
    make_runs(folder / "mlflow.db")
    make_journal(folder / "studies.journal")
    for name, content in (("artifacts/1/models/m/weights.safetensors", b"weights"), (OBJECT, b"shard")):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
    (folder / "ledger.jsonl").write_bytes(to_lines([ROW]))
    Contents("2026-01-02T03:04:05+00:00", "/p", "facets/3", {}, [], hash_files(folder)).write(folder)
    return folder


def written(layout: Layout) -> dict[str, str]:
    return hash_files(layout.root) if layout.root.exists() else {}


def test_into_a_new_project_everything_comes_back(layout: Layout, backup: Path) -> None:
    contents, aside = restore(layout, backup, quiet)
    assert (contents.champion, aside) == ("facets/3", None)
    assert Ledger(layout.ledger_url).history() == [ROW]
    assert (layout.artifacts_dir / "1/models/m/weights.safetensors").read_bytes() == b"weights"
    assert layout.mlflow_db.read_bytes() == (backup / "mlflow.db").read_bytes()
    study = optuna.load_study(study_name="jave-things", storage=open_storage(layout.study_storage))
    assert len(study.trials) == 2
    kept = dvc.cache_dir(layout.root) / "files" / "md5" / "ab" / "cdef0123"
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (b"shard", 0o444)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped byte of a package": (
        lambda folder: flip_byte(folder / "artifacts/1/models/m/weights.safetensors"),
        r"weights\.safetensors: changed since it was backed up",
    ),
    "a flipped byte of a dataset": (lambda folder: flip_byte(folder / OBJECT), rf"{OBJECT}: changed"),
    "a ledger cut off": (lambda folder: os.truncate(folder / "ledger.jsonl", 20), r"ledger\.jsonl: changed"),
    "a file that is gone": (lambda folder: (folder / "mlflow.db").unlink(), r"mlflow\.db: missing"),
    "no list of files": (lambda folder: (folder / "backup.json").unlink(), r"no back-up of facetmill's: backup\.json"),
    "a list cut off": (lambda folder: os.truncate(folder / "backup.json", 99), r"no back-up of facetmill's"),
    "a list of nothing": (lambda folder: (folder / "backup.json").write_text("{}"), r"no back-up of facetmill's"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_back_up_that_is_not_whole_puts_nothing_back(layout: Layout, backup: Path, how: str) -> None:
    spoil, message = SPOILED[how]
    spoil(backup)
    with pytest.raises(PlatformError, match=message):
        restore(layout, backup, quiet)
    assert written(layout) == {}


def test_a_list_that_names_files_elsewhere_is_refused(layout: Layout, backup: Path, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("evil")
    hashes = read_contents(backup, PARTS).hashes | {"artifacts/../../evil": hash_files(tmp_path)["evil"]}
    Contents("", "", None, {}, [], hashes).write(backup)
    with pytest.raises(PlatformError, match=r"'artifacts/\.\./\.\./evil' is no file of a back-up"):
        restore(layout, backup, quiet)
    assert written(layout) == {}


def test_what_is_here_is_named_and_left_until_somebody_says_replace(layout: Layout, backup: Path) -> None:
    make_runs(layout.mlflow_db, champion=5)
    Ledger(layout.ledger_url).fill([ROW])
    make_journal(Path(layout.study_storage))
    layout.ledger_db.with_name("ledger.db-journal").write_bytes(b"")  # SQLite would take it for the new file's
    before = written(layout)
    with pytest.raises(PlatformError, match=r"nothing was put back, .*--replace moves it aside") as caught:
        restore(layout, backup, quiet)
    for said in ("mlflow.db, in which facets/5 is live", "1 rows; by it facets/3 is live", "studies.journal"):
        assert said in str(caught.value)
    assert written(layout) == before

    _, aside = restore(layout, backup, quiet, replace=True)
    assert aside is not None
    assert hash_files(aside) == {Path(name).name: sha256 for name, sha256 in before.items()}
    assert layout.mlflow_db.read_bytes() == (backup / "mlflow.db").read_bytes()
    assert not layout.ledger_db.with_name("ledger.db-journal").exists()


def test_only_a_damaged_part_is_put_back(layout: Layout, backup: Path) -> None:
    make_runs(layout.mlflow_db, champion=5)
    layout.state_dir.mkdir(parents=True)
    layout.ledger_db.write_text("no database")
    runs = layout.mlflow_db.read_bytes()
    with pytest.raises(PlatformError, match=r"ledger\.db: no SQLite database"):
        restore(layout, backup, quiet, only=["ledger"])
    _, aside = restore(layout, backup, quiet, only=["ledger"], replace=True)
    assert aside is not None
    assert (aside / "ledger.db").read_text() == "no database"
    assert Ledger(layout.ledger_url).history() == [ROW]
    assert layout.mlflow_db.read_bytes() == runs
    assert not Path(layout.study_storage).exists()


def test_nothing_is_put_back_under_a_running_server(layout: Layout, backup: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = servers.created_at(process.pid)
    servers.write_state(layout, {"mlflow": servers.Server(process.pid, created, 1, "http://127.0.0.1:1")})
    before = written(layout)
    with pytest.raises(PlatformError, match="facetmill down, then again"):
        restore(layout, backup, quiet)
    process.communicate(b"\n")
    assert written(layout) == before


def test_ledger_and_studies_move_between_files_and_a_shared_database(
    layout: Layout, postgres: str, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACETMILL_STORAGE", postgres)
    restore(layout, backup, quiet, only=["ledger", "studies"])
    assert Ledger(postgres).history() == [ROW]
    with pytest.raises(PlatformError, match="1 rows; by it facets/3 is live") as caught:
        restore(layout, backup, quiet, only=["ledger"])
    assert "://" in str(caught.value)
    _, aside = restore(layout, backup, quiet, only=["ledger"], replace=True)
    assert aside is not None
    assert (aside / "ledger.jsonl").read_bytes() == to_lines([ROW])

    save._copy_studies(postgres, tmp_path / "studies.journal")
    monkeypatch.delenv("FACETMILL_STORAGE")
    assert (LedgerStore(layout).here(), StudyStore(layout).here()) == (None, None)
    (study,) = optuna.get_all_study_summaries(open_storage(tmp_path / "studies.journal"))
    assert (study.study_name, study.n_trials) == ("jave-things", 2)
