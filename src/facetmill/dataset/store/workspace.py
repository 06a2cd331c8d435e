"""One folder a dataset: where its stages run under DVC, apart from every other dataset.

A workspace is named after its data and a hash of the parameters that shape it, so two datasets, or two ways to build
one, never overwrite each other. A lock keeps a second build of the same dataset waiting, and keeps a build waiting
while somebody is `reading`. All workspaces share one DVC cache: what a stage made once is taken from there.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import yaml

from facetmill.archives import require_unpacked
from facetmill.dataset.store import dvc
from facetmill.dataset.store.objects import require_unchanged
from facetmill.dataset.store.switches import without
from facetmill.dataset.store.version import Dataset
from facetmill.errors import DataError, ParamsError
from facetmill.files import hash_json, write_text
from facetmill.params import Params, to_mapping
from facetmill.params.catalogue import DEMO, DEMO_PATH
from facetmill.params.problems import did_you_mean
from facetmill.params.stages import STAGES, setting, switched_off, with_settings
from facetmill.records import Product, Split
from facetmill.sources import SOURCES, parse_data

#: What DVC needs to bring back what it has made; every training run keeps them.
DVC_FILES = ("dvc.yaml", "dvc.lock", "params.yaml")

_OUTS = {
    *("ingested", "matched", "dataset", "checked", "reports"),
    *(out for stage in STAGES for out in stage.place or (stage.name,)),
}
#: Of params.yaml, what shapes a dataset.
_SECTIONS = ("dataset", "match", "split", "check", *(stage.name for stage in STAGES))

#: Settings that name a network or something else, and are words of ours even where a folder is called so.
_NO_FOLDERS = ("grid", "proposals", "train", "packaged", "bilstm", "config")

_CACHED = re.compile(r"Stage '(\w+)' (?:didn't change, skipping|is cached - skipping run)")


@dataclass(frozen=True)
class BuildResult:
    """A built dataset, which stages had to run for it, which were as before or taken from the cache, and the wall
    time in seconds."""

    dataset: Dataset
    stages_run: list[str]
    stages_cached: list[str]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        dataset = self.dataset
        splits = {split: counts["num_products"] for split, counts in dataset.manifest["splits"].items()}
        return {
            "name": dataset.name,
            "version": dataset.version,
            "products": splits,
            "stages_run": self.stages_run,
            "stages_cached": self.stages_cached,
            "seconds": round(self.seconds, 1),
        }


def named_data(root: Path, params: Params, data: str | None) -> Params:
    """The parameters with the data of one run, its path absolute, whether it is there or not.

    `data` is "format:path", the path taken from the working directory; without it the parameters decide, their path
    taken from `root`. "demo:" has no path, for it is drawn by code. Raises `DataError` for an unknown format; one that
    is unknown in `params` is a `ParamsError`.
    """
    dataset = params.dataset
    base = root
    if data is not None:
        name, path = parse_data(data)
        if name == DEMO and path:
            raise DataError(f"data {data!r}: the demo catalogue takes no path; write 'demo:'")
        if name != DEMO:
            base = Path.cwd()
            if not path:
                raise DataError(f"data {data!r}: no path after {name!r}")
        dataset = replace(dataset, format=name, path=path or DEMO_PATH)
    if dataset.format not in SOURCES:
        known = ", ".join(SOURCES)
        raise ParamsError(
            f"dataset.format = {dataset.format!r}{did_you_mean(dataset.format, SOURCES)}: known are {known}"
        )
    return replace(params, dataset=replace(dataset, path=os.path.abspath(base / Path(dataset.path).expanduser())))


def resolve(root: Path, params: Params, data: str | None) -> Params:
    """The parameters with the data of one run, as `named_data` has it, and all paths absolute. Raises `DataError` where
    one does not exist."""
    params = named_data(root, params, data)
    dataset = params.dataset
    found = Path(dataset.path)
    if not found.exists():
        raise DataError(f"{dataset.format} data: no such file or folder: {found}")
    require_unpacked(found)
    images = str(Path(os.path.abspath(root / dataset.images))) if dataset.images else None
    if images and dataset.format != "demo" and not Path(images).is_dir():
        raise DataError(f"dataset.images = {dataset.images!r}: no such folder: {images}")
    corrections = str(Path(os.path.abspath(root / dataset.corrections))) if dataset.corrections else None
    if corrections and not Path(corrections).is_file():
        raise DataError(f"dataset.corrections = {dataset.corrections!r}: no such file: {corrections}")
    labeller = str(Path(os.path.abspath(root / params.distant.labeller))) if params.distant.labeller else None
    if labeller and not Path(labeller).is_dir():
        raise DataError(f"distant.labeller = {params.distant.labeller!r}: no such folder: {labeller}")
    named = {key: _absolute_network(root, setting(params, key)) for stage in STAGES for key in stage.folders}
    resolved: Params = with_settings(params, named | {"distant.labeller": labeller})
    return replace(resolved, dataset=replace(dataset, images=images, corrections=corrections))


def workspace_dir(root: Path, params: Params) -> Path:
    """Where the dataset of resolved parameters lives: `root/data/<format>-<name>-<hash>`."""
    sections = {name: to_mapping(getattr(params, name)) for name in _SECTIONS}
    for section in sections.values():
        section.pop("workers", None)  # changes how fast, not what
    if not params.dataset.categories:
        del sections["dataset"]["categories"]  # as before there was such a key: datasets keep their names
    del sections["distant"]["training"]  # made the labeller, which is what counts
    if params.dataset.format == "demo":
        sections["demo"] = to_mapping(params.demo)
        slug = "demo"
    else:
        slug = f"{params.dataset.format}-{Path(params.dataset.path).stem}"
    slug = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")[:48]
    return root / "data" / f"{slug}-{hash_json(sections)[:8]}"


def prepare(root: Path, params: Params) -> Path:
    """Make the workspace of resolved parameters, or bring it up to date; what is equal is not rewritten.

    It holds params.yaml, a dvc.yaml, a link to the source code and DVC's settings.
    """
    root = root.resolve()
    folder = workspace_dir(root, params)
    text = yaml.safe_dump(_in_workspace(root, params), allow_unicode=True, sort_keys=False)
    furnish(root, folder, {"params.yaml": text, "dvc.yaml": _stages(root, params)})
    return folder


def find(root: Path, version: str) -> Dataset | None:
    """A built dataset by its version, or by the first digits of it. Raises `DataError` when several begin so. One that
    cannot be opened has no version."""
    found: dict[str, Dataset] = {}
    for manifest in sorted((root / "data").glob("*/dataset/manifest.json")):
        with suppress(DataError):
            dataset = Dataset.open(manifest.parent.parent)
            if dataset.version.startswith(version):
                found.setdefault(dataset.version, dataset)
    if len(found) > 1:
        raise DataError(f"dataset {version!r}: {', '.join(known[:16] for known in found)} begin so; give more digits")
    return next(iter(found.values()), None)


def furnish(root: Path, folder: Path, files: Mapping[str, str]) -> None:
    """Write all that DVC needs in a workspace; `files` are the texts of `DVC_FILES`, of which dvc.lock may be missing.

    What is equal is not rewritten.
    """
    for name, text in files.items():
        _write(folder / name, text)
    # Compiled files come and go beside the sources, which are dependencies.
    _write(folder / ".dvcignore", "__pycache__/\n*.pyc\n")
    _write(folder / ".dvc" / "config", dvc.config(root))
    _link(folder / ".dvc" / "config.local", root / ".dvc" / "config.local")  # secrets of remotes; there may be none
    _link(folder / "src", root / "src")


def build(root: Path, params: Params, *, log: Callable[[str], None]) -> BuildResult:
    """Run the stages that must run, and return the dataset. `params` are resolved.

    Each line that DVC and the stages print goes to `log`. Waits while the same dataset is built or read elsewhere.
    Raises `DataError` with the failing stage's own last words. A build that was killed at any point is simply done
    again. Where pictures were changed that no stage watches, since they lie anywhere, every stage runs again.
    """
    started = time.monotonic()
    root = root.resolve()
    folder = workspace_dir(root, params)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, fcntl.LOCK_EX, log) as lock:
        prepare(root, params)
        _clear_after_kill(folder)
        lines = dvc.run(["repro"], root, folder, lock, log)
        if changed := Dataset.open(folder).changed_pictures():
            log(f"a picture is not what it was, so every stage runs again: {changed[0]}")
            lines = dvc.run(["repro", "--force"], root, folder, lock, log)
        stages_run = [match[1] for line in lines if (match := dvc.RUNNING.match(line))]
        stages_cached = [match[1] for line in lines if (match := _CACHED.match(line))]
        dataset = Dataset.open(folder)
        try:
            dataset.require_intact()
        except DataError:
            require_unchanged(root, (folder / "dvc.lock").read_text(encoding="utf-8"))  # where it was taken from
            raise
    return BuildResult(dataset, stages_run, stages_cached, time.monotonic() - started)


@contextmanager
def reading(folder: Path, log: Callable[[str], None] = lambda _: None) -> Iterator[Dataset]:
    """The dataset of a workspace, which is not rebuilt while the block runs. Many may read at once."""
    with locked(folder, fcntl.LOCK_SH, log):
        yield Dataset.open(folder)


def read_split(dataset: Dataset, split: Split, share: float = 1.0, seed: int = 0) -> list[Product]:
    """The products of a split, surely of this version. Raises `DataError` when the dataset was rebuilt meanwhile, or a
    shard or picture was changed."""
    with reading(dataset.dir) as current:
        if current.version != dataset.version:
            raise DataError(f"{dataset.dir}: was rebuilt as {current.version[:12]}; {dataset.version[:12]} is gone")
        current.require_intact()
        return list(current.read(split, share=share, seed=seed))


def _in_workspace(root: Path, params: Params) -> dict[str, Any]:
    """The parameters as the workspace's own file: code that is data (the demo) is reached through its link, where
    .dvcignore holds."""
    mapping = to_mapping(params)
    path = Path(params.dataset.path)
    if path.is_relative_to(root / "src"):
        mapping["dataset"]["path"] = path.relative_to(root).as_posix()
    mapping["encoders"] = {kind: {} for kind in mapping["encoders"]}  # each section holds those that it refers to
    return mapping


def _stages(root: Path, params: Params) -> str:
    """The project's dvc.yaml without the stages that are off, and with what stages depend on only where it is set: a
    folder of pictures, corrections, a labeller, networks of one's own."""
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    dataset = params.dataset
    pictures = dataset.images if dataset.format != "demo" else None  # shards stay as they were when one changes
    more = {"ingest": [pictures, dataset.corrections], "split": [pictures]}
    for stage in STAGES:
        folders = [_own_network(setting(params, key)) for key in stage.folders]
        more[stage.name] = [*folders, pictures if stage.pictures else None]
    pipeline["stages"] = without(pipeline["stages"], switched_off(params))
    for name in more.keys() & pipeline["stages"].keys():
        pipeline["stages"][name]["deps"] += [path for path in more[name] if path]
    return yaml.safe_dump(pipeline, sort_keys=False)


def _absolute_network(root: Path, named: str | None) -> str | None:
    """What names a local folder below the root, or anywhere, with its whole path; others as they are."""
    if named is None or named in _NO_FOLDERS:
        return named
    folder = os.path.abspath(root / named)
    return folder if os.path.isdir(folder) else named


def _own_network(named: str | None) -> str | None:
    """The folder that a resolved setting names, where it is one."""
    return named if named and Path(named).is_absolute() else None


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _link(path: Path, target: Path) -> None:
    """Where the project was moved, a link is to where it was."""
    if not path.is_symlink() or path.readlink() != target:
        path.unlink(missing_ok=True)
        path.symlink_to(target)


@contextmanager
def locked(folder: Path, kind: int, log: Callable[[str], None]) -> Iterator[IO[bytes]]:
    """Hold a workspace: `fcntl.LOCK_EX` to change it, `fcntl.LOCK_SH` so that nobody does."""
    with (folder / ".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"waiting: {folder} is being built or read by another process")
            fcntl.flock(lock, kind)
        os.utime(lock.fileno())  # says since when, to whoever wonders
        yield lock


def _clear_after_kill(folder: Path) -> None:
    """Remove what a killed build left. Only called with the lock: nobody else is at work here.

    DVC frees a stale lock itself unless another process has the dead one's number by now, as in a restarted
    container, or it died while writing the file.
    """
    (folder / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
    for out in _OUTS:
        for half_written in folder.glob(f".{out}.*"):
            shutil.rmtree(half_written)
