"""A workspace with real servers for each module of pipeline tests."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from facetmill.platform import environment, servers
from facetmill.platform.layout import Layout
from facetmill.registry.ledger import Ledger
from facetmill.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME", "FACETMILL_STORAGE", servers.CONNECTED)


@dataclass(frozen=True)
class Platform:
    layout: Layout
    tracker: Tracker
    ledger: Ledger


def make_workspace(folder: Path) -> Layout:
    """The project as a user has it, without its data and state: own params and dvc.yaml, the same code."""
    for name in ("params.yaml", "dvc.yaml"):
        source = ROOT / name
        (folder / name).write_text(source.read_text() if source.exists() else "stages: {}\n")
    for name in ("src", "flows"):
        (folder / name).symlink_to(ROOT / name)
    return Layout(folder)


def processes_of(layout: Layout) -> list[psutil.Process]:
    """Every living process whose environment says that it belongs to this workspace, but for this one and those that
    multiprocessing keeps for it until it ends."""
    found = []
    for process in psutil.process_iter():
        try:
            home = process.environ().get("PREFECT_HOME")
            is_helper = any("multiprocessing." in word for word in process.cmdline())
            if home == str(layout.prefect_home) and process.pid != os.getpid() and not is_helper:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((servers.HOST, 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, empty_stores: Path) -> Iterator[Platform]:
    """MLflow's server on a free port, connected to this process; afterwards nothing is left of it and of what a test
    has started. A module that needs Prefect's, too, uses `prefect`; commands start it themselves."""
    layout = make_workspace(tmp_path_factory.mktemp("workspace"))
    shutil.copytree(empty_stores, layout.root, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in (*NOT_OURS, *environment.project_environment(layout)):
            patch.setenv(name, "")  # so that what `apply` and `connect` set is undone at the end
            patch.delenv(name)
        environment.apply(layout)
        running = servers.up(layout, servers.MLFLOW)
        servers.connect(running)
        tracker = Tracker(running[servers.MLFLOW.name].url, "tests")
        try:
            yield Platform(layout, tracker, Ledger(layout.ledger_url))
        finally:
            servers.down(layout)
            left = processes_of(layout)
    assert not left, f"still running after down: {left}"


@pytest.fixture(scope="module")
def prefect(platform: Platform) -> None:
    """Prefect's server, beside MLflow's."""
    servers.connect(servers.up(platform.layout, servers.PREFECT))


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from .candidates import save_small

    return save_small(tmp_path_factory.mktemp("saved") / "model")
