"""Stages on data, and on a machine, that mean ill: whatever happens, no output is half there. What is limited or killed
is a process of its own."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import chdir
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from unittest.mock import patch

import pytest
import yaml

from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import build, resolve
from facetmill.params import load_params, to_mapping
from tests.pipeline.conftest import ROOT, make_workspace

pytestmark = pytest.mark.pipeline

#: The arguments of each stage as dvc.yaml gives them.
STAGES: dict[str, list[str]] = {
    name: stage["cmd"].split()[3:]  # after: python -m facetmill.stages.NAME
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
GIB = 2**30


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder for stages to run in, its params.yaml for `shop.jsonl`, a catalogue of 30 products."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    rows = [{"id": f"p{i}", "title": f"Red shirt {i}", "facets": {"Color": "red"}} for i in range(30)]
    (folder / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    params = load_params(ROOT / "params.yaml")
    params = replace(params, dataset=replace(params.dataset, format="products", path="shop.jsonl", max_bad_share=0.2))
    (folder / "params.yaml").write_text(yaml.safe_dump(to_mapping(params)))
    return folder


def run(
    workspace: Path, stage: str, *, first: str = "", memory: int = 0, file_size: int = 0
) -> subprocess.CompletedProcess[str]:
    """The stage as dvc.yaml runs it, after the statements of `first`, within limits in bytes."""

    def limit() -> None:
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        if file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    program = f"{dedent(first)}\nimport runpy\nrunpy.run_module('facetmill.stages.{stage}', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", program, *STAGES[stage]],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_here(workspace: Path, stages: Iterable[str] = tuple(STAGES)) -> Dataset:
    """Stages to which nothing happens, in this process."""
    for stage in stages:
        with chdir(workspace), patch.object(sys, "argv", [stage, *STAGES[stage]]):
            import_module(f"facetmill.stages.{stage}").main()
    return Dataset.open(workspace)


def content(workspace: Path) -> dict[str, bytes]:
    """All that stages have written, by path, half-written files and folders included."""
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in workspace.rglob("*")
        if path.name not in ("shop.jsonl", "params.yaml")
    }


def test_a_line_of_two_gigabytes_costs_itself_and_little_memory(workspace: Path) -> None:
    with (workspace / "shop.jsonl").open("r+b") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(2 * GIB, os.SEEK_CUR)  # a hole: two gigabytes to read, none on disk
        stream.write(b'\n{"id": "last", "title": "Blue hat", "facets": {"Color": "blue"}}\n')
    done = run(workspace, "ingest", memory=GIB)
    assert done.returncode == 0, done.stderr
    report = json.loads((workspace / "reports" / "ingest.json").read_text())
    assert (report["num_products"], report["dropped"]) == (31, {"line_too_long": 1})


def test_a_product_with_a_hundred_thousand_attributes_comes_through(workspace: Path) -> None:
    facets = {f"Attribute {i}": f"value {i}" for i in range(100_000)}
    title = " ".join(f"value {i}" for i in range(0, 100_000, 10_000))
    with (workspace / "shop.jsonl").open("a") as stream:
        stream.write(json.dumps({"id": "many", "title": title, "facets": facets}) + "\n")
    dataset = run_here(workspace)
    report = json.loads((workspace / "reports" / "match.json").read_text())
    assert report["num_facets"] == 100_030
    assert report["num_explicit"] == 30 + 10
    assert dataset.verdict is not None


def test_a_full_disk_leaves_what_was(workspace: Path) -> None:
    """A limit on the size of files stands for the disk: both end a write in the middle with an error."""
    run_here(workspace)
    before = content(workspace)
    for stage in ("ingest", "match", "split", "check"):  # the others are switched off, and links take no room
        done = run(workspace, stage, file_size=64)
        assert done.returncode != 0, stage
        assert "File too large" in done.stderr, stage
        assert "Traceback" not in done.stderr, stage
        assert content(workspace) == before, stage


@pytest.mark.parametrize("stage", ["ingest", "match", "split"])
def test_a_kill_between_two_outputs_is_mended_by_the_next_run(workspace: Path, stage: str) -> None:
    """The stage moves its outputs into place one by one; here it dies after the first."""
    making = [name for name in STAGES if name != "check"]
    before = run_here(workspace, making).version
    with (workspace / "shop.jsonl").open("a") as stream:
        stream.write('{"id": "new", "title": "Blue hat", "facets": {"Color": "blue"}}\n')
    place = making.index(stage)
    run_here(workspace, making[:place])
    outputs = {STAGES[stage][STAGES[stage].index("--out") + 1], STAGES[stage][-1]}
    killed = run(
        workspace,
        stage,
        first=f"""
        import os, signal
        move = os.replace
        def move_and_die(source, target):
            move(source, target)
            if str(target) in {outputs!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        os.replace = move_and_die
        """,
    )
    assert killed.returncode == -9, killed.stderr
    assert run_here(workspace, making[place:]).version != before
    left_by_the_dead = {name for name in content(workspace) if name.startswith(".") or "/." in name}
    mended = {name: data for name, data in content(workspace).items() if name not in left_by_the_dead}
    for name in (
        "ingested",
        "read",
        "located",
        "matched",
        "supervised",
        "divided",
        "dataset",
        "visual_tokens",
        "reports",
    ):
        shutil.rmtree(workspace / name)
    run_here(workspace, making)
    assert {name: data for name, data in content(workspace).items() if name not in left_by_the_dead} == mended


def test_two_builds_at_once_make_one_dataset(tmp_path: Path) -> None:
    layout = make_workspace(tmp_path)
    program = dedent(
        """
        import sys, dataclasses
        from pathlib import Path
        from facetmill.dataset.store.workspace import build, resolve
        from facetmill.params import load_params
        root = Path.cwd()
        params = load_params(root / "params.yaml")
        params = dataclasses.replace(params, demo=dataclasses.replace(params.demo, products=60))
        built = build(root, resolve(root, params, "demo:"), log=print)
        print("RESULT", built.dataset.version, *built.stages_run)
        """
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    running = [
        subprocess.Popen(command, cwd=layout.root, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    results = sorted(
        (line.split()[1:] for answer in answers for line in answer.splitlines() if line.startswith("RESULT")), key=len
    )
    (second_version, *nothing), (first_version, *stages) = results
    assert (second_version, nothing, stages) == (first_version, [], ["ingest", "match", "split", "check"])
    params = load_params(layout.root / "params.yaml")
    params = resolve(layout.root, replace(params, demo=replace(params.demo, products=60)), "demo:")
    assert build(layout.root, params, log=lambda _: None).dataset.version == first_version
