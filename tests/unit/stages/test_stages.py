"""dvc.yaml tells the whole truth: stage files, their arguments, every module they import, every parameter they read."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

STAGES = ("ingest", "ocr", "regions", "match", "distant", "split", "saliency", "visual_tokens", "check")

#: What a stage imports only when it is needed.
LATE = {
    "regions": ("facetmill.perception.region_proposals", "facetmill.perception.region_detector"),
    "distant": ("facetmill.dataset.distant.annotate", "facetmill.compute.device"),
    "saliency": ("facetmill.dataset.saliency.ascribe",),
    "visual_tokens": ("facetmill.dataset.pictures.tokenizing",),
    "check": ("facetmill.gates.data",),
}


@pytest.fixture(scope="module")
def stages(root: Path) -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    return stages


def has_no_code(path: Path) -> bool:
    """Whether a file is empty or a docstring alone, which decides no result."""
    module = ast.parse(path.read_text())
    return len(module.body) == (ast.get_docstring(module) is not None)


def written(stage: dict[str, Any]) -> list[str]:
    """Outs and metrics of a stage."""
    return [*stage.get("outs", []), *(path for metric in stage.get("metrics", []) for path in metric)]


#: For each stage what its help shows and which files of ours it imports, told by a process of its own, forked from
#: one that has imported what is heavy and not ours.
ASK_STAGES = """
import contextlib, io, json, os, runpy, sys
import great_expectations, numpy, pandas, pyarrow.parquet, scipy.stats, torch, transformers

def asked(name, late):
    shown = io.StringIO()
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        runpy.run_module(f"facetmill.stages.{name}", run_name="__main__")
    for module in (f"facetmill.stages.{name}", *late):
        __import__(module)
    files = [module.__file__ for name, module in sys.modules.items() if name.startswith("facetmill.")]
    return {"help": shown.getvalue(), "files": files}

assert not any(name.startswith("facetmill") for name in sys.modules)
for name, late in json.loads(sys.argv[1]).items():
    sys.stdout.flush()
    if os.fork() == 0:
        print(json.dumps([name, asked(name, late)]), flush=True)
        os._exit(0)
    _, status = os.wait()
    assert status == 0, name
"""


@pytest.fixture(scope="module")
def asked(root: Path) -> dict[str, Any]:
    """By stage its `help`, and the `files` of ours that it imports."""
    late = json.dumps({name: LATE.get(name, ()) for name in STAGES})
    done = subprocess.run([sys.executable, "-c", ASK_STAGES, late], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.strip().split("\n"))


def test_every_stage_file_is_a_stage_and_the_other_way_round(root: Path, stages: dict[str, Any]) -> None:
    files = {path.stem for path in (root / "src/facetmill/stages").glob("*.py")} - {"__init__"}
    assert files == set(stages) == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_arguments_are_what_the_stage_reads_and_writes(
    stages: dict[str, Any], asked: dict[str, Any], name: str
) -> None:
    stage = stages[name]
    python, dash_m, module, *arguments = stage["cmd"].split()
    assert (python, dash_m, module) == ("python", "-m", f"facetmill.stages.{name}")
    options, paths = arguments[::2], arguments[1::2]
    assert all(option in asked[name]["help"] for option in options)
    for option, path in zip(options, paths, strict=True):
        if option in ("--out", "--report", "--plots"):
            assert path in written(stage)
        else:
            assert any(dep == path or dep.startswith(f"{path}/") for dep in stage["deps"])
    assert set(written(stage)) <= set(paths)


@pytest.mark.parametrize("name", STAGES)
def test_deps_exist(stages: dict[str, Any], root: Path, name: str) -> None:
    made = {path for stage in stages.values() for path in written(stage)}
    for dep in stages[name]["deps"]:
        assert dep in made or dep == "${dataset.path}" or (root / dep).exists(), dep


@pytest.mark.parametrize("name", STAGES)
def test_deps_name_every_module_the_stage_imports(
    stages: dict[str, Any], asked: dict[str, Any], root: Path, name: str
) -> None:
    files = {Path(file).relative_to(root).as_posix() for file in asked[name]["files"]}
    packages = {file for file in files if file.endswith("__init__.py") and has_no_code(root / file)}
    code = {dep for dep in stages[name]["deps"] if dep.startswith("src/")}
    decisive = {file for file in files - packages if not file.startswith("src/facetmill/params/")}
    uncovered = {file for file in decisive if not any(file == d or file.startswith(f"{d}/") for d in code)}
    assert not uncovered
    unused = {dep for dep in code if not any(file == dep or file.startswith(f"{dep}/") for file in files)}
    assert not unused


@pytest.mark.parametrize("name", STAGES)
def test_params_are_keys_of_params_yaml(stages: dict[str, Any], root: Path, name: str) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text())
    for key in stages[name]["params"]:
        value = params
        for part in key.split("."):
            assert part in value, key
            value = value[part]


@pytest.mark.parametrize("name", ["dataset", "ocr", "regions", "match", "distant", "split", "check"])
def test_every_key_that_changes_the_output_is_a_param(stages: dict[str, Any], root: Path, name: str) -> None:
    keys = yaml.safe_load((root / "params.yaml").read_text())[name]
    stage = {"dataset": "ingest"}.get(name, name)
    predicted = {key for key in stages[stage]["params"] if key.startswith(f"{name}.")}
    assert predicted == {f"{name}.{key}" for key in keys} - {f"{name}.workers", "distant.training"}


def test_metrics_are_files_to_look_at_not_cached(stages: dict[str, Any]) -> None:
    assert [metric for stage in stages.values() for metric in stage.get("metrics", [])] == [
        {f"reports/{name}.json": {"cache": False}}
        for name in ("ingest", "ocr", "regions", "match", "distant", "split", "saliency", "visual_tokens")
    ]


def test_git_ignores_what_dvc_repro_leaves_in_the_project(root: Path, stages: dict[str, Any]) -> None:
    ignored = (root / ".gitignore").read_text().split()
    outs = {f"/{path.split('/')[0]}" for stage in stages.values() for path in written(stage)}
    assert outs <= set(ignored)


def test_a_stage_tells_a_user_error_plainly(root: Path, tmp_path: Path) -> None:
    """What DVC shows must be the message, not a traceback."""
    text = (root / "params.yaml").read_text().replace("  validation: 0.1 ", "  validation: 1.0 ")
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "matched").mkdir()
    command = ["facetmill.stages.split", "--source", "matched", "--out", "dataset", "--report", "reports/split.json"]
    failed = subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr == ("split.validation = 1.0 and split.test = 0.2: together they leave no share for training\n")
    assert not (tmp_path / "dataset").exists()
