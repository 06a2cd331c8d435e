"""Fixtures for every test: real data by name, parts that must be there when FACETMILL_REQUIRE names them, and stores
that are made once for all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from facetmill.platform.layout import MARKERS
from facetmill.platform.locks import exclusive
from tests.fuzzing import load_profile

load_profile()

ROOT = Path(__file__).resolve().parents[1]
POSTGRES = "127.0.0.1:5432"


def missing(part: str, what: str) -> NoReturn:
    """Skip because `part` is not on this machine, or fail where FACETMILL_REQUIRE lists it (as CI does)."""
    if part in os.environ.get("FACETMILL_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required here: {what}")
    pytest.skip(f"{part}: {what}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the public research data, `../shared/data` beside the project or $FACETMILL_SHARED_DATA."""
    folder = Path(os.environ.get("FACETMILL_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        missing("shared-data", f"no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root, for tests that read its params.yaml, dvc.yaml or flows."""
    return ROOT


@pytest.fixture(scope="session")
def empty_stores(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder to copy into a project: the databases of both servers as `facetmill init` leaves them, which takes them
    twice as long as to start. Made once for all processes of the tests."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "empty-stores"
    with exclusive(folder.with_suffix(".lock"), "making the stores"):
        if not folder.exists():
            made, wanted = (tmp_path_factory.mktemp(name) for name in ("init", "stores"))
            for name in MARKERS:
                shutil.copy(ROOT / name, made)
            ours = ("MLFLOW_", "PREFECT_", "FACETMILL_")
            clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
            subprocess.run([sys.executable, "-m", "facetmill", "init"], cwd=made, env=clean, check=True)
            for name in ("mlruns/mlflow.db", ".facetmill/prefect/prefect.db"):
                (wanted / name).parent.mkdir(parents=True)
                with closing(sqlite3.connect(made / name)) as database:
                    database.execute("VACUUM INTO ?", [str(wanted / name)])  # with what still lies in the log beside it
            shutil.copy(made / ".facetmill/prefect/memo_store.toml", wanted / ".facetmill/prefect")
            wanted.rename(folder)
    return folder


@pytest.fixture
def bf16() -> None:
    """A CPU that torch can train in bf16 on."""
    from facetmill.compute.device import cpu_has_bf16

    if not cpu_has_bf16():
        missing("bf16", "torch has none for a CPU without AVX-512")


@pytest.fixture
def postgres() -> Iterator[str]:
    """URL of a database of its own, dropped again."""
    try:
        import psycopg

        server = psycopg.connect(f"postgresql://postgres@{POSTGRES}/test", autocommit=True, connect_timeout=3)
    except (ImportError, OSError) as error:
        missing("postgres", str(error))
    except psycopg.OperationalError as error:
        missing("postgres", str(error))
    name = f"facetmill_{uuid.uuid4().hex}"
    with server:
        server.execute(f"CREATE DATABASE {name}")
        yield f"postgresql://postgres@{POSTGRES}/{name}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
