"""What every OCR engine promises: the words of a picture, in order and each in its place, and nothing on a blank."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facetmill.dataset.pictures.ocr_cache import CachedReader
from facetmill.encoders.pictures import Fault
from facetmill.perception.ocr_engines import ENGINES, LIBRARIES, Engine, ReadWord
from tests import drawn
from tests.conftest import missing


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "tesseract" and shutil.which("tesseract") is None:
        missing("tesseract", "apt-get install tesseract-ocr")
    return ENGINES[request.param]()


@pytest.fixture
def reader(engine: Engine, tmp_path: Path) -> CachedReader:
    return CachedReader(engine, 640, tmp_path)


def texts(words: list[ReadWord] | Fault) -> list[str]:
    assert not isinstance(words, Fault)
    return [word.token.text for word in words]


def test_words_are_read_in_order_and_in_their_places(engine: Engine) -> None:
    words = engine.read(np.asarray(drawn.pack()))
    assert texts(words) == list(drawn.PACK)
    for word in words:
        assert 0.5 < word.confidence <= 1
        box, (left, top, right, bottom) = word.token.box, drawn.edges(word.token.text)
        assert box is not None
        assert box.left == pytest.approx(left, abs=0.04)
        assert box.right == pytest.approx(right, abs=0.04)
        assert box.top < (top + bottom) / 2 < box.bottom
        assert box.bottom - box.top < 2.5 * (bottom - top)


def test_the_same_picture_gives_the_same_words(engine: Engine) -> None:
    pixels = np.asarray(drawn.pack())
    assert engine.read(pixels) == engine.read(pixels) == ENGINES[engine.name]().read(pixels)
    assert engine.identity == ENGINES[engine.name]().identity
    assert len(engine.identity) > 20


def test_a_package_knows_what_decides_its_reading(engine: Engine) -> None:
    assert all(f"{name} {version(name)}" in engine.identity for name in LIBRARIES[engine.name])


def test_a_picture_is_read_as_a_viewer_shows_it(reader: CachedReader) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored after a quarter turn to the left
    turned = drawn.pack().transpose(Image.Transpose.ROTATE_90)
    data = drawn.encoded(turned, "JPEG", exif=exif.tobytes(), quality=95)
    assert texts(reader.read(data)) == list(drawn.PACK)
    assert texts(reader.read(drawn.encoded(drawn.pack(mode="RGBA")))) == list(drawn.PACK), "black on transparent"


@pytest.mark.parametrize("size", [(300, 200), (1, 1), (2000, 1), (1, 2000), (640, 9)])
def test_where_nothing_stands_nothing_is_read(reader: CachedReader, size: tuple[int, int]) -> None:
    assert reader.read(drawn.encoded(Image.new("RGB", size, "white"))) == []
