"""A saved model looks at pictures as it was taught to, wherever it is served."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import YolosConfig, YolosForObjectDetection

from facetmill.encoders.pictures import data_uri
from facetmill.errors import DataError, PlatformError
from facetmill.files import hash_file, read_json, write_json
from facetmill.models.dictionary import Dictionary
from facetmill.params import OcrParams, RegionsParams, VisualTokensParams
from facetmill.params.perception import ReaderSettings
from facetmill.perception import reader as reading
from facetmill.perception.codebooks import VqCodebook
from facetmill.perception.ocr_engines import ReadWord
from facetmill.perception.reader import FILE, Reader
from facetmill.perception.vq_network import VqNetwork
from facetmill.records import AttributeSchema, Box, OcrToken, Product, from_batch, to_batch
from facetmill.serving.package import requirements
from facetmill.training.checkpoint import load_model, save_model
from tests import drawn
from tests.pipeline.candidates import CONFIG

OCR = OcrParams(engine="tesseract", images="all", longest_side=64, min_confidence=0.5, workers=1)
REGIONS = RegionsParams(kind="proposals", at_most=3, min_confidence=0.05, max_overlap=0.7, longest_side=64, workers=1)
TOKENS = VisualTokensParams(
    codebook="train", image_size=16, num_codes=8, grid=4, train_pictures=1, epochs=1, batch_size=1, learning_rate=0.1,
    seed=0, threads=1,
)  # fmt: skip


def shade(level: int) -> str:
    return data_uri(drawn.encoded(Image.new("L", (16, 16), level)))


def noise(seed: int = 0) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    return data_uri(drawn.encoded(Image.fromarray(pixels)))


class Brightness:
    """Reads the mean shade of a picture, surely, and a word that it is not sure of."""

    name, identity = "tesseract", "1"

    def read(self, pixels: NDArray[np.uint8]) -> list[ReadWord]:
        words = [(str(round(float(pixels.mean()))), 0.5), ("unsure", 0.4)]
        return [ReadWord(OcrToken(text, Box(0.1, 0.2, 0.3, 0.4)), sure) for text, sure in words]


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ENGINES", {"tesseract": Brightness})


def texts(settings: ReaderSettings, *images: str) -> list[str]:
    return [word.text for word in Reader(settings).words_on(images)]


@pytest.mark.usefixtures("brightness")
def test_words_are_those_of_all_pictures_or_of_the_first_that_the_engine_is_sure_of() -> None:
    settings = ReaderSettings(ocr=OCR)
    pictures = (shade(20), shade(200))
    assert texts(settings, *pictures) == ["20", "200"]
    assert texts(ReaderSettings(ocr=dataclasses.replace(OCR, images="first")), *pictures) == ["20"]
    assert texts(ReaderSettings(ocr=dataclasses.replace(OCR, min_confidence=0.4)), shade(20)) == ["20", "unsure"]
    assert texts(settings, "/nowhere.png", data_uri(b"broken"), shade(30)) == ["30"]
    assert texts(ReaderSettings(), *pictures) == []


@pytest.mark.usefixtures("brightness")
def test_words_and_boxes_are_as_a_dataset_keeps_them() -> None:
    """To the last digit: a model that compares shares of a picture must not see others than it learned from."""
    reader = Reader(ReaderSettings(ocr=OCR, regions=REGIONS))
    images = (data_uri(drawn.encoded(drawn.pack())),)
    product = Product("p", "s", "", ocr=reader.words_on(images), regions=reader.regions_on(images))
    assert product.ocr
    assert product.regions
    assert from_batch(to_batch([product])) == [product]


def test_an_engine_that_is_missing_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    reader = Reader(ReaderSettings(ocr=OCR))
    assert reader.words_on(()) == reader.words_on(("/nowhere.png",)) == (), "there is nothing to read"
    with pytest.raises(PlatformError, match=r"no `ocr` was given: OCR engine tesseract is not .*apt-get install tess"):
        reader.words_on((shade(0),))


def saved(folder: Path, reader: Reader | None) -> Path:
    model = Dictionary.fit_vocabulary(CONFIG, AttributeSchema(()), [])
    model.reader = reader
    save_model(model, folder)
    return folder


def test_settings_are_saved_with_the_model_and_are_part_of_it(tmp_path: Path) -> None:
    settings = ReaderSettings(ocr=OCR, regions=REGIONS)
    folder = saved(tmp_path / "model", Reader(settings))
    loaded = load_model(folder)
    assert loaded.reader is not None
    assert loaded.reader.settings == settings
    save_model(loaded, tmp_path / "again")
    assert hash_file(tmp_path / "again" / "model.json") == hash_file(folder / "model.json")

    described = read_json(folder / FILE)
    described["ocr"]["min_confidence"] = 0.9
    write_json(folder / FILE, described)
    with pytest.raises(DataError, match=r"reader\.json: SHA-256"):
        load_model(folder)
    (folder / FILE).unlink()
    with pytest.raises(DataError, match=r"reader\.json: missing"):
        load_model(folder)


def test_a_model_without_a_reader_is_saved_as_ever_and_reads_nothing(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", None)
    assert not (folder / FILE).exists()
    assert load_model(folder).reader is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version 2, but this Facetmill reads 1"),
        ({"ocr": {"engine": "magic"}}, "ocr.engine"),
        ({"codes": {}}, "codes"),
        ({"regions": 7}, "regions"),
    ],
)
def test_what_is_no_reader_is_an_error_that_names_the_file(tmp_path: Path, change: Any, message: str) -> None:
    Reader(ReaderSettings(ocr=OCR)).save(tmp_path)
    write_json(tmp_path / FILE, read_json(tmp_path / FILE) | change)
    with pytest.raises(DataError, match=rf"(?s)reader\.json: .*{message}"):
        reading.load_reader(tmp_path)
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(DataError, match=r"reader\.json"):
        reading.load_reader(tmp_path)


def test_a_detector_goes_with_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = YolosConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=[64, 64],
        patch_size=16, num_detection_tokens=5, num_labels=3,
    )  # fmt: skip
    source = tmp_path / "detector"
    network = YolosForObjectDetection(shape)
    with torch.no_grad():
        network.bbox_predictor.layers[-1].weight.mul_(1000)  # what it has not learned: to look
    network.save_pretrained(source)
    write_json(source / "preprocessor_config.json", {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]})
    regions = dataclasses.replace(REGIONS, kind=str(source), min_confidence=0.0, max_overlap=1.0)
    reader = Reader(ReaderSettings(regions=regions))
    found = reader.regions_on((noise(),))
    assert len(found) == 3
    folder = saved(tmp_path / "model", reader)
    shutil.rmtree(source)
    loaded = load_model(folder).reader
    assert loaded is not None
    assert loaded.settings == reader.settings
    assert loaded.regions_on((noise(),)) == found
    assert loaded.regions_on((noise(1),)) != found
    again = load_model(saved(tmp_path / "again", loaded)).reader
    assert again is not None
    assert again.regions_on((noise(),)) == found


def test_a_codebook_goes_with_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    codebook = VqCodebook(VqNetwork(16, 4, 8))
    (tmp_path / "codebook").mkdir()
    codebook.save(tmp_path / "codebook")
    reader = Reader(ReaderSettings(visual_tokens=TOKENS), codebook=tmp_path / "codebook")
    codes = reader.codes_on((noise(),))
    assert codes is not None
    assert (codes.shape, codes.dtype) == ((16,), np.uint16)
    folder = saved(tmp_path / "model", reader)
    shutil.rmtree(tmp_path / "codebook")
    loaded = load_model(folder).reader
    assert loaded is not None
    again = loaded.codes_on((noise(),))
    assert again is not None
    assert again.tolist() == codes.tolist()
    assert loaded.codes_on(()) is loaded.codes_on((data_uri(b"broken"),)) is None
    assert Reader(ReaderSettings()).codes_on((noise(),)) is None


def test_a_package_asks_for_the_engine_that_its_model_reads_with() -> None:
    rapid = Reader(ReaderSettings(ocr=dataclasses.replace(OCR, engine="rapidocr")))
    assert {line.partition("==")[0] for line in set(requirements(rapid)) - set(requirements())} == {
        *("rapidocr", "onnxruntime", "opencv-python-headless")
    }
    assert requirements(Reader(ReaderSettings(ocr=OCR))) == requirements(), "tesseract is no Python package"
