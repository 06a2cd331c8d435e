"""What keeps a dataset: the remote that it is pushed to, and which versions the cache may forget."""

from __future__ import annotations

import fcntl
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facetmill.dataset.store import dvc
from facetmill.dataset.store.objects import require_harmless
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import furnish, locked
from facetmill.errors import DataError

PUSH_WAITS = (2.0, 10.0, 60.0)  # seconds
_REMOVING = "Removing "  # what DVC says, file by file, where it only would


@dataclass(frozen=True)
class Collected:
    """Which dataset versions were kept, and how many bytes of the cache went (or would go)."""

    kept: tuple[str, ...]
    freed_bytes: int
    dry_run: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def push(root: Path, dataset: Dataset, log: Callable[[str], None], *, waits: Sequence[float] = PUSH_WAITS) -> None:
    """Copy a dataset to the project's remote, so that what is trained on it can be explained after this machine.

    What is there already is not sent again. A remote that cannot be reached is tried again after each of `waits`
    (seconds); then it raises `DataError`. Without a remote it says so and does nothing.
    """
    name = dvc.remote_name(root)
    if name is None:
        log("no DVC remote is set (dvc remote add --default NAME URL): the dataset stays on this machine alone")
        return
    for wait in waits:
        try:
            _push(root, dataset, log)
            return
        except DataError as error:
            log(f"{error}; the remote {name} is tried again in {wait:g} seconds")
            time.sleep(wait)
    _push(root, dataset, log)


def _push(root: Path, dataset: Dataset, log: Callable[[str], None]) -> None:
    with locked(dataset.dir, fcntl.LOCK_SH, log) as lock:
        dvc.run(["push"], root.resolve(), dataset.dir, lock, log)


def fetch(root: Path, files: Mapping[str, str], log: Callable[[str], None]) -> None:
    """Have the cache hold what a dataset needs, from the remote; `files` are the texts of its `DVC_FILES`.

    Raises `DataError` for what the remote has not got as it was.
    """
    require_harmless(files)
    with tempfile.TemporaryDirectory(prefix="facetmill-fetch-") as scratch:
        folder = Path(scratch) / "dataset"
        furnish(root.resolve(), folder, files)
        with locked(folder, fcntl.LOCK_EX, log) as lock:
            dvc.run(["fetch"], root.resolve(), folder, lock, log)


def collect(
    root: Path,
    keep: Mapping[str, Mapping[str, str]],
    log: Callable[[str], None],
    *,
    remote: bool = False,
    dry_run: bool = False,
) -> Collected:
    """Remove from the cache, and with `remote` from the default remote too, all that no kept dataset needs.

    Kept are the datasets that lie in `data/` and those of `keep`: by version, the texts of their `DVC_FILES`.
    Waits for builds to end, and builds wait for it.
    """
    root = root.resolve()
    here = [manifest.parent.parent for manifest in sorted((root / "data").glob("*/dataset/manifest.json"))]
    with ExitStack() as held, tempfile.TemporaryDirectory(prefix="facetmill-gc-") as scratch:
        for folder in here:
            held.enter_context(locked(folder, fcntl.LOCK_SH, log))
        projects = [*here]
        for version, files in sorted(keep.items()):
            projects.append(Path(scratch) / version)
            furnish(root, projects[-1], files)
        alone = Path(scratch) / "none"  # what DVC runs in; it needs nothing itself
        furnish(root, alone, {})
        before = _num_bytes(dvc.cache_dir(root))
        command = ["gc", "--workspace", "--force", *(["--cloud"] if remote else []), *(["--dry"] if dry_run else [])]
        lock = held.enter_context(locked(alone, fcntl.LOCK_EX, log))
        said = dvc.run([*command, "--projects", *map(str, projects)], root, alone, lock, log, removes=True)
        would_go = [Path(line.removeprefix(_REMOVING)) for line in said if line.startswith(_REMOVING)]
        freed = sum(map(_num_bytes, would_go)) if dry_run else before - _num_bytes(dvc.cache_dir(root))
    versions = {*keep, *(Dataset.open(folder).version for folder in here)}
    return Collected(tuple(sorted(versions)), freed, dry_run)


def _num_bytes(path: Path) -> int:
    """Of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
