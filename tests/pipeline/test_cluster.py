"""Dataset stages on a real Dask cluster: a scheduler and two worker processes, as on several hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image, ImageDraw

from facetmill.compute.pieces import caller, map_pieces
from facetmill.dataset.distant.annotate import annotate_shards
from facetmill.dataset.distant.classifier import PictureClassifier
from facetmill.dataset.distant.labeller import Labeller, LearnedAttribute
from facetmill.dataset.labels import splitting
from facetmill.dataset.labels.splitting import split_shards
from facetmill.dataset.pictures.ocr import read_shards
from facetmill.dataset.pictures.regions import find_regions
from facetmill.encoders.vision import build_image_encoder
from facetmill.errors import PlatformError
from facetmill.files import hash_files, write_json
from facetmill.gates.data import check_dataset
from facetmill.params import load_params
from facetmill.records import PRODUCT_SCHEMA, Facet, Product, shards, to_batch
from facetmill.stages import ingest, match
from tests import small
from tests.pipeline.cluster_work import Piece, double, kill_own_process, note_process
from tests.pipeline.conftest import ROOT, free_port

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two workers of one thread each; a nanny starts a new worker for one that dies."""
    folder = tmp_path_factory.mktemp("dask")
    address = f"tcp://127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",  # workers that a piece may lose, of usually three
    }
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    worker = [*dask, "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
    worker += ["--local-directory", str(folder / "spill")]
    with (folder / "dask.log").open("wb") as log:
        started = [
            subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            for command in (scheduler, worker)
        ]
        try:
            yield address
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def cluster(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", scheduler)


def write_products(folder: Path) -> None:
    """Three shards of two row groups of 40 products; of every twelve pictures beside them one is missing."""
    folder.mkdir()
    (folder.parent / "pictures").mkdir()
    for number in range(11):
        squares = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(squares).resize((48, 48)).save(folder.parent / f"pictures/{number}.png")
    for shard in range(3):
        with pq.ParquetWriter(folder / f"part-{shard:05d}.parquet", PRODUCT_SCHEMA) as writer:
            for group in range(2):
                writer.write_batch(
                    to_batch(
                        Product(
                            f"{shard}-{group}-{i}",
                            "s",
                            f"Red shirt {i}",
                            images=(f"pictures/{i % 12}.png",),
                            facets=(Facet("Color", "red"), Facet("Size", str(i))),
                        )
                        for i in range(40)
                    )
                )


def outputs_of(stage: ModuleType, workspace: Path, out: str, report: str, *words: str) -> dict[str, bytes]:
    """Run a stage with the words that dvc.yaml gives it; its outputs by name."""
    with chdir(workspace), patch.object(sys, "argv", [stage.__name__, *words, "--out", out, "--report", report]):
        stage.main()
    outputs = {path.name: path.read_bytes() for path in (workspace / out).iterdir()}
    return outputs | {"report": (workspace / report).read_bytes()}


def test_a_stage_writes_the_same_bytes_here_and_on_a_cluster(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copy(ROOT / "params.yaml", workspace)
    write_products(workspace / "ingested")
    there = outputs_of(match, workspace, "matched", "match.json", "--source", "ingested")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
    assert there == outputs_of(match, workspace, "matched", "match.json", "--source", "ingested")
    assert len(shards(workspace / "matched")) == 6
    left = sorted(path.name for path in workspace.iterdir())
    assert left == ["ingested", "match.json", "matched", "params.yaml", "pictures"]


def test_ingest_in_pieces_writes_the_same_bytes_here_and_on_a_cluster(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "shop"
    data.mkdir()
    text = "x" * 900_000  # two files of ten products make a piece
    for number in range(5):
        rows = [
            {"id": f"p{number % 4}-{n}", "title": f"Red hat {number}", "text": text, "Color": "red"} for n in range(10)
        ]
        (data / f"{number}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["dataset"] |= {"format": "products", "path": str(data), "max_bad_share": 0.2}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    there = outputs_of(ingest, tmp_path, "there", "there.json")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
    assert there == outputs_of(ingest, tmp_path, "here", "here.json")
    assert sorted(there) == ["part-00000.parquet", "part-00001.parquet", "report"]  # all of the third was there before
    assert json.loads(there["report"])["dropped"] == {"duplicate_id": 10}


def places(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A name and a number of workers for each way to work; while it is the turn of "cluster", work goes there."""
    for name, workers, address in (("one", 1, ""), ("two", 2, ""), ("cluster", 1, scheduler)):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        yield name, workers


def test_distant_writes_the_same_bytes_here_and_on_a_cluster(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a labeller that has learned nothing about its pictures."""
    write_products(tmp_path / "matched")
    torch.manual_seed(0)
    network = PictureClassifier(build_image_encoder(replace(small.IMAGE, network="packaged")), [2])
    (tmp_path / "labeller").mkdir()
    Labeller([network], [LearnedAttribute("Bar", ("Lying", "Standing"), None, 0, 0, 1.0)]).save(tmp_path / "labeller")
    reports, files = [], []
    for name, workers in places(scheduler, monkeypatch):
        counts = annotate_shards(tmp_path / "matched", tmp_path / name, tmp_path / "labeller", 0.5, workers)
        reports.append(counts.to_json())
        files.append(hash_files(tmp_path / name))
    assert reports[0] == reports[1] == reports[2]
    assert files[0] == files[1] == files[2]
    assert len(files[0]) == 3
    assert 0 < reports[0]["num_no_picture"] < reports[0]["num_added"]


def test_words_and_regions_of_pictures_are_the_same_here_and_on_a_cluster(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way with a cache of its own, so that all of them read every picture."""
    monkeypatch.chdir(tmp_path)
    params = load_params(ROOT / "params.yaml")
    write_products(tmp_path / "ingested")
    for number in range(11):
        picture = Image.new("RGB", (320, 120), "white")
        ImageDraw.Draw(picture).text((20, 30), f"MINT {number}", "black", font_size=48)
        picture.save(tmp_path / f"pictures/{number}.png")
    reports, files = [], []
    for name, workers in places(scheduler, monkeypatch):
        reading = replace(params.ocr, engine="rapidocr", workers=workers)
        words = read_shards(tmp_path / "ingested", Path(f"words-{name}"), reading, Path(f"cache-{name}"))
        finding = replace(params.regions, kind="proposals", workers=workers)
        regions = find_regions(tmp_path / "ingested", Path(f"regions-{name}"), finding, Path(f"cache-{name}"))
        reports.append((words.to_json(), regions.to_json()))
        files.append((hash_files(tmp_path / f"words-{name}"), hash_files(tmp_path / f"regions-{name}")))
    assert reports[0] == reports[1] == reports[2]
    assert files[0] == files[1] == files[2]
    words_read, regions_found = reports[0]
    assert words_read["num_pictures_with_tokens"] == regions_found["num_pictures_with_regions"] > 200
    assert words_read["unreadable"]["missing"] == regions_found["unreadable"]["missing"] > 0


def test_split_and_the_data_gate_say_the_same_here_and_on_a_cluster(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "_PIECE_ROWS", 100)  # a shard is a piece
    params = load_params(ROOT / "params.yaml")
    write_products(tmp_path / "supervised")
    write_json(tmp_path / "ingest.json", {"num_products": 240, "dropped": {}, "num_images": 240, "images_dropped": {}})
    reports, verdicts, files = [], [], []
    for name, workers in places(scheduler, monkeypatch):
        # not together: its few pictures would join all products in one split
        apart = replace(params.split, workers=workers, pictures_together=False)
        reports.append(split_shards(tmp_path / "supervised", tmp_path / name, apart))
        files.append(hash_files(tmp_path / name))
        limits, looks_path = replace(params.check, workers=workers), tmp_path / "looks" / name
        verdicts.append(check_dataset(tmp_path / name, tmp_path, limits, 0.02, looks_path, ["ingest"]).to_json())
        with sqlite3.connect(looks_path) as database:
            [(table,)] = database.execute("SELECT name FROM sqlite_master")
            assert database.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (11,)
    assert reports[0] == reports[1] == reports[2]
    assert files[0] == files[1] == files[2]
    assert len(files[0]) == 3 * 3 + 3
    assert verdicts[0] == verdicts[1] == verdicts[2]
    examples = {verdict["gate"]: verdict["examples"] for verdict in verdicts[0]["verdicts"]}
    assert len(examples["held_out_pictures_are_new"]) == 5
    assert verdicts[0]["counts"]["products"] == 240
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"supervised", "pictures", "ingest.json", "looks", "one", "two", "cluster"}


def test_a_killed_workers_pieces_are_done_by_others(cluster: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    pieces = [Piece(number, out / f"{number}.txt") for number in range(12)]

    def kill_the_first() -> None:
        while not (seen := list(out.glob("process-*"))):
            time.sleep(0.02)
        os.kill(int(seen[0].name.removeprefix("process-")), signal.SIGKILL)

    killer = Thread(target=kill_the_first)
    killer.start()
    assert map_pieces(note_process, pieces, workers=1) == list(range(12))
    killer.join()
    assert [piece.target.read_text() for piece in pieces] == [str(number) for number in range(12)]
    assert len(list(out.glob("process-*"))) >= 2
    assert not list(out.glob(".*"))


def test_a_piece_that_kills_every_worker_is_an_error_not_a_wait(cluster: None, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"tcp://127\.0\.0\.1:\d+: "):
        map_pieces(kill_own_process, [Piece(0, tmp_path / "0.txt")], workers=1)


def test_calls_without_files_keep_their_order_on_a_cluster(cluster: None) -> None:
    with caller(workers=1) as call:
        assert list(call(double, range(50))) == list(range(0, 100, 2))
        assert list(call(double, range(50))) == list(range(0, 100, 2)), "and a second time"
