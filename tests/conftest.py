"""Fixtures for every test: real data by name, and parts that must be there when FACETMILL_REQUIRE names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]


def missing(part: str, what: str) -> NoReturn:
    """Skip because `part` is not on this machine, or fail where FACETMILL_REQUIRE lists it (as CI does)."""
    if part in os.environ.get("FACETMILL_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required here: {what}")
    pytest.skip(f"{part}: {what}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the public research data, `../shared/data` beside the project or $FACETMILL_SHARED_DATA."""
    folder = Path(os.environ.get("FACETMILL_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        missing("shared-data", f"no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root, for tests that read its params.yaml, dvc.yaml or flows."""
    return ROOT
