"""What may stand in a request: all that is known of a product comes through, and what is wrong is told by its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facetmill.encoders.pictures import Fault, data_uri, picture_bytes
from facetmill.errors import DataError
from facetmill.params import OcrParams, RegionsParams
from facetmill.params.perception import ReaderSettings
from facetmill.perception.boxes import as_recorded
from facetmill.perception.reader import Reader
from facetmill.records import Box, OcrToken, Product, from_batch, to_batch
from facetmill.serving.request import MAX_ENTRIES, to_product, to_products, to_row

BOX = {"left": 0.1, "top": 0.2, "right": 0.7, "bottom": 1}
ROW: dict[str, Any] = {"product_id": "p1", "title": "Oat drink", "text": ""}
PRODUCT = Product(
    "p1",
    "served",
    "Oat\u2028drink \x85",
    "text",
    "Drinks",
    images=("/a.png", "/b.png"),
    ocr=(OcrToken("OAT", as_recorded(Box(0.1, 0.2, 0.3, 0.4))), OcrToken("1 l")),
    regions=(as_recorded(Box(0, 0, 1, 1 / 3)),),
)


class Looking(Reader):
    """Finds one word and one box on whatever it is shown."""

    def __init__(self) -> None:
        ocr = OcrParams(engine="tesseract", images="all", longest_side=64, min_confidence=0.0, workers=1)
        regions = RegionsParams(kind="grid", at_most=1, min_confidence=0.0, max_overlap=1.0, longest_side=64, workers=1)
        super().__init__(ReaderSettings(ocr=ocr, regions=regions))

    def words_on(self, images: Any) -> tuple[OcrToken, ...]:
        return tuple(OcrToken(f"read {image}") for image in images)

    def regions_on(self, images: Any) -> tuple[Box, ...]:
        return (Box(0, 0, 1, 1),)


def test_a_product_comes_through_json_as_it_is() -> None:
    assert to_product(json.loads(json.dumps(to_row(PRODUCT)))) == PRODUCT


def test_a_box_is_what_a_dataset_keeps_of_it() -> None:
    """A dataset keeps single precision; a request with the same shares must be the same product to a model."""
    asked = to_product({**ROW, "ocr": [{"text": "a", "box": BOX}], "regions": [{"box": BOX}]})
    [kept] = from_batch(to_batch([Product("p1", "s", "", regions=(Box(0.1, 0.2, 0.7, 1.0),))]))
    assert asked.regions == kept.regions
    assert asked.ocr == (OcrToken("a", kept.regions[0]),)


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_what_is_not_said_is_looked_for_and_what_is_said_is_believed(nothing: float | None) -> None:
    silent = {**ROW, "images": ["/a", "/b"], "ocr": nothing, "regions": nothing}
    assert to_product(silent).ocr == to_product(silent).regions == ()
    seen = to_product(silent, Looking())
    assert seen.ocr == (OcrToken("read /a"), OcrToken("read /b"))
    assert seen.regions == (Box(0, 0, 1, 1),)
    told = to_product({**silent, "ocr": [{"text": "given"}], "regions": []}, Looking())
    assert (told.ocr, told.regions) == ((OcrToken("given"),), ())
    bare = Product("p1", "served", "Oat drink")
    assert to_row(bare)["ocr"] is to_row(bare)["regions"] is None
    assert to_row(bare, looked=True)["ocr"] == to_row(bare, looked=True)["regions"] == []


def test_pictures_are_paths_data_uris_or_bytes_and_one_column_is_enough() -> None:
    uri = data_uri(b"png")
    assert to_product({**ROW, "images": ["/a.png", uri, b"png"]}).images == ("/a.png", uri, uri)
    assert to_product({**ROW, "image": "/a.png"}).images == ("/a.png",)
    assert to_product({**ROW, "image": b"png"}).images == (uri,)
    assert to_product({**ROW, "image": "/a.png", "images": ["/b.png"]}).images == ("/b.png",)
    assert to_product({**ROW, "image": "/a.png", "images": []}).images == ()
    assert to_product(ROW).images == to_product({**ROW, "image": float("nan")}).images == ()


def test_a_name_that_no_file_has_is_no_picture() -> None:
    [image] = to_product({**ROW, "images": ["/a\x00.png"]}).images
    assert picture_bytes(image) is Fault.MISSING


def test_rows_of_one_table_may_say_more_and_less() -> None:
    table = pd.DataFrame([{**ROW, "ocr": [{"text": "a", "box": None}]}, {**ROW, "images": ["/a.png"]}])
    first, second = to_products(table.to_dict("records"))
    assert (first.ocr, first.images, second.ocr, second.images) == ((OcrToken("a"),), (), (), ("/a.png",))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ocr", "OAT", "field ocr: 'OAT': not a list"),
        ("ocr", {"text": "a"}, "field ocr: .*: not a list"),
        ("ocr", [{"text": "a"}, "b"], r"field ocr\[1\]: 'b': not an object with text and, if known, box"),
        ("ocr", [{"box": BOX}], r"field ocr\[0\]: .*: not an object with text"),
        ("ocr", [{"text": 7}], r"field ocr\[0\].text: 7: not a word"),
        ("ocr", [{"text": ""}], r"field ocr\[0\].text: '': not a word"),
        ("ocr", [{"text": "a", "confidence": 1}], r"field ocr\[0\]: .*: not an object with"),
        (
            "ocr",
            [{"text": "a", "box": [0, 0, 1, 1]}],
            r"field ocr\[0\].box: \[0, 0, 1, 1\]: not an object of left",
        ),
        ("ocr", [{"text": "a", "box": {**BOX, "top": 1.5}}], r"field ocr\[0\].box.top: 1.5: not a share .* \(0..1\)"),
        ("regions", [{"box": {**BOX, "left": -0.1}}], r"field regions\[0\].box.left: -0.1: not a share"),
        ("regions", [{"box": {**BOX, "left": float("nan")}}], r"field regions\[0\].box.left: nan: not a share"),
        ("regions", [{"box": {**BOX, "left": True}}], r"field regions\[0\].box.left: True: not a share"),
        ("regions", [{"box": {**BOX, "left": "0"}}], r"field regions\[0\].box.left: '0': not a share"),
        ("regions", [{"box": {**BOX, "left": 0.9}}], r"field regions\[0\].box: .*: left is beyond right"),
        ("regions", [{"box": {"left": 0, "top": 0}}], r"field regions\[0\].box: .*: not an object of left, top"),
        ("regions", [{"box": {**BOX, "z": 0}}], r"field regions\[0\].box: .*: not an object of left, top"),
        ("regions", [{}], r"field regions\[0\]: \{\}: not an object with box"),
        ("regions", [{"box": BOX}] * (MAX_ENTRIES + 1), "field regions: 10,001 entries, more than 10,000"),
        ("images", "/a.png", "field images: '/a.png': not a list"),
        ("images", ["/a.png", None], r"field images\[1\]: None: neither a path, a data URI nor bytes"),
        ("images", [7], r"field images\[0\]: 7: neither"),
        ("images", ["x"] * (MAX_ENTRIES + 1), "field images: 10,001 entries"),
        ("title", "red \ud83d", r"field title: 'red \\ud83d': half a character"),
        ("text", "\udc00", "field text: .*: half a character"),
        ("category", "\udc00", "field category: .*: half a character"),
        ("images", ["/a\udc00.png"], r"field images\[0\]: .*: half a character"),
        ("image", "/a\udc00.png", "field image: .*: half a character"),
        ("ocr", [{"text": "\udc00"}], r"field ocr\[0\].text: .*: half a character"),
        ("ocr", "x" * 10_000, r"field ocr: 'x{76}\.\.\.: not a list"),
    ],
)
def test_what_is_wrong_is_told_by_row_product_field_and_value(field: str, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"^row 1, product 'p1', {message}"):
        to_products([ROW, {**ROW, field: value}])


def test_nothing_is_read_off_pictures_of_a_wrong_row(tmp_path: Path) -> None:
    class Never(Looking):
        def words_on(self, images: Any) -> tuple[OcrToken, ...]:
            raise AssertionError

    with pytest.raises(DataError, match="regions"):
        to_product({**ROW, "regions": 7}, Never())
