"""What DVC keeps of a workspace, file by file: to name the one that is lost or changed, which DVC itself does not.

A dvc.lock has the MD5 of each output; that of a folder is of a list of its files, which lies in the cache like them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from facetmill.dataset.store import dvc
from facetmill.errors import DataError

MAX_NAMED = 5  # files in a message

_FOLDER = ".dir"  # how the name of a folder's list ends
_WRITES = ("outs", "metrics", "plots")
_STAGE = {"cmd", "deps", "params", "desc", "meta", *_WRITES}


@dataclass(frozen=True)
class Kept:
    """A file of a workspace, or of its lists, by its path there; `copy` is the one in the cache."""

    path: str
    md5: str
    copy: Path

    @property
    def is_lost(self) -> bool:
        return not self.copy.is_file()

    @property
    def has_changed(self) -> bool:
        return not self.is_lost and _md5(self.copy) != self.md5


def outs(lock: str) -> list[str]:
    """The outputs in a dvc.lock, as paths in the workspace."""
    return [path for path, _ in _outs(lock)]


def kept_files(root: Path, lock: str) -> Iterator[Kept]:
    """Everything that the cache should have by the text of a dvc.lock; what is in a folder whose list is lost or
    changed is not known. DVC takes a list last, so one that the cache lacks is looked for in the remote."""
    cache, remote = dvc.cache_dir(root), dvc.remote_folder(root)
    for path, md5 in _outs(lock):
        if not md5.endswith(_FOLDER):
            continue  # a stage's report, which DVC does not cache
        folders = [cache] if remote is None else [cache, remote]
        lists = [Kept(path, md5.removesuffix(_FOLDER), _copy(folder, md5)) for folder in folders]
        whole = next((found for found in lists if not found.is_lost and not found.has_changed), None)
        if whole is None or not lists[0].is_lost:
            yield lists[0]
        if whole is not None:
            for entry in json.loads(whole.copy.read_text(encoding="utf-8")):
                yield Kept(f"{path}/{entry['relpath']}", entry["md5"], _copy(cache, entry["md5"]))


def require_unchanged(root: Path, lock: str) -> None:
    """Raises `DataError` for files whose copy in the cache is not what was once put there."""
    changed = list(islice((kept for kept in kept_files(root, lock) if kept.has_changed), MAX_NAMED))
    if changed:
        named = "\n".join(f"  {kept.path}: {kept.copy}" for kept in changed)
        raise DataError(
            "files have changed in DVC's cache since they were put there. Remove these copies, and the next try takes "
            f"them from the remote; without a remote, build the dataset again:\n{named}"
        )


def require_harmless(files: Mapping[str, str]) -> None:
    """Refuse a dvc.yaml or dvc.lock, which came from elsewhere, by which DVC would write anywhere but in folders of the
    workspace itself: `src` there is a link to the project's code. Raises `DataError`."""
    stages = _stages("dvc.yaml", files["dvc.yaml"])
    for name, stage in stages.items():
        more = set(stage) - _STAGE
        if more:
            raise DataError(f"dvc.yaml, stage {name}: {', '.join(sorted(map(str, more)))}: no dataset was built so")
        for key in _WRITES:
            for out in stage.get(key) or ():
                for path in [out] if isinstance(out, str) else out:
                    _require_inside(f"dvc.yaml, stage {name}", path)
    for path, _ in _outs(files["dvc.lock"]):
        _require_inside("dvc.lock", path)


def _require_inside(where: str, path: object) -> None:
    parts = PurePosixPath(str(path)).parts
    if not parts or parts[0] in ("/", "src") or parts[0].startswith(".") or ".." in parts or "$" in str(path):
        raise DataError(f"{where}: the output {path!r} is no place of a dataset's own; it is not brought back")


def _outs(lock: str) -> Iterator[tuple[str, str]]:
    """Path and MD5 of each output in a dvc.lock."""
    for name, stage in _stages("dvc.lock", lock).items():
        for out in stage.get("outs") or ():
            try:
                yield str(out["path"]), str(out["md5"])
            except (KeyError, TypeError) as error:
                raise DataError(f"dvc.lock, stage {name}: an output without path or md5") from error


def _stages(name: str, text: str) -> dict[str, dict[str, Any]]:
    try:
        stages = yaml.safe_load(text)["stages"]
    except (yaml.YAMLError, KeyError, RecursionError, TypeError) as error:
        raise DataError(f"{name}: cannot be read: {error}") from error
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise DataError(f"{name}: its stages are no mappings")
    return stages


def _copy(folder: Path, md5: str) -> Path:
    return folder / "files" / "md5" / md5[:2] / md5[2:]


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
