"""One folder a dataset: real builds of a small catalogue under DVC."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from PIL import Image

from facetmill.dataset.store.checkout import checkout
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import (
    DVC_FILES,
    BuildResult,
    build,
    find,
    prepare,
    read_split,
    reading,
    resolve,
    workspace_dir,
)
from facetmill.errors import DataError
from facetmill.params import EncodersParams, Params, load_params
from facetmill.records import SPLITS
from tests import drawn, small

from .small_demo import leave_out_the_gate

STAGES = ["ingest", "match", "split", "check"]  # the others are switched off


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    """A project of its own: this one's code and dvc.yaml, but none of its data."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "src").symlink_to(root / "src")
    (folder / "dvc.yaml").write_text((root / "dvc.yaml").read_text())
    return folder


@pytest.fixture
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


def write_catalogue(path: Path, first_title: str = "Red cotton shirt 0", first_picture: str = "") -> Path:
    """20 products, each with its colour in the title and its material nowhere."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["product_id", "title", "text", "category", "facets", "images"])
        for i in range(20):
            colour = ("red", "blue")[i % 2]
            title = first_title if i == 0 else f"{colour.title()} shirt {i}"
            facets = json.dumps({"colour": colour, "material": "linen"})
            writer.writerow([f"p{i}", title, "A fine shirt.", "shirt", facets, first_picture if i == 0 else ""])
    return path


@pytest.fixture
def data(tmp_path: Path, params: Params, project: Path) -> Params:
    """Resolved parameters of the catalogue."""
    return resolve(project, params, f"products:{write_catalogue(tmp_path / 'shirts.csv')}")


def quiet(line: str) -> None:
    pass


def test_paths_are_taken_from_the_callers_folder(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_catalogue(tmp_path / "shirts.csv")
    monkeypatch.chdir(tmp_path)
    dataset = resolve(project, params, "products:shirts.csv").dataset
    assert (dataset.format, dataset.path) == ("products", str(tmp_path / "shirts.csv"))
    with pytest.raises(DataError, match=f"no such file or folder: {tmp_path}/hats.csv"):
        resolve(project, params, "products:hats.csv")


@pytest.mark.parametrize("data", ["shirts.csv", "nosuch:shirts.csv", "products:", "demo:somewhere"])
def test_data_that_names_nothing(project: Path, params: Params, data: str) -> None:
    with pytest.raises(DataError, match="data '"):
        resolve(project, params, data)


def test_the_demo_keeps_its_path(project: Path, params: Params) -> None:
    expected = str(project / "src/facetmill/sources/demo")
    assert resolve(project, params, None).dataset.path == expected
    elsewhere = replace(params, dataset=replace(params.dataset, format="products", path="x.csv", images="pictures"))
    resolved = resolve(project, elsewhere, "demo:")
    assert (resolved.dataset.path, resolved.dataset.images) == (expected, str(project / "pictures"))


def test_a_workspace_for_each_way_to_build_and_not_for_how_fast(data: Params, project: Path) -> None:
    folder = workspace_dir(project, data)
    assert folder.parent == project / "data"
    assert folder.name.startswith("products-shirts-")
    assert workspace_dir(project, replace(data, match=replace(data.match, workers=7))) == folder
    assert workspace_dir(project, replace(data, dataset=replace(data.dataset, workers=7))) == folder
    assert workspace_dir(project, replace(data, split=replace(data.split, workers=7))) == folder
    assert workspace_dir(project, replace(data, model="dictionary")) == folder
    assert workspace_dir(project, replace(data, demo=replace(data.demo, seed=99))) == folder
    assert workspace_dir(project, replace(data, split=replace(data.split, seed=1))) != folder
    assert workspace_dir(project, replace(data, check=replace(data.check, min_products=1))) != folder


def test_prepare_rewrites_nothing_that_is_equal(data: Params, project: Path) -> None:
    folder = prepare(project, data)
    # Sections hold the encoders that they name: another one that is described beside them makes no stage run again.
    assert load_params(folder / "params.yaml") == replace(data, encoders=EncodersParams(text={}, image={}))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert prepare(project, data) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    (folder / "src").unlink()
    (folder / "src").symlink_to("/nowhere")
    prepare(project, data)
    assert (folder / "src").readlink() == project / "src"


def test_the_demos_code_is_watched_where_compiled_files_are_ignored(params: Params, project: Path) -> None:
    folder = prepare(project, resolve(project, params, "demo:"))
    written = yaml.safe_load((folder / "params.yaml").read_text())
    assert written["dataset"]["path"] == "src/facetmill/sources/demo"
    assert (folder / written["dataset"]["path"]).is_dir()


def test_build_and_rebuild(data: Params, project: Path, tmp_path: Path) -> None:
    picture = tmp_path / "shirt.png"
    picture.write_bytes(drawn.encoded(Image.new("RGB", (8, 8), "red")))
    write_catalogue(tmp_path / "shirts.csv", first_picture="shirt.png")
    lines: list[str] = []
    first = build(project, data, log=lines.append)
    assert (first.stages_run, first.stages_cached) == (STAGES, [])
    assert any("facetmill.stages.split" in line for line in lines)
    dataset = first.dataset
    assert dataset.dir == workspace_dir(project, data)
    dataset.require_passed()
    products = [product for split in SPLITS for product in dataset.read(split)]
    assert sorted(product.product_id for product in products) == sorted(f"p{i}" for i in range(20))
    assert {f.value: f.explicit for p in products for f in p.facets} == {"red": True, "blue": True, "linen": False}
    assert json.loads((dataset.dir / "reports/match.json").read_text())["num_explicit"] == 20

    second = build_while_somebody_reads(project, data)
    assert (second.stages_run, second.stages_cached) == ([], STAGES)
    assert second.dataset.version == dataset.version

    other_seed = replace(data, split=replace(data.split, seed=1))
    third = build(project, other_seed, log=quiet)  # in another workspace: the rest comes from the run cache
    assert (third.stages_run, third.stages_cached) == (
        ["split", "check"],
        ["ingest", "match"],
    )
    assert third.dataset.dir != dataset.dir
    third.dataset.require_passed()
    assert Dataset.open(dataset.dir).version == dataset.version

    assert find(project, dataset.version[:10]) == dataset
    kept = {name: (dataset.dir / name).read_text() for name in DVC_FILES}
    files = {path.name: path.read_bytes() for path in (dataset.dir / "dataset").rglob("*.parquet")}

    write_catalogue(tmp_path / "shirts.csv", first_title="Red linen shirt 0", first_picture="shirt.png")
    fourth = build(project, data, log=quiet)
    assert (fourth.stages_run, fourth.stages_cached) == (STAGES, [])
    assert fourth.dataset.version != dataset.version
    assert json.loads((dataset.dir / "reports/match.json").read_text())["num_explicit"] == 21
    fourth.dataset.require_passed()

    red = picture.read_bytes()
    picture.write_bytes(drawn.encoded(Image.new("RGB", (8, 8), "blue")))  # in a folder that no stage watches
    with pytest.raises(DataError, match=f"{picture}: picture of .* changed since"):
        read_split(fourth.dataset, "train")
    with pytest.raises(DataError, match=f"dataset {dataset.version[:12]} cannot be brought back: {picture}: "):
        checkout(project, dataset.version, kept, quiet)
    lines.clear()
    fifth = build(project, data, log=lines.append)
    assert f"a picture is not what it was, so every stage runs again: {picture}" in lines
    assert fifth.stages_run == STAGES
    assert fifth.dataset.version != fourth.dataset.version
    assert sum(len(read_split(fifth.dataset, split)) for split in SPLITS) == 20
    picture.write_bytes(red)

    assert find(project, dataset.version) is None
    back = checkout(project, dataset.version, kept, quiet)
    assert back.version == dataset.version
    assert {path.name: path.read_bytes() for path in (back.dir / "dataset").rglob("*.parquet")} == files
    back.require_passed()
    shutil.rmtree(project / ".facetmill" / "dvc-cache")
    shutil.rmtree(back.dir)
    with pytest.raises(DataError, match=f"dataset {dataset.version[:12]} cannot be brought back"):
        checkout(project, dataset.version, kept, quiet)


def build_while_somebody_reads(project: Path, data: Params) -> BuildResult:
    """A build that has to wait for two readers, who do not keep each other waiting, and says so."""
    waiting = threading.Event()
    found: list[BuildResult] = []

    def wait_and_build() -> None:
        found.append(build(project, data, log=lambda line: waiting.set() if line.startswith("waiting: ") else None))

    thread = threading.Thread(target=wait_and_build)
    folder = workspace_dir(project, data)
    with reading(folder) as dataset, reading(folder):
        thread.start()
        assert waiting.wait(60)
        assert not found
        assert len(list(dataset.read("test"))) == 4
    thread.join(120)
    return found[0]


def test_pictures_and_corrections_are_watched(data: Params, project: Path, tmp_path: Path) -> None:
    pictures, corrections = tmp_path / "pictures", tmp_path / "corrections.csv"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"one")
    corrections.write_text("product_id,attribute,value\np0,colour,crimson\n")
    watched = replace(data, dataset=replace(data.dataset, images=str(pictures), corrections=str(corrections)))
    leave_out_the_gate(project)
    first = build(project, watched, log=quiet)
    assert first.stages_run == ["ingest", "match", "split"]

    (pictures / "a.png").write_bytes(b"another")
    assert build(project, watched, log=quiet).stages_run == ["ingest", "split"]  # what they give is as before
    gone = replace(data, dataset=replace(data.dataset, images="gone"))
    with pytest.raises(DataError, match=r"dataset\.images = 'gone': no such folder: .*/project/gone"):
        resolve(project, gone, f"products:{data.dataset.path}")

    corrections.write_text("product_id,attribute,value\np0,colour,n/a\n")
    second = build(project, watched, log=quiet)
    assert second.stages_run == ["ingest", "match", "split"]
    assert first.dataset.version != second.dataset.version
    [product] = [p for split in SPLITS for p in second.dataset.read(split) if p.product_id == "p0"]
    assert product.absent == ("colour",)


def test_a_labeller_is_named_from_the_project_and_watched(data: Params, project: Path, params: Params) -> None:
    with pytest.raises(DataError, match=r"distant\.labeller = 'labellers/a': no such folder: "):
        resolve(project, replace(params, distant=replace(params.distant, labeller="labellers/a")), "demo:")
    (project / "labellers" / "a").mkdir(parents=True)
    named = resolve(project, replace(data, distant=replace(data.distant, labeller="labellers/a")), None)
    assert named.distant.labeller == str(project / "labellers" / "a")
    folder = prepare(project, named)
    assert folder != workspace_dir(project, data)
    assert named.distant.labeller in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]["distant"]["deps"]


def test_a_detector_of_ones_own_is_named_from_the_project_and_watched(data: Params, project: Path) -> None:
    (project / "detectors" / "grid").mkdir(parents=True)
    for kind in (None, "grid", "proposals", "some/detector"):
        other = resolve(project, replace(data, regions=replace(data.regions, kind=kind)), None)
        assert other.regions.kind == kind
        found = yaml.safe_load((prepare(project, other) / "dvc.yaml").read_text())["stages"].get(
            "regions", {"deps": []}
        )
        assert not any(Path(dep).is_absolute() for dep in found["deps"])
    named = resolve(project, replace(data, regions=replace(data.regions, kind="detectors/grid")), None)
    assert named.regions.kind == str(project / "detectors" / "grid")
    folder = prepare(project, named)
    assert folder != workspace_dir(project, data)
    assert named.regions.kind in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]["regions"]["deps"]


def test_an_encoder_of_ones_own_is_watched_where_saliency_is_asked_for(data: Params, project: Path) -> None:
    (project / "encoders" / "own").mkdir(parents=True)
    (project / "bilstm").mkdir()  # not a folder of weights: the setting is a word of ours
    querying = replace(small.with_image(data.saliency, network="encoders/own"), seeds=[0])
    named = resolve(project, replace(data, saliency=querying), None)
    assert named.saliency.encoder.network == "bilstm"
    assert named.saliency.image_encoder.network == str(project / "encoders" / "own")
    written_stages = yaml.safe_load((prepare(project, named) / "dvc.yaml").read_text())["stages"]
    assert named.saliency.image_encoder.network in written_stages["saliency"]["deps"]
    off = replace(named, saliency=replace(named.saliency, seeds=None))
    assert "saliency" not in yaml.safe_load((prepare(project, off) / "dvc.yaml").read_text())["stages"]


def test_a_stage_that_looks_at_pictures_watches_their_folder(data: Params, project: Path, tmp_path: Path) -> None:
    """Shards have only the paths of pictures, and stay as they were when a picture changes."""
    (tmp_path / "pictures").mkdir()
    pictures = str(tmp_path / "pictures")
    shop = replace(data, dataset=replace(data.dataset, images=pictures))
    (project / "books" / "own").mkdir(parents=True)
    looking = replace(
        shop,
        regions=replace(shop.regions, kind="proposals"),
        visual_tokens=replace(shop.visual_tokens, codebook="books/own"),
    )
    for params, watching in ((shop, {"ingest", "split"}), (looking, {"ingest", "regions", "split", "visual_tokens"})):
        folder = prepare(project, resolve(project, params, None))
        stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
        assert {name for name, stage in stages.items() if pictures in stage["deps"]} == watching
    assert str(project / "books" / "own") in stages["visual_tokens"]["deps"]


def test_missing_corrections_are_told_before_anything_is_built(project: Path, params: Params) -> None:
    with pytest.raises(DataError, match=r"dataset\.corrections = 'none\.csv': no such file: "):
        resolve(project, replace(params, dataset=replace(params.dataset, corrections="none.csv")), "demo:")


def test_the_failing_stages_words_reach_the_user(data: Params, project: Path) -> None:
    too_much = replace(data, split=replace(data.split, validation=0.9))
    with pytest.raises(DataError) as caught:
        build(project, too_much, log=quiet)
    assert str(caught.value) == (
        "stage split failed:\nsplit.validation = 0.9 and split.test = 0.2: together they leave no share for training"
    )


def test_a_missing_dependency_is_named(data: Params, project: Path) -> None:
    Path(data.dataset.path).unlink()
    with pytest.raises(DataError, match=rf"stage ingest failed:\n.*{data.dataset.path}"):
        build(project, data, log=quiet)


def test_a_killed_build_is_done_again(data: Params, project: Path, tmp_path: Path) -> None:
    """SIGKILL to the builder, DVC and the running stage, in the middle of a stage."""
    slow = (
        (project / "dvc.yaml")
        .read_text()
        .replace("cmd: python -m facetmill.stages.match", "cmd: sleep 60; python -m facetmill.stages.match")
    )
    fast = (project / "dvc.yaml").read_text()
    (project / "dvc.yaml").write_text(slow)
    builder = start_builder(project, tmp_path)
    folder = workspace_dir(project, data)
    wait_for(lambda: is_asleep(builder))
    children = psutil.Process(builder.pid).children(recursive=True)
    os.kill(builder.pid, signal.SIGSTOP)  # so that nobody tidies up after another's death
    for child in children:
        child.suspend()
    for child in children:
        child.kill()
    builder.kill()
    builder.wait(30)
    psutil.wait_procs(children, timeout=30)
    assert written(folder)  # DVC's own lock is left behind
    # The worst case: the number of the dead process belongs to another one now.
    stale = rwlock(folder).replace(str(dvc_pid(folder)), str(os.getpid()))
    (folder / ".dvc/tmp/rwlock").write_text(stale)
    (folder / ".matched.abcd").mkdir()

    (project / "dvc.yaml").write_text(fast)
    result = build(project, data, log=quiet)
    assert (result.stages_run, result.stages_cached) == (
        ["match", "split", "check"],
        ["ingest"],
    )
    result.dataset.require_passed()
    assert not (folder / ".matched.abcd").exists()


def test_a_build_waits_for_the_orphan_of_a_killed_builder(data: Params, project: Path, tmp_path: Path) -> None:
    """Only the builder is killed: its DVC works on, so the workspace is still not free."""
    text = (project / "dvc.yaml").read_text()
    (project / "dvc.yaml").write_text(
        text.replace("cmd: python -m facetmill.stages.match", "cmd: sleep 60; python -m facetmill.stages.match")
    )
    builder = start_builder(project, tmp_path)
    folder = workspace_dir(project, data)
    wait_for(lambda: is_asleep(builder))
    children = psutil.Process(builder.pid).children(recursive=True)
    builder.kill()
    builder.wait(30)
    with (folder / ".lock").open("ab") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for child in children:
            child.kill()
        fcntl.flock(lock, fcntl.LOCK_EX)


def start_builder(project: Path, tmp_path: Path) -> subprocess.Popen[bytes]:
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from facetmill.dataset.store.workspace import build, resolve
        from facetmill.params import load_params
        params = load_params(Path({str(Path(__file__).parents[4] / "params.yaml")!r}))
        project = Path({str(project)!r})
        build(project, resolve(project, params, "products:{tmp_path / "shirts.csv"}"), log=print)
        """
    )
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_asleep(builder: subprocess.Popen[bytes]) -> bool:
    """Whether the stage that begins with `sleep` is running."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(child.name() == "sleep" for child in psutil.Process(builder.pid).children(recursive=True))
    return False


def rwlock(folder: Path) -> str:
    path = folder / ".dvc/tmp/rwlock"
    return path.read_text() if path.exists() else ""


def written(folder: Path) -> dict[str, Any]:
    """What DVC's own lock says is being written, by path; nothing while DVC writes the lock itself."""
    with contextlib.suppress(ValueError):
        return dict(json.loads(rwlock(folder)).get("write", {}))
    return {}


def dvc_pid(folder: Path) -> int:
    return int(next(iter(written(folder).values()))["pid"])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
