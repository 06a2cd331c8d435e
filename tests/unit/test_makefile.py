"""The Makefile: what it tells, and that what a user types reaches the program as it is. Nothing is installed here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

TARGETS = ("setup", "retrain", "test", "bench", "claims", "lint", "ui", "clean")


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Path:
    """A folder with our Makefile and a .venv whose programs write down how they were called."""
    shutil.copy(root / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").touch()
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("facetmill", "python"):
        (programs / name).write_text(f'#!/bin/sh\nfor each in {name} "$@"; do printf "%s\\n" "$each"; done >> calls\n')
        (programs / name).chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / ".facetmill").mkdir()
    (tmp_path / ".facetmill" / ".made").touch()
    for folder in ("src", "tests", "flows"):
        (tmp_path / folder).mkdir()
    return tmp_path


def make(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Without MAKEFLAGS: these tests may themselves run under `make test`.
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "CATALOGUE", "DATA", "MODEL"}
    }
    return subprocess.run(
        ["make", *words], cwd=project, env=clean | environment, capture_output=True, text=True, timeout=60, check=False
    )


def calls(project: Path) -> list[str]:
    return (project / "calls").read_text(encoding="utf-8").splitlines()


def test_make_alone_lists_every_target(project: Path) -> None:
    done = make(project)
    assert done.returncode == 0
    listed = re.findall(r"^  make (\w+)", done.stdout, re.MULTILINE)
    assert sorted(listed) == sorted([*TARGETS, "help"])
    assert not (project / "calls").exists()


@pytest.mark.parametrize("data", ["products:shop.csv", 'products:my shop\'s $HOME `x` "y"; $(z), a.csv'])
def test_retrain_passes_data_and_model_on_as_typed(project: Path, data: str) -> None:
    done = make(project, "retrain", f"DATA={data}", "MODEL=jave")
    assert done.returncode == 0, done.stderr
    assert calls(project) == ["facetmill", "retrain", "--data", data, "--model", "jave"]


def test_retrain_alone_leaves_it_to_params(project: Path) -> None:
    assert make(project, "retrain").returncode == 0
    assert calls(project) == ["facetmill", "retrain"]


def test_test_runs_pytest_with_its_arguments(project: Path) -> None:
    assert make(project, "test", "PYTEST_ARGS=-k gates -x").returncode == 0
    assert calls(project)[:5] == ["python", "-m", "pytest", "--numprocesses", "2"]
    assert calls(project)[-3:] == ["-k", "gates", "-x"]


def test_setup_installs_only_when_the_pins_changed(project: Path) -> None:
    assert make(project, "setup").returncode == 0
    assert not (project / "calls").exists()
    later = (project / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(project / "constraints.txt", (later, later))
    assert make(project, "setup").returncode == 0
    install = (
        "python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e .[dev,team,ocr]"
    )
    compiling = "python -m compileall -q -j 0 .venv/lib src"
    assert calls(project) == ["python", "-m", "pip", "--version", *install.split(), *compiling.split()]


@pytest.mark.parametrize("target", ["setup", "retrain", "ui"])
def test_stores_are_made_once_before_anything_needs_them(project: Path, target: str) -> None:
    (project / ".facetmill" / ".made").unlink()
    assert make(project, target).returncode == 0
    assert calls(project)[:2] == ["facetmill", "init"]
    assert make(project, target).returncode == 0
    assert calls(project).count("init") == 1


def test_setup_without_python_says_what_to_install(project: Path) -> None:
    (project / ".venv" / ".installed").unlink()
    tools = project / "tools"
    tools.mkdir()
    for name in ("make", "sh", "sed"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    done = make(project, "setup", PATH=str(tools))
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr
    assert not (project / ".venv" / ".installed").exists()


def test_clean_keeps_what_cannot_be_made_again(project: Path) -> None:
    kept = ["mlruns/mlflow.db", ".facetmill/ledger.db", "data/mine.csv", "data/notes/readme.txt"]
    removed = [
        "data/demo-1a2b/.dvc/config",
        "data/demo-1a2b/dataset/x",
        ".facetmill/dvc-cache/x",
        ".facetmill/features/x",
        ".facetmill/ocr/x",
        ".facetmill/regions/x",
        ".facetmill/looks.db",
        ".mypy_cache/x",
    ]
    for name in kept + removed:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    done = make(project, "clean")
    assert done.returncode == 0, done.stderr
    assert [name for name in kept if not (project / name).exists()] == []
    assert [name for name in removed if (project / name).exists()] == []
    assert calls(project) == ["facetmill", "down"]
    assert (project / ".venv").is_dir()
    assert "Kept: mlruns/" in done.stdout
    assert make(project, "clean", "ALL=1").returncode == 0
    assert not (project / ".venv").exists()
    assert (project / "mlruns/mlflow.db").exists()


def test_clean_removes_nothing_while_somebody_is_at_work(project: Path) -> None:
    (project / ".venv" / "bin" / "facetmill").write_text("#!/bin/sh\necho 'process 7 is at work' >&2\nexit 1\n")
    (project / "data/demo-1a2b/.dvc").mkdir(parents=True)
    done = make(project, "clean")
    assert done.returncode != 0
    assert "process 7 is at work" in done.stderr
    assert (project / "data/demo-1a2b/.dvc").is_dir()


def test_readme_commands_are_targets(root: Path) -> None:
    """Every `make x` that the README names exists."""
    named = set(re.findall(r"^make (\w+)", (root / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= {*TARGETS, "help"}
    assert named >= {"retrain", "test"}
