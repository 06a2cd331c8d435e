"""`.facetmill/servers.json`: which processes are the servers of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from facetmill.errors import PlatformError
from facetmill.files import read_json, write_json
from facetmill.platform.layout import Layout

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """A server process; its id is also the id of its process group. `created` is what `processes.created_at` says.
    `root` is the project that started it; None in a file that is older than this key."""

    pid: int
    created: float
    port: int
    url: str
    root: str | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for what no server of ours can be: clients would be sent anywhere."""
        is_plausible = (
            type(self.pid) is int
            and self.pid > 0
            and type(self.created) in (int, float)
            and type(self.port) is int
            and str(self.url).startswith(f"http://{HOST}:{self.port}")
        )
        if not is_plausible:
            raise ValueError(f"no server of ours: {self}")


def read_state(layout: Layout) -> dict[str, Server]:
    """Servers by name; those of the project that this one was copied or moved from are none of its own. The file is
    written whole, so an unreadable one was changed by hand: `PlatformError`."""
    return {name: server for name, server in _named(layout).items() if server.root in (None, _root(layout))}


def left_behind(layout: Layout) -> list[Server]:
    """Servers that this project started under another path, from which it was moved away; those of one that it was
    copied from are in use there."""
    others = [server for server in _named(layout).values() if server.root not in (None, _root(layout))]
    return [server for server in others if not state_path(Layout(Path(server.root or ""))).exists()]


def _named(layout: Layout) -> dict[str, Server]:
    path = state_path(layout)
    try:
        return {str(name): Server(**server) for name, server in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        pids = [str(pid) for pid in _ours(layout)]
        stop = f"stop the servers (kill {' '.join(pids)}) and remove it" if pids else "no server runs: remove it"
        raise PlatformError(f"{path}: not readable ({error}); {stop}") from error


def write_state(layout: Layout, servers: Mapping[str, Server]) -> None:
    write_json(state_path(layout), {name: asdict(server) for name, server in servers.items()})


def state_path(layout: Layout) -> Path:
    return layout.state_dir / "servers.json"


def _ours(layout: Layout) -> list[int]:
    """The processes of this project's servers, as their command and environment tell them."""
    found = []
    for process in psutil.process_iter():
        try:
            is_server = any(word.startswith("facetmill.platform.") for word in process.cmdline())
            if is_server and _home(process) == str(layout.prefect_home):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _home(process: psutil.Process) -> Any:
    return process.environ().get("PREFECT_HOME")


def _root(layout: Layout) -> str:
    return str(layout.root.resolve())
