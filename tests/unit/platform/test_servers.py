"""The parts of the embedded servers that need no server: which process is ours, which port, which URL."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from facetmill.errors import PlatformError
from facetmill.platform import environment, servers
from facetmill.platform.layout import Layout, find_root

GROUP = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL,
    start_new_session={alone})
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "FACETMILL_STORAGE", servers.CONNECTED):
        monkeypatch.delenv(name, raising=False)
    return Layout(tmp_path)


def start_group(alone: bool) -> tuple[servers.Server, int, subprocess.Popen[str]]:
    """A process in its own session with one child; `alone` gives the child a session of its own, too."""
    code = GROUP.format(alone=alone)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    return (
        servers.Server(process.pid, psutil.Process(process.pid).create_time(), 1, "http://127.0.0.1:1"),
        child,
        process,
    )


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_root_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    below = tmp_path / "flows" / "deep"
    below.mkdir(parents=True)
    (tmp_path / "params.yaml").touch()
    with pytest.raises(PlatformError, match=r"params\.yaml and dvc\.yaml"):
        find_root(below)
    (tmp_path / "dvc.yaml").touch()
    assert find_root(below) == tmp_path.resolve()


def test_one_storage_url_moves_ledger_and_studies(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert layout.ledger_url == f"sqlite:///{layout.root}/.facetmill/ledger.db"
    monkeypatch.setenv("FACETMILL_STORAGE", "postgresql://db/facets")
    assert layout.ledger_url == layout.study_storage == "postgresql://db/facets"


def test_a_refused_storage_url_does_not_show_its_password(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACETMILL_STORAGE", "mysql://me:secret@db/facets")
    with pytest.raises(PlatformError, match="mysql") as caught:
        _ = layout.study_storage
    assert "secret" not in str(caught.value)


def test_switches_of_the_user_win_and_a_stray_run_id_goes(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.project_environment(layout):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("MLFLOW_RUN_ID", "somebody's")
    environment.apply(layout)
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert "MLFLOW_RUN_ID" not in os.environ
    for name in environment.project_environment(layout):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="huge pages: this kernel is built without them"
)
def test_large_tensors_of_a_command_are_to_lie_in_huge_pages(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
from facetmill.cli.common import layout
layout()
import facetmill.training.loop
import torch
kept = torch.ones(64 << 20)
asked = 0
for line in open("/proc/self/smaps"):
    if line.startswith("Size:"):
        size = int(line.split()[1])
    elif line.startswith("VmFlags:") and "hg" in line.split():
        asked += size
print(asked)
"""
    for name in environment.FAST:
        monkeypatch.delenv(name, raising=False)
    for name in ("params.yaml", "dvc.yaml"):
        (layout.root / name).touch()
    done = subprocess.run([sys.executable, "-c", code], cwd=layout.root, capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 250_000, done.stdout  # KiB that the kernel was asked to hold so, of the tensor's 262,144


@pytest.mark.parametrize("alone", [False, True])
def test_stopping_takes_the_children_along(alone: bool) -> None:
    server, child, process = start_group(alone)
    servers._stop(server)
    assert is_gone(server.pid)
    assert is_gone(child)
    process.communicate()


def test_a_child_that_outlived_its_server_is_stopped() -> None:
    server, child, process = start_group(alone=False)
    process.kill()
    process.communicate()
    assert not servers._alive(server)
    assert not is_gone(child)
    servers._stop(server)
    assert is_gone(child)


def test_a_recycled_process_id_is_neither_alive_nor_stopped(layout: Layout) -> None:
    server, child, process = start_group(alone=False)
    stale = servers.Server(server.pid, server.created - 3600, 1, "http://127.0.0.1:1")
    servers.write_state(layout, {"mlflow": stale})
    assert servers.running(layout) == {}
    assert servers.down(layout) == []
    assert not is_gone(server.pid)
    assert not is_gone(child)
    os.killpg(server.pid, signal.SIGKILL)
    process.communicate()


def test_a_copied_project_leaves_the_servers_to_the_other_and_a_moved_one_stops_what_knows_its_former_path(
    layout: Layout, tmp_path: Path
) -> None:
    server, child, process = start_group(alone=False)
    first, copied, moved = (Layout(tmp_path / name) for name in ("first", "copied", "moved"))
    ours = {"mlflow": replace(server, root=str(first.root))}
    servers.write_state(first, ours)
    shutil.copytree(first.root, copied.root)
    assert (servers.running(first), servers.running(copied)) == (ours, {})
    assert servers.down(copied) == []
    assert servers.running(first) == ours
    first.root.rename(moved.root)
    assert servers.running(moved) == {}
    servers.down(moved)
    assert is_gone(server.pid)
    assert is_gone(child)
    process.communicate()


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    server = servers.Server(process.pid, psutil.Process(process.pid).create_time(), 1, "http://127.0.0.1:1")
    assert servers._alive(server)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    assert not servers._alive(server)
    process.communicate()


def test_a_taken_port_gives_the_next_one() -> None:
    with socket.socket() as holder:
        holder.bind((servers.HOST, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert servers.free_port(taken) > taken


def test_a_server_that_came_too_late_for_its_port_is_known_by_its_log(layout: Layout) -> None:
    """Also when whoever had the port has left it since."""
    log = servers.log_path(layout, servers.PREFECT)
    log.parent.mkdir(parents=True)
    with socket.socket() as holder:
        holder.bind((servers.HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        late = f"import uvicorn; uvicorn.run(print, host='{servers.HOST}', port={port}, lifespan='off')"
        with log.open("w") as stream:
            died = subprocess.run([sys.executable, "-c", late], stderr=stream, timeout=60, check=False)
    assert died.returncode != 0
    assert servers.port_is_free(port)
    server = servers.Server(2, 1.0, port, f"http://{servers.HOST}:{port}")
    assert servers._lost_its_port(layout, servers.PREFECT, server)
    log.write_text("ModuleNotFoundError: no module of that name\n")
    assert not servers._lost_its_port(layout, servers.PREFECT, server)


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401 if self.path.startswith("/login") else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[str]:
    """A server that someone else runs; below /login it wants a password."""
    server = http.server.ThreadingHTTPServer((servers.HOST, 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{servers.HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["", "/login"])
def test_servers_that_the_user_names_are_used_and_none_is_started(
    layout: Layout, other_server: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other_server + path + "/")
    monkeypatch.setenv("PREFECT_API_URL", other_server + "/api")
    found = servers.up(layout)
    assert {name: endpoint.url for name, endpoint in found.items()} == {
        "mlflow": other_server + path,
        "prefect": other_server + "/api",
    }
    assert all(endpoint.given and not endpoint.started for endpoint in found.values())
    assert servers.running(layout) == {}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////tmp/mlflow.db", r"only the http"),
        ("http://127.0.0.1:9", "does not answer"),
        ("http://me:secret@127.0.0.1:9", "'http://127.0.0.1:9': give the login in MLFLOW_"),
    ],
)
def test_a_named_server_that_cannot_be_used_is_told(
    layout: Layout, url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with pytest.raises(PlatformError, match=message) as caught:
        servers.up(layout)
    assert "secret" not in str(caught.value)


def test_what_connect_set_does_not_count_as_named_by_the_user(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", servers.CONNECTED, "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NO_PROXY", "intranet")
    servers.connect({"prefect": servers.Endpoint("http://127.0.0.1:4200/api", started=True)})
    servers.connect({"mlflow": servers.Endpoint("http://127.0.0.1:5000", started=True)})
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert os.environ["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert [servers.given_url(kind) for kind in servers.KINDS] == [None, None]


def test_a_server_that_cannot_start_shows_the_end_of_its_log(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no interpreter comes up with that
    known = {"mlflow": servers._start(layout, servers.MLFLOW, 5000)}
    with pytest.raises(PlatformError, match="No module named 'encodings'"):
        servers._await_health(layout, servers.MLFLOW, known)
    assert servers.running(layout) == {}
