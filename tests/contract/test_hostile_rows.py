"""What every source says of hostile input: a bad row is named by file, row, field and value, and costs only itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from facetmill.dataset.intake.ingest import ingest
from facetmill.errors import DataError
from facetmill.records import read_products
from facetmill.sources import SOURCES
from facetmill.sources.base import BadRow, Reason
from tests.contract.test_sources import (
    CASES,
    IMPLICITAVE_HEADER,
    MERCHANT,
    OPTIONS,
    SHOPIFY,
    WOOCOMMERCE,
    lines,
    picture,
    read_all,
)


@dataclass(frozen=True)
class Hostile:
    """A file of which exactly one row is bad, what its `BadRow` must say, and how many good rows must survive."""

    key: str
    file: str
    content: bytes
    row: int
    field: str
    value: str
    reason: Reason
    good: int = 2

    def __str__(self) -> str:
        return f"{self.key}-{self.reason}"


def around(bad: bytes, first: bytes, last: bytes) -> bytes:
    return first + b"\n" + bad + b"\n" + last + b"\n"


def csv(bad: bytes) -> bytes:
    return b"id,title,images,Color\n" + around(bad, b"a,Hat,,red", b"b,Cap,,blue")


def jsonl(bad: bytes) -> bytes:
    return around(bad, b'{"id": "a", "title": "Hat"}', b'{"id": "b", "title": "Cap"}')


def mae(bad: bytes) -> bytes:
    good = b'{"diffbotUri": "%s", "clean_title": "Pot", "clean_text": "", "images": [], "specs": {"Color": "red"}}'
    return b"[" + (good % b"a") + b",\n" + bad + b",\n" + (good % b"b") + b"]"


def mae_row(**changed: object) -> bytes:
    row = {"diffbotUri": "x", "clean_title": "Pan", "clean_text": "", "images": [], "specs": {}} | changed
    return json.dumps({name: value for name, value in row.items() if value is not ...}).encode()


def mepave(bad: str) -> bytes:
    return around(bad.encode(), "c\ta\t红裙\t<颜色>红</颜色>裙".encode(), "c\tb\t背包\t背包".encode())


def implicitave(bad: bytes) -> bytes:
    good = b"B%d\tB.jpg\tMirrors\t[Title] Mirror\tShape\tOval"
    return IMPLICITAVE_HEADER.encode() + b"\n" + around(bad, good % 1, good % 2)


def extractgpt(bad: bytes) -> bytes:
    good = b'{"input": "Red hat", "category": "Hats", "target_scores": {"Color": {"Red": 1}}}'
    return around(bad, good, good)


def wdc(bad: bytes) -> bytes:
    good = b'{"id": %d, "cluster_id": 1, "input_title": "Pen", "input_description": "", "target_scores": {}}'
    return around(bad, good % 1, good % 2)


def shopify(bad: bytes) -> bytes:
    return SHOPIFY.encode() + b"\n" + around(bad, b"a,Hat" + 12 * b",", b"b,Cap" + 12 * b",")


def woocommerce(bad: bytes) -> bytes:
    return WOOCOMMERCE.encode() + b"\n" + around(bad, b"1,simple,,Hat" + 13 * b",", b"2,simple,,Cap" + 13 * b",")


def merchant(bad: bytes) -> bytes:
    return MERCHANT.encode() + b"\n" + around(bad, b"a\tHat" + 8 * b"\t", b"b\tCap" + 8 * b"\t")


R = Reason
HOSTILE = [
    Hostile("shopify", "c.csv", shopify(b"c,Bag"), 3, "Body (HTML)", "c\tBag", R.MISSING_FIELD),
    Hostile("shopify", "c.csv", shopify(b",Bag" + 12 * b","), 3, "Handle", "", R.MISSING_FIELD),
    Hostile("shopify", "c.csv", shopify(b"c" + 13 * b","), 3, "Title", "", R.EMPTY_TITLE),
    Hostile("shopify", "c.csv", shopify(b"c,B\0" + 12 * b","), 3, "line", "c,B\0,,,,", R.NUL_BYTE),
    Hostile(
        "shopify",
        "c.csv",
        shopify(b"c,Bag" + 11 * b"," + b"../x.png,"),
        3,
        "Image Src",
        "../x.png",
        R.PATH_LEAVES_FOLDER,
    ),
    Hostile("woocommerce", "c.csv", woocommerce(b",simple,,Bag" + 13 * b","), 3, "ID", "", R.MISSING_FIELD),
    Hostile("woocommerce", "c.csv", woocommerce(b"3,simple" + 15 * b","), 3, "Name", "", R.EMPTY_TITLE),
    Hostile(
        "woocommerce", "c.csv", woocommerce(b"3,simple,,B\xe9" + 13 * b","), 3, "line", "3,simple,,B", R.WRONG_ENCODING
    ),
    Hostile("merchant", "f.tsv", merchant(b"\tBag" + 8 * b"\t"), 3, "id", "", R.MISSING_FIELD),
    Hostile("merchant", "f.tsv", merchant(b"c" + 9 * b"\t"), 3, "title", "", R.EMPTY_TITLE),
    Hostile(
        "merchant",
        "f.tsv",
        merchant(b"c\tBag\t\t/etc/hostname" + 6 * b"\t"),
        3,
        "image_link",
        "/etc/hostname",
        R.PATH_LEAVES_FOLDER,
    ),
    Hostile("products", "c.csv", csv(b"c,Sc\xe9ne,,"), 3, "line", "c,Sc�ne,,", R.WRONG_ENCODING),
    Hostile("products", "c.csv", csv(b"c,N\0,,"), 3, "line", "c,N\0,,\n", R.NUL_BYTE),
    Hostile("products", "c.csv", csv(b"c,Bag"), 3, "images", "c\tBag", R.MISSING_FIELD),
    Hostile("products", "c.csv", csv(b",Bag,,"), 3, "id", "", R.MISSING_FIELD),
    Hostile("products", "c.csv", csv(b"c, ,,"), 3, "title", " ", R.EMPTY_TITLE),
    Hostile("products", "c.csv", csv(b"c,Bag,,red,extra"), 3, "column 5", "extra", R.BROKEN_TABLE_ROW),
    Hostile("products", "c.csv", csv(b'c,"Bag"gy,,'), 3, "line", "',' expected after '\"'", R.BROKEN_TABLE_ROW),
    Hostile("products", "c.csv", csv(b"c,Bag,../x.png,"), 3, "images", "../x.png", R.PATH_LEAVES_FOLDER),
    Hostile("products", "c.csv", csv(b"c,Bag,/etc/hostname,"), 3, "images", "/etc/hostname", R.PATH_LEAVES_FOLDER),
    Hostile("products", "c.csv", csv(b"c,Bag,a/../../x.png,"), 3, "images", "a/../../x.png", R.PATH_LEAVES_FOLDER),
    Hostile("products", "c.jsonl", jsonl(b'{"id": "c", "title": '), 2, "line", '{"id": "c", "title": ', R.BROKEN_JSON),
    Hostile("products", "c.jsonl", jsonl(b'["c"]'), 2, "row", "list, expected an object", R.WRONG_TYPE),
    Hostile("products", "c.jsonl", jsonl(b'{"id": true, "title": "Bag"}'), 2, "id", "True", R.WRONG_TYPE),
    Hostile("products", "c.jsonl", jsonl(b'{"id": "c"}'), 2, "title", "", R.MISSING_FIELD),
    Hostile("products", "c.jsonl", jsonl(b'{"id": "c", "title": "B\\u0000"}'), 2, "title", "B\0", R.NUL_BYTE),
    Hostile("products", "c.jsonl", jsonl(b'{"id":"c","title":"B","facets":"{"}'), 2, "facets", "{", R.BROKEN_JSON),
    Hostile(
        "products", "c.jsonl", jsonl(b'{"id":"c","title":"B","facets":["red"]}'), 2, "facets", "['red']", R.WRONG_TYPE
    ),
    Hostile(
        "products", "c.jsonl", jsonl(b'{"id":"c","title":"B","Size":{"x":1}}'), 2, "Size", "{'x': 1}", R.WRONG_TYPE
    ),
    Hostile(
        "mae",
        "0.json",
        mae(b'{"diffbotUri": "x", "clean_title"'),
        2,
        "element",
        '{"diffbotUri": "x", "clean_',
        R.BROKEN_JSON,
    ),
    Hostile("mae", "0.json", mae(mae_row())[:-30], 3, "element", '{"diffbotUri": "b"', R.BROKEN_JSON),
    Hostile(
        "mae",
        "0.json",
        mae(mae_row(clean_title="P").replace(b"P", b"\xff")),
        2,
        "element",
        '{"diffbotUri"',
        R.WRONG_ENCODING,
    ),
    Hostile(
        "mae", "0.json", mae(mae_row(clean_title="P").replace(b"P", b"\0")), 2, "element", '{"diffbotUri"', R.NUL_BYTE
    ),
    Hostile("mae", "0.json", mae(mae_row(clean_title="\ud800")), 2, "clean_title", "?", R.WRONG_ENCODING),
    Hostile("mae", "0.json", mae(mae_row(specs=...)), 2, "specs", "", R.MISSING_FIELD),
    Hostile("mae", "0.json", mae(mae_row(clean_title="")), 2, "clean_title", "", R.EMPTY_TITLE),
    Hostile("mae", "0.json", mae(mae_row(specs=["red"])), 2, "specs", "['red']", R.WRONG_TYPE),
    Hostile("mae", "0.json", mae(mae_row(specs={"Size": 4})), 2, "Size", "4", R.WRONG_TYPE),
    Hostile("mae", "0.json", mae(mae_row(images="x.png")), 2, "images", "x.png", R.WRONG_TYPE),
    Hostile("mae", "0.json", mae(mae_row(images=["../x.png"])), 2, "images", "../x.png", R.PATH_LEAVES_FOLDER),
    Hostile("mae", "0.json", mae(b"[" * 100_000), 2, "element", "[[[[", R.BROKEN_JSON),
    Hostile("mepave", "f", mepave("c\td\t红 裙\t红 裙"), 2, "text", "红 裙", R.SPACE_IN_TEXT),
    Hostile("mepave", "f", mepave("c\td\t红裙\t<颜色>红裙"), 2, "tagged", "<颜色>红裙", R.UNCLOSED_TAG),
    Hostile("mepave", "f", mepave("c\td\t红裙\t<颜色>红</材质>裙"), 2, "tagged", "<颜色>红</材质>裙", R.UNCLOSED_TAG),
    Hostile("mepave", "f", mepave("c\td\t红裙\t<颜色>红</颜色>"), 2, "tagged", "<颜色>红</颜色>", R.TAGS_DISAGREE),
    Hostile("mepave", "f", mepave("c\td\t红裙\t<颜色></颜色>红裙"), 2, "tagged", "<颜色></颜色>", R.SPAN_OUT_OF_TEXT),
    Hostile("mepave", "f", mepave("c\td\t红裙"), 2, "tagged", "c\td\t红裙", R.MISSING_FIELD),
    Hostile("mepave", "f", mepave("c\td\t\t"), 2, "text", "", R.EMPTY_TITLE),
    Hostile("mepave", "f", mepave("c\t\t红裙\t红裙"), 2, "sid", "", R.MISSING_FIELD),
    Hostile("mepave", "f", mepave("c\td\t红\0裙\t红裙"), 2, "line", "c\td\t红\0", R.NUL_BYTE),
    Hostile(
        "mepave",
        "f",
        mepave("c\td\t?\t?").replace(b"?", "红裙".encode("gbk")),
        2,
        "line",
        "c\td\t",
        R.WRONG_ENCODING,
    ),
    Hostile("implicitave", "a.tsv", implicitave(b"B3\tB.jpg\tMirrors"), 3, "texts", "B3\tB.jpg", R.MISSING_FIELD),
    Hostile(
        "implicitave",
        "a.tsv",
        implicitave(b"B3\t../B.jpg\tC\t[Title] M\tShape\tOval"),
        3,
        "images",
        "../B.jpg",
        R.PATH_LEAVES_FOLDER,
    ),
    Hostile(
        "implicitave",
        "a.tsv",
        implicitave(b"B3\tB.jpg\tC\t[Title] \tShape\tOval"),
        3,
        "texts",
        "[Title] ",
        R.EMPTY_TITLE,
    ),
    Hostile(
        "implicitave",
        "a.tsv",
        implicitave(b"B3\tB.jpg\tC\t[Title] M\tShape\t"),
        3,
        "attribute_values",
        "",
        R.MISSING_FIELD,
    ),
    Hostile(
        "implicitave",
        "a.tsv",
        implicitave(b"B3\tB.jpg\tC\t[Title] \xff\tShape\tOval"),
        3,
        "line",
        "B3\tB.jpg",
        R.WRONG_ENCODING,
    ),
    Hostile(
        "implicitave", "a.tsv", implicitave(b"B3\tB\0.jpg\tC\t[Title] M\tShape\tOval"), 3, "line", "B3\tB\0", R.NUL_BYTE
    ),
    Hostile("extractgpt", "t.jsonl", extractgpt(b'{"input": "Red'), 2, "line", '{"input": "Red', R.BROKEN_JSON),
    Hostile(
        "extractgpt",
        "t.jsonl",
        extractgpt(b'{"input": "\xff", "target_scores": {}}'),
        2,
        "line",
        '{"input": "',
        R.WRONG_ENCODING,
    ),
    Hostile(
        "extractgpt",
        "t.jsonl",
        extractgpt(b'{"input": "\0", "target_scores": {}}'),
        2,
        "line",
        '{"input": "\0',
        R.NUL_BYTE,
    ),
    Hostile("extractgpt", "t.jsonl", extractgpt(b'{"input": "Red"}'), 2, "target_scores", "", R.MISSING_FIELD),
    Hostile("extractgpt", "t.jsonl", extractgpt(b'{"input": "", "target_scores": {}}'), 2, "input", "", R.EMPTY_TITLE),
    Hostile(
        "extractgpt",
        "t.jsonl",
        extractgpt(b'{"input": "R", "target_scores": {"C": "r"}}'),
        2,
        "target_scores.C",
        "r",
        R.WRONG_TYPE,
    ),
    Hostile("wdc-pave", "t.jsonl", wdc(b'{"id": 3, "input_title"'), 2, "line", '{"id": 3', R.BROKEN_JSON),
    Hostile("wdc-pave", "t.jsonl", wdc(b'{"id": 3, "input_title": "\xe9"}'), 2, "line", '{"id": 3', R.WRONG_ENCODING),
    Hostile("wdc-pave", "t.jsonl", wdc(b'{"id": 3, "input_title": "\0"}'), 2, "line", '{"id": 3', R.NUL_BYTE),
    Hostile("wdc-pave", "t.jsonl", wdc(b'{"input_title": "Pen", "target_scores": {}}'), 2, "id", "", R.MISSING_FIELD),
    Hostile(
        "wdc-pave",
        "t.jsonl",
        wdc(b'{"id": 3, "input_title": 4, "target_scores": {}}'),
        2,
        "input_title",
        "4",
        R.WRONG_TYPE,
    ),
    Hostile(
        "wdc-pave",
        "t.jsonl",
        wdc(b'{"id": 3, "cluster_id": 1.5, "input_title": "P", "target_scores": {}}'),
        2,
        "cluster_id",
        "1.5",
        R.WRONG_TYPE,
    ),
]


@pytest.mark.parametrize("key", list(SOURCES))
def test_every_source_is_in_the_table(key: str) -> None:
    assert key == "demo" or any(bad.key == key for bad in HOSTILE), f"add hostile rows of {key!r} to HOSTILE"


@pytest.mark.parametrize("bad", HOSTILE, ids=str)
def test_a_bad_row_is_named_and_costs_only_itself(bad: Hostile, tmp_path: Path) -> None:
    path = tmp_path / bad.file
    path.write_bytes(bad.content)
    rows = read_all(bad.key, path)
    [found] = [row for row in rows if isinstance(row, BadRow)]
    assert (found.file, found.row, found.field, found.reason) == (str(path), bad.row, bad.field, bad.reason)
    assert found.value == bad.value or (len(bad.value) > 3 and found.value.startswith(bad.value))
    assert len(rows) - 1 == bad.good


@pytest.mark.parametrize("bad", HOSTILE, ids=str)
def test_above_the_limit_nothing_is_written(bad: Hostile, tmp_path: Path) -> None:
    path = tmp_path / "in" / bad.file
    path.parent.mkdir()
    path.write_bytes(bad.content)
    out, report = tmp_path / "out" / "ingested", tmp_path / "out" / "reports" / "ingest.json"
    with pytest.raises(DataError) as error:
        ingest(SOURCES[bad.key], path, OPTIONS, out, report, max_bad_share=0.3)
    assert f"1 of 3 rows are bad ({bad.reason} 1)" in str(error.value)
    assert f"row {bad.row}, field {bad.field}" in str(error.value)
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == []

    taken = ingest(SOURCES[bad.key], path, OPTIONS, out, report, max_bad_share=0.34)
    assert (taken.num_products, taken.dropped) == (2, {bad.reason: 1})
    assert json.loads(report.read_text())["dropped"] == {bad.reason: 1}


def test_a_link_out_of_the_image_folder_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    path = lines(tmp_path / "shop" / "c.csv", "id,title,images", "a,Hat,link.png")
    (path.parent / "link.png").symlink_to(tmp_path / "secret.png")
    [row] = read_all("products", path)
    assert row == BadRow(str(path), 2, "images", "link.png", Reason.PATH_LEAVES_FOLDER)


@pytest.mark.parametrize("key", ["products", "mae", "implicitave"])
@pytest.mark.parametrize("content", [b"", b"not a picture", "cut off"], ids=["zero bytes", "text", "cut off"])
def test_a_corrupt_picture_is_dropped_and_its_product_kept(key: str, content: bytes | str, tmp_path: Path) -> None:
    path = CASES[key].write(tmp_path / "data")
    [image] = [file for file in (tmp_path / "data").rglob("*") if file.suffix in (".png", ".jpg")]
    image.write_bytes(image.read_bytes()[:-20] if isinstance(content, str) else content)
    report = ingest(SOURCES[key], path, OPTIONS, tmp_path / "out", tmp_path / "r.json", max_bad_share=0)
    named = 2 if key == "implicitave" else 1
    assert (report.num_products, report.dropped) == (2, {})
    assert (report.num_images, report.images_dropped) == (0, {"corrupt_image": named})
    first, row = ("000.json", 1) if key == "mae" else ("Home.tsv", 2) if key == "implicitave" else ("", 2)
    named_row = f"{path / first if first else path}, row {row}, field images"
    assert report.examples["corrupt_image"][0] == f"{named_row}: corrupt_image ({image.name!r})"
    assert [product.images for product in read_products(tmp_path / "out")] == [(), ()]
