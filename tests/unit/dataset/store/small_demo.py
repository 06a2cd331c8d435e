"""A project with a small demo catalogue and a remote of its own, for tests of what DVC keeps."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from facetmill.dataset.store.workspace import resolve
from facetmill.params import Params, load_params

REMOTE = "['remote \"store\"']\n    url = {url}\n"


def quiet(line: str) -> None:
    pass


def make_project(root: Path, folder: Path) -> Path:
    """A project of its own with a remote that is named as a person would, relative to `.dvc`."""
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    remote = store\n" + REMOTE.format(url="../remote"))
    (folder / "src").symlink_to(root / "src")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(root / name, folder)
    return folder


def leave_out_the_gate(project: Path) -> None:
    """Where no verdict matters: Great Expectations takes as long as all the other stages."""
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    del pipeline["stages"]["check"]
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))


def small_demo(project: Path) -> Params:
    params = load_params(project / "params.yaml")
    return resolve(project, replace(params, demo=replace(params.demo, products=40, image_size=32)), "demo:")
