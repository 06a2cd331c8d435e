"""What comes back from a changed remote, by real DVC, is refused by the file's name, and no command of it is run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from facetmill.dataset.store import dvc, storage
from facetmill.dataset.store.checkout import checkout
from facetmill.dataset.store.objects import Kept, kept_files
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import DVC_FILES, build, find
from facetmill.errors import DataError
from facetmill.files import hash_files
from tests.damage import flip_byte

from .small_demo import make_project, quiet, small_demo

SHARD = "dataset/train/part-00000.parquet"


@dataclass(frozen=True)
class Pushed:
    """A project whose dataset is in its remote and nowhere else, and what a run has kept of it."""

    root: Path
    version: str
    kept: dict[str, str]
    hashes: dict[str, str]  # of its dataset's files

    def bring_back(self, **changed: str) -> Dataset:
        files = self.kept | {name.replace("_", "."): text for name, text in changed.items()}
        return checkout(self.root, self.version, files, quiet)

    def file(self, path: str) -> Kept:
        return next(kept for kept in kept_files(self.root, self.kept["dvc.lock"]) if kept.path == path)

    def in_remote(self, path: str) -> Path:
        return self.root / "remote" / self.file(path).copy.relative_to(dvc.cache_dir(self.root))


@pytest.fixture(scope="module")
def built(root: Path, built_before: Path, tmp_path_factory: pytest.TempPathFactory) -> Pushed:
    folder = make_project(root, tmp_path_factory.mktemp("built") / "project")
    shutil.copytree(built_before, dvc.cache_dir(folder))
    dataset = build(folder, small_demo(folder), log=quiet).dataset
    storage.push(folder, dataset, quiet)
    kept = {name: (dataset.dir / name).read_text() for name in DVC_FILES}
    pushed = Pushed(folder, dataset.version, kept, hash_files(dataset.dir / "dataset"))
    shutil.rmtree(folder / "data")
    return pushed


@pytest.fixture
def pushed(built: Pushed, tmp_path: Path) -> Pushed:
    """The same with a remote of its own, and the cache too: each test empties what it wants lost."""
    shutil.copytree(built.root, tmp_path / "project", symlinks=True)
    return replace(built, root=tmp_path / "project")


def lose_cache(pushed: Pushed) -> None:
    shutil.rmtree(pushed.root / ".facetmill")


def picture_of(pushed: Pushed) -> str:
    return next(kept.path for kept in kept_files(pushed.root, pushed.kept["dvc.lock"]) if "/images/" in kept.path)


@pytest.mark.parametrize("which", [lambda pushed: SHARD, picture_of, lambda pushed: "checked/verdict.json"])
def test_a_byte_flipped_in_the_remote_is_refused_by_name_and_its_mending_is_enough(
    pushed: Pushed, which: Callable[[Pushed], str]
) -> None:
    path = which(pushed)
    stored = pushed.in_remote(path)
    flip_byte(stored)
    lose_cache(pushed)
    for _ in range(2):
        with pytest.raises(DataError, match=rf"cannot be brought back: neither .* the remote 'store' has .*\n  {path}"):
            pushed.bring_back()
        assert find(pushed.root, pushed.version) is None
    flip_byte(stored)
    back = pushed.bring_back()
    assert hash_files(back.dir / "dataset") == pushed.hashes


def test_a_byte_flipped_in_the_cache_is_refused_and_what_the_message_says_mends_it(pushed: Pushed) -> None:
    flip_byte(pushed.file(SHARD).copy)
    with pytest.raises(DataError, match=rf"changed in DVC's cache.*Remove these copies.*\n  {SHARD}: ") as caught:
        pushed.bring_back()
    assert find(pushed.root, pushed.version) is None
    named = re.search(rf"{SHARD}: (.*)", str(caught.value))
    assert named is not None
    Path(named[1]).unlink()
    assert pushed.bring_back().version == pushed.version


def test_a_file_that_is_nowhere_is_named_with_what_to_do(pushed: Pushed) -> None:
    pushed.in_remote(SHARD).unlink()
    lose_cache(pushed)
    with pytest.raises(DataError, match=rf"back-up, or build the dataset again.*\n  {SHARD}: object [0-9a-f]{{32}}"):
        pushed.bring_back()


def test_a_file_that_the_cache_has_lost_is_named_where_there_is_no_remote(pushed: Pushed) -> None:
    (pushed.root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    pushed.file(SHARD).copy.unlink()
    with pytest.raises(DataError, match=rf"DVC's cache has not got .*\n  {SHARD}: object"):
        pushed.bring_back()


def test_a_changed_command_of_a_kept_pipeline_is_never_run(pushed: Pushed, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    texts = {}
    for name in ("dvc.yaml", "dvc.lock"):
        parsed = yaml.safe_load(pushed.kept[name])
        for stage in parsed["stages"].values():
            stage["cmd"] = f"touch {mark}"
        texts[name.replace(".", "_")] = yaml.safe_dump(parsed)
    assert pushed.bring_back(**texts).version == pushed.version
    assert not mark.exists()


def out_elsewhere(path: str) -> Callable[[Any], None]:
    return lambda stage: stage.update(outs=[path])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (out_elsewhere("src/facetmill/evil"), "src/facetmill/evil"),
        (out_elsewhere("../evil"), r"\.\./evil"),
        (out_elsewhere("/tmp/evil"), "/tmp/evil"),
        (out_elsewhere(".dvc/evil"), r"\.dvc/evil"),
        (out_elsewhere("${where}"), "where"),
        (lambda stage: stage.update(outs=[{"src/facetmill/evil": {"cache": True}}]), "src/facetmill/evil"),
        (lambda stage: stage.update(wdir="src/facetmill"), "wdir"),
    ],
)
def test_a_kept_pipeline_that_would_write_elsewhere_is_refused(
    pushed: Pushed, change: Callable[[Any], None], message: str
) -> None:
    """`src` in a workspace is a link to the project's code: what DVC puts there would be run by the next command."""
    parsed = yaml.safe_load(pushed.kept["dvc.yaml"])
    change(parsed["stages"]["check"])
    with pytest.raises(DataError, match=rf"cannot be brought back: dvc\.yaml, stage check: .*{message}"):
        pushed.bring_back(dvc_yaml=yaml.safe_dump(parsed))
    lock = yaml.safe_load(pushed.kept["dvc.lock"])
    lock["stages"]["check"]["outs"][0]["path"] = "src/facetmill/evil"
    with pytest.raises(DataError, match=r"cannot be brought back: dvc\.lock: .*src/facetmill/evil"):
        pushed.bring_back(dvc_lock=yaml.safe_dump(lock))


@pytest.mark.parametrize(
    "text", ["", "stages: [", "stages: {split: []}", "- a", "stages: {split: {outs: [{path: x}]}}"]
)
def test_what_is_no_lock_file_is_said(pushed: Pushed, text: str) -> None:
    with pytest.raises(DataError, match=r"cannot be brought back: dvc\.lock"):
        pushed.bring_back(dvc_lock=text)
