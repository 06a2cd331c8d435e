"""Servers: those that the user's environment names, those that this project started, and the ports they would take."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from facetmill.doctor.finding import Finding
from facetmill.errors import PlatformError
from facetmill.platform.layout import Layout


def check_addresses(layout: Layout) -> list[Finding]:
    """MLFLOW_TRACKING_URI or PREFECT_API_URL that names no http(s) server, or one that does not answer."""
    from facetmill.platform import servers

    found = []
    for kind in servers.KINDS:
        try:
            servers.given_url(kind)
        except PlatformError as error:
            found.append(Finding("addresses", "problem", str(error), f"unset {kind.variable}"))
    return found


def check_foreign_pages(layout: Layout) -> list[Finding]:
    """A server that answers the web pages of any site, or under any name: such a page can start jobs here."""
    from facetmill.platform import servers

    try:
        alive = servers.running(layout)
    except PlatformError:
        alive = {}  # `check_processes` tells it
    found = []
    for kind in servers.KINDS:
        named = servers.named_url(kind)
        url = named or (alive[kind.name].url if kind.name in alive else None)
        if url is None or not (takes := servers.takes_from_strangers(url, kind)):
            continue
        who = servers.without_login(url)
        wrong = f"the {kind.name} server at {who} answers {' and '.join(takes)}: any web page can drive it"
        mend = "see infra/README.md, A server behind a proxy" if named else "facetmill down && facetmill up"
        found.append(Finding("foreign_pages", "problem", wrong, mend))
    return found


def check_prefect_profile(layout: Layout) -> list[Finding]:
    """A Prefect profile that names a server: only PREFECT_API_URL counts here, so flows run on another one."""
    from facetmill.platform import servers

    if servers.named_url(servers.PREFECT):
        return []
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect")
    paths = {Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()}
    found = []
    for path in sorted(paths | {layout.prefect_home / "profiles.toml"}):
        profiles = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
        url = profiles.get("profiles", {}).get(active, {}).get(servers.PREFECT.variable)
        if url:
            url = servers.without_login(url)
            wrong = f"{path}: profile {active!r} names the server {url}; facetmill takes it from the environment only"
            mend = f"export PREFECT_API_URL={url} to use it, or remove that line from the profile"
            found.append(Finding("prefect_profile", "warning", wrong, mend))
    return found


def check_processes(layout: Layout) -> list[Finding]:
    """Servers of the state file that are gone or do not answer, and a state file that cannot be read."""
    from facetmill.platform import servers

    try:
        alive = servers.running(layout)
        gone = servers.lost(layout)
    except PlatformError as error:
        path = layout.state_dir / "servers.json"
        return [Finding("processes", "problem", str(error), f"rm {path}")]
    found = [
        Finding("processes", "warning", f"the {name} server, process {server.pid}, is gone", "facetmill up")
        for name, server in gone.items()
    ]
    for kind in servers.KINDS:
        if kind.name in alive and not servers.answers(alive[kind.name], kind):
            server = alive[kind.name]
            wrong = f"the {kind.name} server, process {server.pid}, does not answer at {server.url}"
            found.append(Finding("processes", "problem", wrong, "facetmill down && facetmill up"))
    return found


def check_ports(layout: Layout) -> list[Finding]:
    """The port that a server still to be started had or usually has, taken by somebody else."""
    from facetmill.platform import servers

    try:
        alive, gone = servers.running(layout), servers.lost(layout)
    except PlatformError:
        return []  # `check_processes` tells it, and nobody knows which servers are still to be started
    found = []
    for kind in servers.KINDS:
        port = gone[kind.name].port if kind.name in gone else kind.port
        if kind.name in alive or servers.named_url(kind) or servers.port_is_free(port):
            continue
        held = f"port {port} is held by {_holder(port)}"
        try:
            other = servers.free_port(port)
        except PlatformError as error:
            found.append(Finding("ports", "problem", f"{held}, and {error}", "end one of those processes"))
            continue
        wrong = f"{held}; the {kind.name} server will take {other}"
        found.append(Finding("ports", "warning", wrong, f"nothing; or free port {port} before facetmill up"))
    return found


def _holder(port: int) -> str:
    import psutil

    from facetmill.platform.server_state import HOST

    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.pid:
            at = connection.laddr
            if at.port == port and at.ip in (HOST, "0.0.0.0", "::"):  # a port of another address is another port
                return f"process {connection.pid}"
    return "a process that cannot be seen from here: another user's, or one outside of this container"
