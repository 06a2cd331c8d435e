"""The stage that reads pictures: what it writes, what it counts, and that each picture is read once, ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from facetmill.dataset.pictures.ocr import read_shards
from facetmill.dataset.pictures.ocr_cache import CachedReader
from facetmill.dataset.pictures.picture_cache import digest_of
from facetmill.encoders.pictures import Fault
from facetmill.errors import PlatformError
from facetmill.params import OcrParams
from facetmill.perception import ocr_engines
from facetmill.perception.ocr_engines import ENGINES, ReadWord
from facetmill.records import PRODUCT_SCHEMA, Box, OcrToken, Product, read_products, to_batch
from tests import drawn
from tests.conftest import missing
from tests.unit.encoders.test_pictures import bomb

OFF = OcrParams(engine=None, images="all", longest_side=640, min_confidence=0.5, workers=1)
WORDS = list(drawn.PACK)
STAGE = ["facetmill.stages.ocr", "--source", "ingested", "--out", "read", "--report", "reports/ocr.json"]


class Brightness:
    """An engine that reads one word, the mean shade of the picture, and writes down what it was asked."""

    name = "tesseract"

    def __init__(self, identity: str = "1", asked: list[str] | None = None) -> None:
        self.identity = identity
        self.asked = [] if asked is None else asked

    def read(self, pixels: NDArray[np.uint8]) -> list[ReadWord]:
        self.asked.append(str(round(float(pixels.mean()))))
        return [ReadWord(OcrToken(self.asked[-1], Box(0.0, 0.25, 0.5, 1.0)), 0.75)]


def shade(level: int) -> bytes:
    return drawn.encoded(Image.new("L", (16, 16), level))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the engine of this process was asked to read; it is `Brightness`."""
    found: list[str] = []
    monkeypatch.setitem(ENGINES, "tesseract", lambda: Brightness(asked=found))
    return found


@pytest.fixture
def tesseract() -> OcrParams:
    if shutil.which("tesseract") is None:
        missing("tesseract", "apt-get install tesseract-ocr")
    return replace(OFF, engine="tesseract")


def write(folder: Path, *products: Product, rows: int = 2) -> Path:
    """Shards of four products in row groups of two, below `folder/ingested`."""
    source = folder / "ingested"
    source.mkdir(exist_ok=True)
    for start in range(0, len(products), 4):
        pq.write_table(
            pq.ParquetFile(_whole(folder, products[start : start + 4])).read(),
            source / f"part-{start // 4:05d}.parquet",
            row_group_size=rows,
        )
    return source


def _whole(folder: Path, products: tuple[Product, ...]) -> Path:
    path = folder / "whole.parquet"
    with pq.ParquetWriter(path, PRODUCT_SCHEMA) as writer:
        writer.write_batch(to_batch(products))
    return path


def picture(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def words_of(folder: Path) -> dict[str, list[str]]:
    return {product.product_id: [token.text for token in product.ocr] for product in read_products(folder)}


def test_words_of_all_pictures_or_of_the_first(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "ingested" / "images").mkdir(parents=True)
    picture(tmp_path / "ingested" / "images", "dark.png", shade(20))
    light = picture(tmp_path, "light.png", shade(200))
    given = OcrToken("Given")
    both = Product("1", "t", "Tea", images=("ingested/images/dark.png", light))
    source = write(
        tmp_path,
        both,
        Product("2", "t", "Tea", images=(light, str(tmp_path / "none.png"))),
        Product("3", "t", "Tea", images=(light,), ocr=(given,)),
        Product("4", "t", "Tea"),
        Product("5", "t", "Tea", images=(picture(tmp_path, "broken.png", b"no picture"),)),
        Product("6", "t", "Tea", images=(picture(tmp_path, "bomb.png", bomb()),)),
    )
    params = replace(OFF, engine="tesseract")
    counts = read_shards(source, tmp_path / "read", params, tmp_path / "cache")
    assert words_of(tmp_path / "read") == {"1": ["20", "200"], "2": ["200"], "3": ["Given"], "4": [], "5": [], "6": []}
    assert counts.to_json() == {
        "engine": "tesseract",
        "num_products": 6,
        "num_given": 1,
        "num_pictures": 6,
        "num_pictures_with_tokens": 3,
        "num_tokens": 3,
        "tokens_per_picture_mean": 1.0,
        "tokens_per_picture_median": 1.0,
        "unreadable": {"missing": 1, "broken": 2},
    }
    assert asked == ["20", "200"], "each distinct picture once"
    first = next(read_products(tmp_path / "read"))
    assert first == replace(both, ocr=(OcrToken("20", Box(0, 0.25, 0.5, 1)), OcrToken("200", Box(0, 0.25, 0.5, 1))))
    shards = sorted((tmp_path / "read").iterdir())
    assert [path.name for path in shards] == ["part-00000.parquet", "part-00001.parquet"]
    assert [pq.ParquetFile(path).num_row_groups for path in shards] == [2, 1]

    read_shards(source, tmp_path / "read", replace(params, images="first"), tmp_path / "cache")
    assert words_of(tmp_path / "read")["1"] == ["20"]
    sure = read_shards(source, tmp_path / "read", replace(params, min_confidence=0.8), tmp_path / "cache")
    assert words_of(tmp_path / "read")["1"] == []
    assert (sure.to_json()["num_tokens"], sure.to_json()["num_pictures_with_tokens"]) == (0, 0)
    assert asked == ["20", "200"], "the cache holds what was read, whatever is kept of it"


def test_with_no_engine_the_shards_are_the_same_and_nothing_heavy_is_imported(root: Path, tmp_path: Path) -> None:
    source = write(tmp_path, Product("1", "t", "Tea", images=("none.png",)))
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    heavy = ("rapidocr", "onnxruntime", "cv2", "torch")
    program = (
        "import sys; from facetmill.stages.ocr import main\n"
        "sys.argv = ['ocr', '--source', 'ingested', '--out', 'read', '--report', 'reports/ocr.json']\n"
        f"main(); print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    shard = tmp_path / "read" / "part-00000.parquet"
    assert shard.read_bytes() == (source / "part-00000.parquet").read_bytes()
    assert shard.samefile(source / "part-00000.parquet")
    assert json.loads((tmp_path / "reports" / "ocr.json").read_text())["num_products"] == 1
    assert not (tmp_path / ".facetmill").exists()


def stage(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The stage as DVC runs it."""
    return subprocess.run(
        [sys.executable, "-m", *STAGE], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | environment,
    )  # fmt: skip


def write_params(root: Path, folder: Path, engine: str, workers: int) -> None:
    text = (root / "params.yaml").read_text()
    before, section = text.split("\nocr:")
    section = section.replace("engine: null", f"engine: {engine}", 1).replace("workers: 2", f"workers: {workers}", 1)
    (folder / "params.yaml").write_text(f"{before}\nocr:{section}")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_stage_gives_the_same_bytes_whatever_the_number_of_processes(
    root: Path, tmp_path: Path, engine: str, tesseract: OcrParams
) -> None:
    found = picture(tmp_path, "pack.png", drawn.encoded(drawn.pack()))
    other = picture(tmp_path, "other.png", drawn.encoded(drawn.pack({"Roasted": (60, 90)})))
    write(tmp_path, *(Product(str(n), "t", "Tea", images=((found, other)[n % 2],)) for n in range(6)))
    written = []
    for workers in (1, 2):
        write_params(root, tmp_path, engine, workers)
        done = stage(tmp_path, FACETMILL_CACHE=str(tmp_path / f"cache{workers}"))
        assert (done.returncode, done.stderr) == (0, "")
        assert words_of(tmp_path / "read") == {str(n): (WORDS, ["Roasted"])[n % 2] for n in range(6)}
        assert len(list((tmp_path / f"cache{workers}" / "ocr").rglob("*.json"))) == 2
        files = [*sorted((tmp_path / "read").iterdir()), tmp_path / "reports" / "ocr.json"]
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1]
    assert json.loads(written[0][-1])["num_tokens"] == 3 * (len(WORDS) + 1)


def test_what_is_not_installed_is_told_with_what_installs_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, Product("1", "t", "Tea"))
    write_params(root, tmp_path, "tesseract", 2)
    done = stage(tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "OCR engine tesseract is not installed: apt-get install tesseract-ocr\n"
    assert not (tmp_path / "read").exists()
    monkeypatch.setattr(ocr_engines, "find_spec", lambda name: None)
    with pytest.raises(PlatformError, match=r"pip install 'facetmill\[ocr\]'"):
        ENGINES["rapidocr"]()


def test_an_engine_that_fails_stops_the_stage_and_leaves_what_was(tmp_path: Path, tesseract: OcrParams) -> None:
    source = write(tmp_path, Product("1", "t", "Tea", images=(picture(tmp_path, "a.png", shade(9)),)))
    program = tmp_path / "tesseract"
    program.write_text('#!/bin/sh\nif [ "$1" = stdin ]; then echo no memory >&2; exit 3; fi\nexec "$REAL" "$@"\n')
    program.chmod(0o755)
    real = shutil.which("tesseract")
    assert real
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REAL", real)
        patch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        with pytest.raises(PlatformError, match=r"tesseract stdin .* failed \(3\): no memory"):
            read_shards(source, tmp_path / "read", tesseract, tmp_path / "cache")
    assert not (tmp_path / "read").exists()


# --- the cache --------------------------------------------------------------------------------------------------------


def test_another_engine_or_size_reads_again_and_the_same_one_never(tmp_path: Path) -> None:
    engine, newer = Brightness(), Brightness("2")
    for _ in range(2):
        words = CachedReader(engine, 640, tmp_path).read(shade(20))
        assert words == [ReadWord(OcrToken("20", Box(0, 0.25, 0.5, 1)), 0.75)]
        CachedReader(newer, 640, tmp_path).read(shade(20))
        CachedReader(newer, 320, tmp_path).read(shade(20))
    assert (engine.asked, newer.asked) == (["20"], ["20", "20"])
    assert len(list(tmp_path.iterdir())) == 3


def test_a_broken_picture_is_no_reading(tmp_path: Path) -> None:
    reader = CachedReader(Brightness(), 640, tmp_path)
    assert reader.read(b"no picture") is Fault.BROKEN
    assert reader.read(bomb()) is Fault.BROKEN
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b'[["20", [0, 1', b'[["20", [0, 1]]]', b"3", b"\xff"])
def test_a_damaged_reading_is_made_again(tmp_path: Path, damage: bytes) -> None:
    reader = CachedReader(Brightness(), 640, tmp_path)
    words = reader.read(shade(20))
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(damage)
    assert reader.known(digest_of(shade(20))) is None
    assert reader.read(shade(20)) == words == reader.known(digest_of(shade(20)))


READER = """
import sys
from pathlib import Path
from facetmill.dataset.pictures.ocr_cache import CachedReader
from tests.unit.dataset.pictures.test_ocr import Brightness, shade
engine = Brightness()
for level in range(256):
    CachedReader(engine, 640, Path(sys.argv[1])).read(shade(level))
    print(len(engine.asked), flush=True)
"""


def test_a_kill_at_any_moment_loses_only_what_was_being_read(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", READER, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        for _ in range(5):
            killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
    known = len(list(tmp_path.rglob("[!.]*.json")))
    assert 5 <= known < 256
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) == 256 - known
    reader = CachedReader(Brightness(), 640, tmp_path)
    for level in range(256):
        words = reader.known(digest_of(shade(level)))
        assert words is not None
        assert words[0].token.text == str(level)


def test_a_killed_stage_leaves_no_process(root: Path, tmp_path: Path, tesseract: OcrParams) -> None:
    names = [picture(tmp_path, f"{n}.png", drawn.encoded(drawn.pack({str(n): (9, 9)}))) for n in range(200)]
    write(tmp_path, *(Product(name, "t", "Tea", images=(name,)) for name in names), rows=4)
    write_params(root, tmp_path, "tesseract", 2)
    with subprocess.Popen([sys.executable, "-m", *STAGE], cwd=tmp_path, stderr=subprocess.DEVNULL) as main:
        wait_for(lambda: bool(list((tmp_path / ".facetmill").rglob("*.json"))))
        children = psutil.Process(main.pid).children(recursive=True)
        main.kill()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- lines and words --------------------------------------------------------------------------------------------------


def boxes(words: list[ReadWord]) -> list[tuple[str, list[float]]]:
    found = []
    for word in words:
        assert word.token.box is not None
        box = word.token.box
        found.append((word.token.text, [box.left, box.top, box.right, box.bottom]))
    return found


def test_a_lines_box_is_shared_out_by_characters() -> None:
    corners = np.array([[10.0, 20], [110, 20], [110, 40], [10, 40]])
    assert boxes(ocr_engines._split_line(" Green tea", corners, 0.9, (200, 100))) == [
        ("Green", [0.1, 0.2, 0.35, 0.4]),
        ("tea", [0.4, 0.2, 0.55, 0.4]),
    ]
    slanted = np.array([[0.0, 50], [100, 0], [100, 20], [0, 70]])
    assert boxes(ocr_engines._split_line("a b", slanted, 0.9, (100, 100))) == [
        ("a", [0.0, 0.33333, 0.33333, 0.7]),
        ("b", [0.66667, 0.0, 1.0, 0.36667]),
    ]


def test_a_line_higher_than_wide_runs_downwards() -> None:
    corners = np.array([[50.0, 0], [70, 0], [70, 100], [50, 100]])
    assert boxes(ocr_engines._split_line("tea bag", corners, 0.9, (100, 100))) == [
        ("tea", [0.5, 0.0, 0.7, 0.42857]),
        ("bag", [0.5, 0.57143, 0.7, 1.0]),
    ]


def test_lines_stand_row_by_row() -> None:
    def line(text: str, left: float, top: float) -> list[ReadWord]:
        return [ReadWord(OcrToken(text, Box(left, top, left + 0.2, top + 0.1)), 0.9)]

    lines = [line("d", 0.0, 0.5), line("b", 0.5, 0.1), line("a", 0.1, 0.13), [], line("c", 0.0, 0.3)]
    assert [word.token.text for word in ocr_engines._in_reading_order(lines)] == ["a", "b", "c", "d"]
