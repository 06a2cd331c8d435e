"""One build of the small demo for all tests of what DVC keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.dataset.store import dvc
from facetmill.dataset.store.workspace import build

from .small_demo import make_project, quiet, small_demo


@pytest.fixture(scope="session")
def built_before(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a project in which the small demo was built once: no stage of it need run again."""
    project = make_project(root, tmp_path_factory.mktemp("before") / "project")
    build(project, small_demo(project), log=quiet)
    return dvc.cache_dir(project)
