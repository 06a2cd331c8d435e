"""Making a back-up, while servers and trainings run."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from facetmill.backup.contents import ARTIFACTS, LEDGER, MANIFEST, MLFLOW_DB, OBJECTS, STUDIES, Contents, copy_hashed
from facetmill.backup.stores import to_lines
from facetmill.dataset.store import storage
from facetmill.dataset.store.objects import Kept, kept_files
from facetmill.errors import DataError, PlatformError
from facetmill.files import hash_file, replace_folder
from facetmill.platform import servers
from facetmill.platform.layout import Layout
from facetmill.project import Project
from facetmill.registry import versions
from facetmill.registry.lineage import registered_datasets

Log = Callable[[str], None]


def save(project: Project, target: Path, log: Log) -> Contents:
    """Copy ledger, runs with their packages, studies, and the datasets of registered models to a folder that is not
    there yet: all of it or nothing. No promotion falls between the copy of the ledger and that of the registry.

    Raises `PlatformError` for a target that holds something, or lies in what is to be copied.
    """
    layout, tracker, target = project.layout, project.tracker, target.expanduser().absolute()
    _require_free(layout, target)
    url = servers.named_url(servers.MLFLOW)
    left_out: list[str] = []
    hashes: dict[str, str] = {}
    with replace_folder(target) as folder:
        with project.ledger.exclusive():
            lives = versions.champions(tracker)
            rows = project.ledger.everything()
            if url is None:
                _copy_database(layout.mlflow_db, folder / MLFLOW_DB)
        (folder / LEDGER).write_bytes(to_lines(rows))
        _copy_studies(layout.study_storage, folder / STUDIES)
        for name in (LEDGER, MLFLOW_DB, STUDIES):
            if (folder / name).exists():
                hashes[name] = hash_file(folder / name)
        if url is None:
            log(f"copying the artifacts of runs from {layout.artifacts_dir}")
            hashes |= dict(_copy_artifacts(layout.artifacts_dir, folder / ARTIFACTS))
        else:
            left_out.append(f"runs, versions and packages, which the MLflow server at {url} keeps: back it up there")
        log("copying the datasets of registered models")
        datasets, unknown = registered_datasets(tracker)
        left_out += [f"the dataset of {model}, which is not known" for model in unknown]
        for version, files in datasets.items():
            lost = _copy_objects(layout.root, version, files, folder / OBJECTS, hashes, log)
            left_out += [
                f"dataset {version[:12]}: {kept.path}, which DVC's cache and remote have lost" for kept in lost
            ]
        contents = Contents(
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            project=str(layout.root),
            champion=", ".join(f"{live.name}/{live.version}" for live in lives.values()) or None,
            counts={"ledger_rows": len(rows), "datasets": len(datasets)},
            left_out=left_out,
            hashes=hashes,
        )
        contents.write(folder)
        os.sync()
    return contents


def _require_free(layout: Layout, target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        is_old = (target / MANIFEST).is_file()
        raise PlatformError(f"{target}: {'a back-up is there' if is_old else 'not empty'}; name a folder that is new")
    for kept in (layout.mlruns_dir, layout.state_dir, layout.data_dir):
        if target.is_relative_to(kept.absolute()):
            raise PlatformError(f"{target}: lies in {kept}, which is to be backed up; name a folder elsewhere")


def _copy_database(source: Path, target: Path) -> None:
    """As it is at one moment, also while its server writes."""
    name = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(name, uri=True, timeout=60)) as database, closing(sqlite3.connect(target)) as copy:
        database.backup(copy)


def _copy_studies(studies: str, target: Path) -> None:
    """The whole lines of a journal, or the studies of a database as a journal."""
    if "://" not in studies:
        if Path(studies).exists():
            content = Path(studies).read_bytes()
            target.write_bytes(content[: content.rfind(b"\n") + 1])
        return
    import optuna

    from facetmill.training.search.storage import open_storage

    source, copy = open_storage(studies), open_storage(target)
    for name in optuna.get_all_study_names(source):
        optuna.copy_study(from_study_name=name, from_storage=source, to_storage=copy)
    target.with_name(f"{target.name}.writing").unlink(missing_ok=True)  # the lock of the copy


def _copy_artifacts(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Path and hash of every file; one that a run removes meanwhile is none of a registered model."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(source)
            try:
                yield f"{ARTIFACTS}/{name.as_posix()}", copy_hashed(path, target / name)
            except FileNotFoundError:
                continue


def _copy_objects(
    root: Path, version: str, files: dict[str, str], target: Path, hashes: dict[str, str], log: Log
) -> list[Kept]:
    """Copy what DVC's cache has of a dataset, fetched from the remote where it must be; return what it has not."""
    lock = files["dvc.lock"]
    if any(kept.is_lost for kept in kept_files(root, lock)):
        try:
            storage.fetch(root, files, log)
        except DataError as error:
            log(f"dataset {version[:12]}: {error}")
    lost = []
    for kept in kept_files(root, lock):
        name = f"{OBJECTS}/{kept.copy.parent.name}/{kept.copy.name}"
        if name in hashes:
            continue
        if kept.is_lost or kept.has_changed:
            lost.append(kept)
        else:
            hashes[name] = copy_hashed(kept.copy, target / kept.copy.parent.name / kept.copy.name)
    return lost
