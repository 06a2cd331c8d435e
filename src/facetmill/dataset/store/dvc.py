"""DVC as a program: run in a workspace, with the project's one cache and the remotes that a person has set.

The project's `.dvc/config` (and `config.local`, for secrets) is where remotes are set, by `dvc remote`. A workspace has
a configuration of its own, written from it.
"""

from __future__ import annotations

import configparser
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from facetmill.errors import DataError
from facetmill.platform.folders import unwritable
from facetmill.platform.layout import Layout

STATE = ".facetmill"
CACHE_LOCK = "dvc-cache.lock"
CACHE_VARIABLE = "FACETMILL_CACHE"  # where a stage keeps what it never wants to compute twice

RUNNING = re.compile(r"Running stage '(\w+)':")
_FAILED = re.compile(r"ERROR: failed to reproduce '(\w+)': (.*)")
_DVCS_WORDS = re.compile(r"> |Running stage |Updating lock file |Generating lock file |Use `dvc push`")


def cache_dir(root: Path) -> Path:
    """What all workspaces share: every version of every stage's output, until it is collected."""
    return root / STATE / "dvc-cache"


def config(root: Path) -> str:
    """A workspace's `.dvc/config`: the cache of the project, and its remotes with their paths made absolute. What is
    pulled is hashed, unless a person has set a remote's `verify` to false."""
    lines = [
        *("[core]", "no_scm = true", "analytics = false", "check_update = false"),
        *([f"remote = {name}"] if (name := remote_name(root)) else []),
        *("[cache]", f"dir = {cache_dir(root)}", 'type = "reflink,hardlink,copy"'),
    ]
    settings = _project_settings(root)
    for section in settings.sections():
        if section.startswith("'remote "):
            lines.append(f"[{section}]")
            lines += [] if "verify" in settings[section] else ["verify = true"]
            for key, value in settings[section].items():
                lines.append(f"{key} = {_absolute(root, value) if key == 'url' else value}")
    return "\n".join(lines) + "\n"


def remote_name(root: Path) -> str | None:
    """The project's default remote, None where a person has removed it."""
    return _project_settings(root).get("core", "remote", fallback="") or None


def remote_folder(root: Path) -> Path | None:
    """Where the default remote lies on this machine; None for one that is elsewhere."""
    url = _project_settings(root).get(f"'remote \"{remote_name(root)}\"'", "url", fallback="://")
    return None if "://" in url else Path(_absolute(root, url)).expanduser()


def _absolute(root: Path, url: str) -> str:
    """A remote's folder with its whole path; what is no folder of this machine, or whole already, as it is."""
    is_relative = "://" not in url and not Path(url).expanduser().is_absolute()
    return os.path.abspath(root / ".dvc" / url) if is_relative else url


def _project_settings(root: Path) -> configparser.ConfigParser:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(root / ".dvc" / "config", encoding="utf-8")
    return settings


def run(
    command: list[str],
    root: Path,
    folder: Path,
    lock: IO[bytes],
    log: Callable[[str], None],
    *,
    removes: bool = False,
) -> list[str]:
    """Run DVC in a workspace whose `lock` is held, and return its lines, each of which also goes to `log`.

    Many may use the cache at once; a command that `removes` from it waits until it is alone. Raises `DataError` with
    the failing stage's own last words, or DVC's, and `PlatformError` where a folder cannot be written.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("DVC_ROOT", "DVC_STAGE")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # dvc.yaml: "python"
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(root / STATE / "dvc-site"),
        CACHE_VARIABLE: str(root / STATE),
    }
    lines = []
    (root / STATE).mkdir(exist_ok=True)
    # DVC inherits the locks: if only this process is killed, the next build still waits until DVC is done. A session of
    # its own lets us end DVC together with the stage it runs.
    with (root / STATE / CACHE_LOCK).open("ab") as cache_lock:
        fcntl.flock(cache_lock, fcntl.LOCK_EX if removes else fcntl.LOCK_SH)
        with subprocess.Popen(
            [sys.executable, "-m", "dvc", *command],
            cwd=folder,
            env=environment,
            pass_fds=[lock.fileno(), cache_lock.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            try:
                for line in map(str.rstrip, process.stdout):
                    lines.append(line)
                    log(line)
            except BaseException:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                raise
    if process.returncode:
        raise unwritable(Layout(root)) or DataError(_last_words(lines))
    return lines


def _last_words(lines: list[str]) -> str:
    """What the stage that failed said, without what DVC says around it; DVC's own words where no stage failed."""
    failures = [(number, match) for number, line in enumerate(lines) if (match := _FAILED.match(line))]
    if not failures:
        return "\n".join(["dvc failed:", *lines[-20:]])
    end, failed = failures[-1]
    begin = max((number for number, line in enumerate(lines) if RUNNING.match(line)), default=0)
    said = [line for line in lines[begin:end] if line and not _DVCS_WORDS.match(line)]
    if not failed[2].startswith("failed to run: ") or not said:  # a dependency is missing, say
        said = [failed[2], *lines[end + 1 :]]
    return "\n".join([f"stage {failed[1]} failed:", *said[-20:]])
