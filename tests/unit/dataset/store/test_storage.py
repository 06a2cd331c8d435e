"""A dataset in DVC's remote, and what the cache may forget; real DVC, a remote in a folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.dataset.store import dvc, storage
from facetmill.dataset.store.checkout import checkout
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import DVC_FILES, build, prepare, workspace_dir
from facetmill.errors import DataError
from facetmill.params import Params

from .small_demo import REMOTE, leave_out_the_gate, make_project, quiet, small_demo


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory, built_before: Path) -> Path:
    project = make_project(root, tmp_path_factory.mktemp("built") / "project")
    leave_out_the_gate(project)
    shutil.copytree(built_before, dvc.cache_dir(project))
    build(project, small_demo(project), log=quiet)
    return project


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    """A project in which the small demo is built, as if it had been built there."""
    project = tmp_path / "project"
    shutil.copytree(built, project, symlinks=True)
    params = small_demo(project)
    [folder] = (project / "data").iterdir()
    folder.rename(workspace_dir(project, params))  # the name has the project's path in it
    prepare(project, params)
    return project


@pytest.fixture
def params(project: Path) -> Params:
    return small_demo(project)


@pytest.fixture
def dataset(project: Path, params: Params) -> Dataset:
    return Dataset.open(workspace_dir(project, params))


def another(params: Params, seed: int) -> Params:
    """Other data that only the last stage must be run for."""
    return replace(params, split=replace(params.split, seed=seed))


def texts(dataset: Dataset) -> dict[str, str]:
    """What a training run keeps of its dataset."""
    return {name: (dataset.dir / name).read_text() for name in DVC_FILES}


def bring_back(project: Path, version: str, kept: dict[str, str]) -> Dataset:
    return checkout(project, version, kept, quiet)


def shard_bytes(dataset: Dataset) -> bytes:
    return (dataset.dir / "dataset" / "train" / "part-00000.parquet").read_bytes()


def test_a_pushed_dataset_survives_the_loss_of_this_machines_copies(project: Path, dataset: Dataset) -> None:
    kept, content = texts(dataset), shard_bytes(dataset)
    storage.push(project, dataset, quiet)
    assert any((project / "remote").rglob("*.dir"))
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".facetmill")
    back = bring_back(project, dataset.version, kept)
    assert back.version == dataset.version
    assert shard_bytes(back) == content


def test_without_a_remote_that_is_said_and_nothing_fails(project: Path, dataset: Dataset) -> None:
    (project / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    lines: list[str] = []
    storage.push(project, dataset, lines.append)
    assert lines == [
        "no DVC remote is set (dvc remote add --default NAME URL): the dataset stays on this machine alone"
    ]


def test_a_remote_that_cannot_be_written_is_named(project: Path, dataset: Dataset) -> None:
    (project / "remote").write_text("a file, no folder")
    with pytest.raises(DataError, match="remote"):
        storage.push(project, dataset, quiet, waits=())


def test_a_remote_that_comes_back_is_pushed_to(project: Path, dataset: Dataset) -> None:
    (project / "remote").write_text("a file, no folder")

    def mend(line: str) -> None:
        if line.endswith("the remote store is tried again in 0.1 seconds"):
            (project / "remote").unlink()

    storage.push(project, dataset, mend, waits=(0.1,))
    assert any((project / "remote").rglob("*.dir"))


def test_secrets_of_a_remote_stay_in_one_file(project: Path, params: Params) -> None:
    (project / ".dvc" / "config.local").write_text("['remote \"store\"']\n    password = opensesame\n")
    folder = prepare(project, params)
    assert "opensesame" not in (folder / ".dvc" / "config").read_text()
    assert (folder / ".dvc" / "config.local").resolve() == (project / ".dvc" / "config.local").resolve()


def test_paths_of_remotes_become_absolute_and_urls_stay(project: Path) -> None:
    assert f"url = {project / 'remote'}\n" in dvc.config(project)
    (project / ".dvc" / "config").write_text("[core]\n    remote = store\n" + REMOTE.format(url="s3://bucket/facets"))
    assert "url = s3://bucket/facets\n" in dvc.config(project)
    assert dvc.remote_name(project) == "store"


def test_only_what_nothing_registered_needs_is_forgotten(project: Path, params: Params, dataset: Dataset) -> None:
    """Three datasets: one lies in data/, a registered model was trained on the second, nobody knows the third."""
    here = dataset
    registered = build(project, another(params, 8), log=quiet).dataset
    forgotten = build(project, another(params, 9), log=quiet).dataset
    kept, lost = texts(registered), texts(forgotten)
    content = shard_bytes(registered)
    for gone in (registered, forgotten):
        shutil.rmtree(gone.dir)

    would = storage.collect(project, {registered.version: kept}, quiet, dry_run=True)
    done = storage.collect(project, {registered.version: kept}, quiet)
    assert would.kept == done.kept == tuple(sorted([here.version, registered.version]))
    assert would.freed_bytes == done.freed_bytes > 0
    assert storage.collect(project, {registered.version: kept}, quiet).freed_bytes == 0

    assert shard_bytes(bring_back(project, registered.version, kept)) == content
    with pytest.raises(DataError, match=f"dataset {forgotten.version[:12]} cannot be brought back"):
        bring_back(project, forgotten.version, lost)
    assert build(project, params, log=quiet).stages_run == []


def test_a_dataset_comes_back_whatever_stages_there_are_today(project: Path, dataset: Dataset) -> None:
    kept = texts(dataset)
    shutil.rmtree(dataset.dir)
    (project / "dvc.yaml").write_text("stages: {}\n")
    assert bring_back(project, dataset.version, kept).version == dataset.version


def test_the_remote_is_only_cleared_when_asked(project: Path, dataset: Dataset) -> None:
    storage.push(project, dataset, quiet)
    kept = texts(dataset)
    shutil.rmtree(dataset.dir)
    storage.collect(project, {}, quiet)
    assert bring_back(project, dataset.version, kept).version == dataset.version
    shutil.rmtree(project / "data")
    storage.collect(project, {}, quiet, remote=True)
    with pytest.raises(DataError, match="cannot be brought back"):
        bring_back(project, dataset.version, kept)
