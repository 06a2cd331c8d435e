"""The embedded MLflow and Prefect servers: started when needed, found again, stopped with everything they started.

A server outlives the command that started it. `.facetmill/servers.json` says which process it is; a process id alone
proves nothing after a reboot, so the time at which that process was made stands beside it.
"""

from __future__ import annotations

import errno
import http.client
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from facetmill.errors import PlatformError
from facetmill.platform.environment import project_environment
from facetmill.platform.folders import unwritable
from facetmill.platform.layout import Layout
from facetmill.platform.locks import exclusive, require_alone
from facetmill.platform.processes import created_at, is_that, lives
from facetmill.platform.server_state import HOST, Server, left_behind, read_state, write_state
from facetmill.platform.server_stores import require_mlflow_store, require_prefect_store

START_TIMEOUT = 180.0  # seconds; a first start on a busy machine takes over ten
STOP_TIMEOUT = 10.0
CONNECTED = "FACETMILL_CONNECTED"  # the URLs that `connect` set, to tell them from those that the user set
LOG_LINES = 15


@dataclass(frozen=True)
class Kind:
    """What there is to know of one of the two servers; `variable` is where its clients look for it."""

    name: str
    variable: str
    port: int
    api: str
    health: str
    login: str  # the variables that its clients take a login from
    reads: str  # a path of it to read from without changing anything
    changes: str  # and one to write to


@dataclass(frozen=True)
class Endpoint:
    """Where a server answers, or will; whether this call started it, and whether the user's environment names it."""

    url: str
    started: bool = False
    given: bool = False


MLFLOW = Kind(
    name="mlflow",
    variable="MLFLOW_TRACKING_URI",
    port=5000,
    api="",
    health="/health",
    login="MLFLOW_TRACKING_USERNAME and _PASSWORD",
    reads="/api/2.0/mlflow/experiments/search?max_results=1",
    changes="/api/2.0/mlflow/experiments/create",
)
PREFECT = Kind(
    name="prefect",
    variable="PREFECT_API_URL",
    port=4200,
    api="/api",
    health="/health",
    login="PREFECT_API_AUTH_STRING",
    reads="/version",
    changes="/work_pools/",
)
KINDS = (MLFLOW, PREFECT)


def start(layout: Layout, *kinds: Kind) -> dict[str, Endpoint]:
    """Have the servers of these kinds running, without waiting until they answer; by default both.

    A server that the user's environment names (MLFLOW_TRACKING_URI, PREFECT_API_URL) is used and never started; a
    `PlatformError` tells when it does not answer. Of many processes that call this at once, one starts the servers.
    """
    with _starting(layout):
        return _start_missing(layout, kinds or KINDS)


def up(layout: Layout, *kinds: Kind) -> dict[str, Endpoint]:
    """`start`, and wait until they answer. Raises `PlatformError` with the end of a server's log when it does not.

    A server whose port was taken in the meantime is started on another one, so only these URLs are final.
    """
    with _starting(layout):
        endpoints = _start_missing(layout, kinds or KINDS)
        for kind in kinds or KINDS:
            if not endpoints[kind.name].given:
                url = _await_health(layout, kind, read_state(layout)).url
                endpoints[kind.name] = replace(endpoints[kind.name], url=url)
    return endpoints


def connect(endpoints: Mapping[str, Endpoint]) -> None:
    """Point the MLflow and Prefect clients of this process and its children at the servers."""
    ours = {url for url in os.environ.get(CONNECTED, "").split() if url}
    for kind in KINDS:
        if kind.name in endpoints:
            endpoint = endpoints[kind.name]
            os.environ[kind.variable] = endpoint.url
            if not endpoint.given:
                ours.add(endpoint.url)
    os.environ[CONNECTED] = " ".join(sorted(ours))
    for name in ("NO_PROXY", "no_proxy"):  # a company's proxy cannot reach this machine's loopback interface
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, HOST, "localhost"]))


def start_lost(layout: Layout) -> list[str]:
    """Start the servers again that have died, each on its old port; returns their names, and waits for none."""
    if not lost(layout):
        return []
    with _starting(layout):  # `down` may hold it: those that it stops are no longer lost then
        dead = [kind for kind in KINDS if kind.name in lost(layout)]
        _start_missing(layout, dead)
    return [kind.name for kind in dead]


def down(layout: Layout, *kinds: Kind) -> list[str]:
    """Stop the servers of these kinds that `up` started, by default both, with all their children, and return the names
    of those that ran. Data stays. Raises `Busy` while other processes are at work here."""
    names = [kind.name for kind in kinds or KINDS]
    with _starting(layout):  # who begins now registers first, and then waits to find the servers running
        require_alone(layout.at_work_dir)
        known = read_state(layout)
        _stop_left_behind(layout)
        stopped = [name for name in names if name in known and _alive(known[name])]
        for name in names:
            if name in known:
                _stop(known.pop(name))
        write_state(layout, known)
    return stopped


def running(layout: Layout) -> dict[str, Server]:
    """The servers of this project whose processes live, by name."""
    return {name: server for name, server in read_state(layout).items() if _alive(server)}


def lost(layout: Layout) -> dict[str, Server]:
    """The servers that the state file still names while their processes are gone, by name."""
    return {name: server for name, server in read_state(layout).items() if not _alive(server)}


def _starting(layout: Layout) -> AbstractContextManager[None]:
    return exclusive(layout.state_dir / "servers.lock", "starting or stopping the servers")


def _start_missing(layout: Layout, kinds: Iterable[Kind]) -> dict[str, Endpoint]:
    endpoints = {}
    known = read_state(layout)
    _stop_left_behind(layout)
    for kind in kinds:
        if url := given_url(kind):
            endpoints[kind.name] = Endpoint(url, given=True)
            continue
        old = known.get(kind.name)
        alive = old is not None and _alive(old)
        if not alive:
            if old is not None:
                _stop(old)  # what it left behind
            known[kind.name] = _start(layout, kind, old.port if old else kind.port)
            try:
                write_state(layout, known)  # at once: an interrupted start is found and awaited by the next one
            except OSError:  # of a server that nobody knows nobody could be rid of
                _stop(known[kind.name])
                raise
        endpoints[kind.name] = Endpoint(known[kind.name].url, started=not alive)
    return endpoints


def _stop_left_behind(layout: Layout) -> None:
    """Of a project that was moved, the servers that still know it by its former path: they find no file there."""
    for server in left_behind(layout):
        if _alive(server):
            _stop(server)


def named_url(kind: Kind) -> str | None:
    """The URL that the user has set; None without one, or when `connect` has set it."""
    url = os.environ.get(kind.variable, "").rstrip("/")
    return url if url and url not in os.environ.get(CONNECTED, "").split() else None


def given_url(kind: Kind) -> str | None:
    """`named_url`, checked to answer; a `PlatformError` tells why it cannot be used."""
    url = named_url(kind)
    if url is None:
        return None
    shown = f"{kind.variable}={without_login(url)!r}"
    if urlsplit(url).scheme not in ("http", "https"):
        raise PlatformError(f"{shown}: only the http(s) URL of a server works here; set one or unset it")
    if without_login(url) != url:
        raise PlatformError(f"{shown}: give the login in {kind.login}, not in the URL")
    try:
        with urllib.request.urlopen(url + kind.health, timeout=10):
            pass
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):  # it is there and wants a login, which its client will give
            raise PlatformError(f"{shown} answers {error.code}; start it, or unset it") from error
    except (OSError, http.client.HTTPException) as error:
        raise PlatformError(f"{shown} does not answer ({error}); start it, or unset it") from error
    return url


def takes_from_strangers(url: str, kind: Kind) -> list[str]:
    """What a server answers that a web page of another site may send, in words; nothing where it does not answer."""
    stranger = "facetmill-doctor.invalid"
    asks_leave = {
        "Origin": f"http://{stranger}",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    takes = []
    given = _answer(urllib.request.Request(url + kind.changes, headers=asks_leave, method="OPTIONS"))
    if given is not None and given.headers.get("access-control-allow-origin") in ("*", asks_leave["Origin"]):
        takes.append("pages of other sites")
    if _answer(urllib.request.Request(url + kind.reads, headers={"Host": stranger})) is not None:
        takes.append("requests under any name")
    return takes


def _answer(request: urllib.request.Request) -> http.client.HTTPResponse | None:
    """An answer that is no error; None for any other. No proxy reaches the loopback interface."""
    proxies = urllib.request.ProxyHandler({} if request.host.startswith(HOST) else None)
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=10) as answer:
            return answer  # type: ignore[no-any-return]  # whatever the scheme may be, these are http's
    except (OSError, http.client.HTTPException):
        return None


def without_login(url: str) -> str:
    """A URL that can be shown: what stands before @ in it may be a password."""
    parts = urlsplit(url)
    return url.replace(f"//{parts.netloc}", f"//{parts.netloc.rpartition('@')[2]}", 1) if "@" in parts.netloc else url


def _start(layout: Layout, kind: Kind, preferred_port: int) -> Server:
    port = free_port(preferred_port)
    if kind is MLFLOW:
        require_mlflow_store(layout)
        layout.artifacts_dir.mkdir(parents=True, exist_ok=True)
        store = f"sqlite:///{layout.mlflow_db}"
        module = ["facetmill.platform.mlflow_server", store, layout.artifacts_dir.as_uri(), str(port)]
    else:
        require_prefect_store(layout)
        layout.prefect_home.mkdir(parents=True, exist_ok=True)
        module = ["facetmill.platform.prefect_server", str(port)]
    ours = {"PREFECT_SERVER_API_HOST": HOST, "PREFECT_SERVER_API_PORT": str(port)}  # the web page asks there
    environment = {**project_environment(layout), **os.environ, **ours}
    for name in ("MLFLOW_RUN_ID", MLFLOW.variable, PREFECT.variable):
        environment.pop(name, None)
    log = log_path(layout, kind)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        os.replace(log, log.with_suffix(".previous.log"))
    pid = os.posix_spawn(  # of its own session, without our input: it outlives this command and its terminal
        sys.executable,
        [sys.executable, "-P", "-m", *module],
        environment,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    return Server(pid, created_at(pid), port, f"http://{HOST}:{port}{kind.api}", str(layout.root.resolve()))


def _await_health(layout: Layout, kind: Kind, known: Mapping[str, Server]) -> Server:
    """Wait until the server answers. One that died because its port was taken meanwhile gets another port."""
    server = known[kind.name]
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if answers(server, kind):
            return server
        if _alive(server):
            time.sleep(0.05)
        elif not _lost_its_port(layout, kind, server):
            break
        else:
            server = _start(layout, kind, server.port)
            write_state(layout, {**known, kind.name: server})
    _stop(server)
    write_state(layout, {name: other for name, other in known.items() if name != kind.name})
    if full := unwritable(layout):
        raise full
    lines = _log(layout, kind).rstrip("\n").split("\n")[-LOG_LINES:]
    told = f"the {kind.name} server does not start; the end of {log_path(layout, kind)}:"
    raise PlatformError("\n  ".join([told, *lines]))


def _lost_its_port(layout: Layout, kind: Kind, server: Server) -> bool:
    """Whether another process has the port of a server that died, or had it when the server wanted it."""
    return not port_is_free(server.port) or os.strerror(errno.EADDRINUSE).lower() in _log(layout, kind).lower()


def _log(layout: Layout, kind: Kind) -> str:
    log = log_path(layout, kind)
    return log.read_text(errors="replace") if log.exists() else ""


def answers(server: Server, kind: Kind) -> bool:
    """Whether this very server, and not another one on its port, answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(server.url + kind.health, timeout=10) as answer:
            return answer.status == 200 and _listens(server)
    except OSError:
        return False


def _listens(server: Server) -> bool:
    """Whether a process of the server holds its port. Looks at every process of the machine, so it is asked last."""
    try:
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == server.port
            for process in _members(server)
            for connection in process.net_connections("tcp")
        )
    except psutil.Error:
        return False


def _alive(server: Server) -> bool:
    """Whether the process is the one that was started, and neither ended nor another one with a recycled id."""
    return lives(server.pid, server.created)


def _members(server: Server) -> list[psutil.Process]:
    """The living processes of the server: its group, and what left the group but descends from it."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.pid == server.pid and not is_that(server.pid, server.created):
                return []  # the id was recycled, and a group's id is never recycled while the group lives
            if os.getpgid(process.pid) == server.pid:
                for member in (process, *process.children(recursive=True)):
                    found[member.pid] = member
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return [process for process in found.values() if _is_living(process)]


def _is_living(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _stop(server: Server) -> None:
    """TERM, and KILL for what is still there after a while."""
    members = _members(server)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for process in members:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(sent)
        deadline = time.monotonic() + STOP_TIMEOUT
        while members and time.monotonic() < deadline:
            time.sleep(0.05)
            members = [process for process in chain(members, _members(server)) if _is_living(process)]
            members = list({process.pid: process for process in members}.values())
        if not members:
            break
    with suppress(ChildProcessError):
        os.waitpid(server.pid, os.WNOHANG)  # where this process is its parent, it would stay a zombie


def free_port(preferred: int) -> int:
    """The first of a hundred ports from `preferred` on that a server can take. Raises `PlatformError` without one."""
    for port in range(preferred, min(preferred + 100, 65536)):
        if port_is_free(port):
            return port
    raise PlatformError(f"no port from {preferred} to {preferred + 99} is free; close what holds one of them")


def port_is_free(port: int) -> bool:
    """Whether a server could take a port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that just ended holds nothing
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def log_path(layout: Layout, kind: Kind) -> Path:
    return layout.logs_dir / f"{kind.name}.log"
