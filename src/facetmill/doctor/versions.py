"""Installed packages against pyproject.toml, which says what the code needs, and constraints.txt, what was tested."""

from __future__ import annotations

import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from facetmill.doctor.finding import Finding
from facetmill.platform.layout import Layout

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SHOWN = 5  # packages named in one finding

#: Why a bound matters, where that was learned the hard way.
REASONS = {
    "fastapi": "Prefect 3.8 fails with 0.155 and later",
    "mlflow": "the embedded server relies on inner names of this minor version",
    "great-expectations": "older ones send usage data",
}


def check_requirements(layout: Layout) -> list[Finding]:
    """A package that is missing, or outside what the code needs."""
    found = []
    for needed in _needed(layout):
        installed = _version(needed.name)
        if installed is not None and needed.specifier.contains(installed, prereleases=True):
            continue
        has = f"{needed.name} {installed} is installed" if installed else f"{needed.name} is not installed"
        why = f" ({REASONS[needed.name]})" if needed.name in REASONS else ""
        wrong = f"{has}; {needed.specifier or 'any version'} is needed{why}"
        found.append(Finding("requirements", "problem", wrong, _pip(layout, str(needed))))
    return found


def check_constraints(layout: Layout) -> list[Finding]:
    """Packages of another version than the one that was seen to work; a build for CUDA or CPU is the same version."""
    from packaging.requirements import Requirement

    path = layout.root / "constraints.txt"
    if not path.exists():
        return []
    other = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line.partition("#")[0].strip():
            continue
        pinned = Requirement(line.partition("#")[0].strip())
        installed = _version(pinned.name)
        if installed is not None and not pinned.specifier.contains(installed, prereleases=True):
            other.append(f"{pinned.name} {installed} (tested: {str(pinned.specifier).removeprefix('==')})")
    if not other:
        return []
    more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
    wrong = f"other versions than in constraints.txt: {', '.join(other[:SHOWN])}{more}"
    return [Finding("constraints", "warning", wrong, _pip(layout, "-e", f"{layout.root}[dev,team]"))]


def _needed(layout: Layout) -> Iterator[Requirement]:
    """What pyproject.toml asks for or, where a project has none, the installed package; extras left out."""
    from packaging.requirements import Requirement

    path = layout.root / "pyproject.toml"
    lines = tomllib.loads(path.read_text())["project"]["dependencies"] if path.exists() else requires("facetmill")
    for line in lines or []:
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield needed


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _pip(layout: Layout, *what: str) -> str:
    constraints = layout.root / "constraints.txt"
    tested = ["-c", str(constraints)] if constraints.exists() else []
    return shlex.join([sys.executable, "-m", "pip", "install", *tested, *what])
