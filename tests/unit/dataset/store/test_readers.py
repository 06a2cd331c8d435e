"""A model is judged by what it would see in service, whatever the dataset was read with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from facetmill.dataset.pictures.ocr import read_shards
from facetmill.dataset.pictures.regions import find_regions
from facetmill.dataset.store.readers import as_read_by, as_sent, reader_of
from facetmill.dataset.store.version import Dataset
from facetmill.errors import ParamsError
from facetmill.files import hash_file
from facetmill.params import OcrParams, RegionsParams, load_params, to_mapping
from facetmill.params.perception import ReaderSettings
from facetmill.perception import ocr_engines
from facetmill.perception.ocr_engines import ReadWord
from facetmill.perception.reader import Reader
from facetmill.records import AttributeSchema, Box, OcrToken, Product, to_batch
from tests import drawn

OCR = OcrParams(engine="tesseract", images="all", longest_side=64, min_confidence=0.5, workers=1)
REGIONS = RegionsParams(kind="grid", at_most=4, min_confidence=0.0, max_overlap=0.9, longest_side=64, workers=1)
EVERYTHING = ("title", "ocr", "regions", "codes")


class Shade:
    """An engine that reads its name and the mean shade of a picture, and counts what it is asked."""

    identity = "1"
    asked: int

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, 0

    def read(self, pixels: NDArray[np.uint8]) -> list[ReadWord]:
        self.asked += 1
        return [ReadWord(OcrToken(f"{self.name}-{round(float(pixels.mean()))}", Box(0, 0, 1, 1 / 3)), 0.75)]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Shade]:
    found = {name: Shade(name) for name in ("tesseract", "rapidocr")}
    monkeypatch.setattr(ocr_engines, "ENGINES", {name: lambda e=engine: e for name, engine in found.items()})
    monkeypatch.setattr("facetmill.dataset.pictures.ocr.ENGINES", ocr_engines.ENGINES)
    return found


def make(folder: Path, root: Path, ocr: OcrParams | None, regions: RegionsParams | None) -> Dataset:
    """Three products: with a picture, with words and boxes of its source, without a picture."""
    picture = folder / "ingested" / "grey.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(drawn.encoded(Image.new("L", (16, 16), 100)))
    images = ("ingested/grey.png",)
    given = Product("given", "s", "", images=images, ocr=(OcrToken("given"),), regions=(Box(0, 0, 0.5, 0.5),))
    products = [Product("read", "s", "", images=images), given, Product("bare", "s", "")]
    pq.write_table(pa.Table.from_batches([to_batch(products)]), folder / "ingested" / "part-00000.parquet")
    params = load_params(root / "params.yaml")
    params = dataclasses.replace(params, ocr=ocr or params.ocr, regions=regions or params.regions)
    (folder / "params.yaml").write_text(yaml.safe_dump(to_mapping(params)))
    read_shards(folder / "ingested", folder / "read", params.ocr, folder / "cache" / "ocr")
    find_regions(folder / "read", folder / "located", params.regions, folder / "cache" / "regions")
    (folder / "dataset").mkdir()
    (folder / "dataset" / "test").symlink_to(folder / "located")
    listed = [{"name": "part-00000.parquet", "sha256": hash_file(folder / "located" / "part-00000.parquet")}]
    return Dataset(folder, "d", "v", AttributeSchema(()), {"splits": {"test": {"shards": listed}}}, None)


def words(products: Sequence[Product]) -> list[list[str]]:
    return [[word.text for word in product.ocr] for product in products]


def boxes(products: Sequence[Product]) -> list[int]:
    return [len(product.regions) for product in products]


def seen(dataset: Dataset, reader: Reader | None) -> list[Product]:
    return list(as_read_by(reader, dataset, dataset.read("test"), dataset.dir / "cache", workers=1))


def test_a_model_has_the_settings_of_what_it_reads_and_no_others(
    engines: dict[str, Shade], tmp_path: Path, root: Path
) -> None:
    dataset = make(tmp_path / "d", root, dataclasses.replace(OCR, workers=2), REGIONS)
    reader = reader_of(dataset, EVERYTHING)
    assert reader is not None
    assert reader.settings == ReaderSettings(ocr=OCR, regions=REGIONS)
    reader = reader_of(dataset, ("title", "ocr"))
    assert reader is not None
    assert reader.settings == ReaderSettings(ocr=OCR)
    assert reader_of(dataset, ("title", "images")) is None
    assert reader_of(make(tmp_path / "off", root, None, None), EVERYTHING) is None


def test_what_it_was_trained_on_is_what_it_sees(engines: dict[str, Shade], tmp_path: Path, root: Path) -> None:
    dataset = make(tmp_path / "d", root, OCR, REGIONS)
    (dataset.dir / "ingested" / "part-00000.parquet").unlink()
    products = list(dataset.read("test"))
    assert seen(dataset, reader_of(dataset, EVERYTHING)) == products
    assert words(products) == [["tesseract-100"], ["given"], []]
    assert boxes(products) == [4, 1, 0]


def test_another_reading_is_its_own_and_what_the_source_gave_stays(
    engines: dict[str, Shade], tmp_path: Path, root: Path
) -> None:
    dataset = make(tmp_path / "d", root, OCR, REGIONS)
    other = Reader(ReaderSettings(ocr=dataclasses.replace(OCR, engine="rapidocr"), regions=REGIONS))
    before = list(dataset.read("test"))
    for _ in range(2):
        products = seen(dataset, other)
        assert words(products) == [["rapidocr-100"], ["given"], []]
        assert [p.regions for p in products] == [p.regions for p in before]
        assert [p.images for p in products] == [p.images for p in before]
    assert engines["rapidocr"].asked == 1, "read again from the cache"

    finer = Reader(ReaderSettings(ocr=OCR, regions=dataclasses.replace(REGIONS, at_most=9)))
    assert (words(seen(dataset, finer)), boxes(seen(dataset, finer))) == (words(before), [9, 1, 0])
    stricter = Reader(ReaderSettings(ocr=dataclasses.replace(OCR, min_confidence=0.8), regions=REGIONS))
    assert words(seen(dataset, stricter)) == [[], ["given"], []]


def test_what_it_never_learned_to_read_it_does_not_see(engines: dict[str, Shade], tmp_path: Path, root: Path) -> None:
    dataset = make(tmp_path / "d", root, OCR, REGIONS)
    for products in (seen(dataset, None), as_sent(dataset, dataset.read("test"))):
        assert (words(products), boxes(products)) == ([[], ["given"], []], [0, 1, 0])
    only_words = seen(dataset, Reader(ReaderSettings(ocr=OCR)))
    assert (words(only_words), boxes(only_words)) == ([["tesseract-100"], ["given"], []], [0, 1, 0])


def test_what_nobody_read_is_read(engines: dict[str, Shade], tmp_path: Path, root: Path) -> None:
    dataset = make(tmp_path / "d", root, None, None)
    products = seen(dataset, Reader(ReaderSettings(ocr=OCR, regions=REGIONS)))
    assert (words(products), boxes(products)) == ([["tesseract-100"], ["given"], []], [4, 1, 0])
    served = Reader(ReaderSettings(ocr=OCR, regions=REGIONS))
    assert products[0].regions == served.regions_on(products[0].images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("ocr"), "no section 'ocr'"),
        (lambda raw: raw["regions"].update(at_most=0), "regions.at_most"),
        (lambda raw: raw["ocr"].update(engine="magic"), "ocr.engine"),
    ],
)
def test_a_dataset_that_does_not_say_how_it_was_read_is_an_error(
    tmp_path: Path, root: Path, change: Any, message: str
) -> None:
    raw = yaml.safe_load((root / "params.yaml").read_text())
    change(raw)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    dataset = Dataset(tmp_path, "d", "v", AttributeSchema(()), {}, None)
    with pytest.raises(ParamsError, match=rf"(?s){tmp_path}/params.yaml: .*{message}"):
        reader_of(dataset, EVERYTHING)
    assert reader_of(dataset, ("title",)) is None
