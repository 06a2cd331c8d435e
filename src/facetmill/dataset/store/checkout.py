"""A dataset that was built before, brought back byte for byte from DVC's cache or remote.

What a run kept of it comes from the tracking server, and the bytes from wherever the remote lies: both may have been
changed since. No command of its dvc.yaml is run, and what comes back is held against its version.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from facetmill.dataset.store import dvc
from facetmill.dataset.store.objects import MAX_NAMED, kept_files, outs, require_harmless, require_unchanged
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import furnish, locked
from facetmill.errors import DataError


def checkout(root: Path, version: str, files: Mapping[str, str], log: Callable[[str], None]) -> Dataset:
    """Bring a dataset back in a folder named by its version. `files` are the texts of its `DVC_FILES`.

    Raises `DataError` that names the files which cache and remote have lost, or have otherwise than they were, and
    pictures outside the dataset that were changed since.
    """
    root = root.resolve()
    folder = root / "data" / f"version-{version[:12]}"
    named = f"dataset {version[:12]} cannot be brought back"
    try:
        require_harmless(files)
    except DataError as error:
        raise DataError(f"{named}: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, fcntl.LOCK_EX, log) as lock:
        furnish(root, folder, files)
        try:
            # From the cache, and what that has lost from the remote.
            command = ["pull" if dvc.remote_name(root) else "checkout", "--force"]
            dvc.run(command, root, folder, lock, log)
            require_unchanged(root, files["dvc.lock"])
            dataset = Dataset.open(folder)
            if dataset.version != version:
                raise DataError(f"{folder}: is {dataset.version[:12]}; its dvc.lock belongs to other data")
            dataset.require_intact()
        except DataError as error:
            # What is there by now is not to be taken for the dataset, by us or by DVC's next try.
            for out in outs(files["dvc.lock"]):
                shutil.rmtree(folder / out, ignore_errors=True)
            raise DataError(f"{named}: {_lost(root, files['dvc.lock'])}{error}") from error
    return dataset


def _lost(root: Path, lock: str) -> str:
    """What to say of files that are nowhere; nothing where none is lost."""
    lost = list(islice((kept for kept in kept_files(root, lock) if kept.is_lost), MAX_NAMED))
    if not lost:
        return ""
    remote = dvc.remote_name(root)
    where = f"neither DVC's cache nor the remote {remote!r} has" if remote else "DVC's cache has not got"
    named = "\n".join(f"  {kept.path}: object {kept.md5}" for kept in lost)
    return (
        f"{where} these files as they were. Put the remote back from a back-up, or build the dataset again from its "
        f"source:\n{named}\n"
    )
