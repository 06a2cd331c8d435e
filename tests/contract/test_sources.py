"""What every source promises, run over a tiny file of its own shape; and what each says of hostile input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from facetmill.dataset.ingest import ingest
from facetmill.errors import DataError
from facetmill.params import DemoParams
from facetmill.records import Facet, Product, Span, read_products
from facetmill.sources import SOURCES, parse_data
from facetmill.sources.base import BadRow, Reason, SourceOptions

DEMO = DemoParams(products=12, seed=3, image_size=32, noise=0.0, missing_images=0.0, implicit=0.25, drift=0.0)
OPTIONS = SourceOptions(demo=DEMO)


@dataclass(frozen=True)
class Case:
    """Good rows of one source: `write` puts them below a folder and returns the path to read.

    `expected` gives the products that folder must yield; None where a source makes them up (then only counted).
    """

    write: Callable[[Path], Path]
    expected: Callable[[Path], list[Product]] | None
    num_products: int


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "teal").save(path)


def lines(path: Path, *rows: object) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- good rows --------------------------------------------------------------------------------------------------------


def write_products(folder: Path) -> Path:
    picture(folder / "pictures" / "scarf.png")
    return lines(
        folder / "catalogue.csv",
        "id,title,description,category,group_id,images,Color,Material",
        'p1,"Scarf, red",Warm.,Scarves,g1,pictures/scarf.png,red,wool | silk',
        "p2,Plain hat,,,,,n/a,",
    )


def expected_products(folder: Path) -> list[Product]:
    red, wool, silk = Facet("Color", "red"), Facet("Material", "wool"), Facet("Material", "silk")
    image = str(folder / "pictures" / "scarf.png")
    return [
        Product("p1", "products", "Scarf, red", "Warm.", "Scarves", "g1", images=(image,), facets=(red, wool, silk)),
        Product("p2", "products", "Plain hat", absent=("Color",)),
    ]


def write_mae(folder: Path) -> Path:
    picture(folder / "images" / "mug.jpg")
    mug = {
        "diffbotUri": "item|1",
        "clean_title": "Blue mug",
        "clean_text": "Holds 300 ml.",
        "images": ["mug.jpg"],
        "specs": {"Color": "blue", "Material": ["clay", "glaze"], "Lid": "n/a"},
    }
    pot = {"diffbotUri": "item|2", "clean_title": "Pot", "clean_text": "", "images": [], "specs": {}}
    lines(folder / "000.json", [mug])
    lines(folder / "001.json", [pot])
    return folder


def expected_mae(folder: Path) -> list[Product]:
    facets = (Facet("Color", "blue"), Facet("Material", "clay"), Facet("Material", "glaze"))
    image = str(folder / "images" / "mug.jpg")
    return [
        Product("item|1", "mae", "Blue mug", "Holds 300 ml.", images=(image,), facets=facets, absent=("Lid",)),
        Product("item|2", "mae", "Pot"),
    ]


def write_mepave(folder: Path) -> Path:
    return lines(
        folder / "fashion.train",
        "c_1\ts_1\t红色棉红裙\t<颜色>红</颜色>色<材质>棉</材质><颜色>红</颜色>裙",
        "c_1\ts_2\t背包\t背包",
    )


def expected_mepave(folder: Path) -> list[Product]:
    red = Facet("颜色", "红", (Span("title", 0, 1), Span("title", 3, 4)))
    cotton = Facet("材质", "棉", (Span("title", 2, 3),))
    return [
        Product("s_1", "mepave", "红色棉红裙", group_id="c_1", facets=(red, cotton)),
        Product("s_2", "mepave", "背包", group_id="c_1"),
    ]


IMPLICITAVE_HEADER = "id\timages\tcategory\ttexts\tattribute_names\tattribute_values"


def write_implicitave(folder: Path) -> Path:
    picture(folder / "images" / "B1.jpg")
    lines(
        folder / "labelled" / "Home.tsv",
        IMPLICITAVE_HEADER,
        'B1\tB1.jpg\tMirrors\t"[Title] Mirror ""Luna"", oval"\tShape\tOval',
        "B1\tB1.jpg\tMirrors\t[Title] Mirror, oval\tMaterial\tMetal",
    )
    return folder / "labelled"


def expected_implicitave(folder: Path) -> list[Product]:
    image = (str(folder / "images" / "B1.jpg"),)
    return [
        Product("B1:Shape", "implicitave", 'Mirror "Luna", oval', "", "Mirrors", "B1", image, facets=(SHAPE,)),
        Product("B1:Material", "implicitave", "Mirror, oval", "", "Mirrors", "B1", image, facets=(METAL,)),
    ]


SHAPE, METAL = Facet("Shape", "Oval"), Facet("Material", "Metal")


def write_extractgpt(folder: Path) -> Path:
    return lines(
        folder / "shoes" / "train.jsonl",
        {"input": "Red Boots", "category": "Shoes", "target_scores": {"Color": {"Red": 1}, "Size": {"n/a": 1}}},
        {"input": "red  boots", "category": "Shoes", "target_scores": {"Kind": {"boots": 1, "Boots": 1}}},
    )


def expected_extractgpt(folder: Path) -> list[Product]:
    group = "bc2e7a62bc6d2ade"  # printf 'red boots' | sha256sum | cut -c1-16
    kinds = (Facet("Kind", "boots"), Facet("Kind", "Boots"))
    red = (Facet("Color", "Red"),)
    return [
        Product("shoes/train/0", "extractgpt", "Red Boots", "", "Shoes", group, facets=red, absent=("Size",)),
        Product("shoes/train/1", "extractgpt", "red  boots", "", "Shoes", group, facets=kinds),
    ]


def write_wdc_pave(folder: Path) -> Path:
    scores = {"Brand": {"Acme": {"pid": [0], "score": 1}}, "Pack": {"n/a": 1}, "Color": {"red": {"pid": [1, 0]}}}
    offer = {"id": 7, "cluster_id": 11.0, "category": "Office", "input_title": "Acme pen", "input_description": "red"}
    return lines(folder / "wdc.jsonl", {**offer, "target_scores": scores})


def expected_wdc_pave(folder: Path) -> list[Product]:
    facets = (Facet("Brand", "Acme"), Facet("Color", "red"))
    return [Product("7", "wdc-pave", "Acme pen", "red", "Office", "11", facets=facets, absent=("Pack",))]


CASES: dict[str, Case] = {
    "demo": Case(lambda folder: folder, None, DEMO.products),
    "products": Case(write_products, expected_products, 2),
    "mae": Case(write_mae, expected_mae, 2),
    "mepave": Case(write_mepave, expected_mepave, 2),
    "implicitave": Case(write_implicitave, expected_implicitave, 2),
    "extractgpt": Case(write_extractgpt, expected_extractgpt, 2),
    "wdc-pave": Case(write_wdc_pave, expected_wdc_pave, 1),
}


@pytest.fixture(params=list(SOURCES))
def key(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name not in CASES:
        pytest.fail(f"source {name!r} has no contract test: add good rows of its format to CASES in {__file__}")
    return name


def read_all(key: str, path: Path, scratch: Path | None = None) -> list[Product | BadRow]:
    return list(SOURCES[key].read(path, replace(OPTIONS, scratch=scratch)))


def test_source_is_listed_under_its_own_name(key: str) -> None:
    assert SOURCES[key].name == key
    assert SOURCES[key].summary


def test_good_rows_become_these_products(key: str, tmp_path: Path) -> None:
    case = CASES[key]
    rows = read_all(key, case.write(tmp_path), tmp_path / "scratch")
    assert [row for row in rows if isinstance(row, BadRow)] == []
    assert len(rows) == case.num_products
    if case.expected:
        assert rows == case.expected(tmp_path)


def test_reading_twice_gives_the_same(key: str, tmp_path: Path) -> None:
    path = CASES[key].write(tmp_path)
    assert read_all(key, path, tmp_path / "scratch") == read_all(key, path, tmp_path / "scratch")


def test_every_span_covers_its_value(key: str, tmp_path: Path) -> None:
    for row in read_all(key, CASES[key].write(tmp_path), tmp_path / "scratch"):
        assert isinstance(row, Product)
        for facet in row.facets:
            assert {row.surface(span).lower() for span in facet.spans} <= {facet.value.lower()}


def test_ingest_takes_every_good_row_and_picture(key: str, tmp_path: Path) -> None:
    case = CASES[key]
    path = case.write(tmp_path / "data") if key != "demo" else tmp_path
    out = tmp_path / "work" / "ingested"
    report = ingest(SOURCES[key], path, OPTIONS, out, tmp_path / "work" / "ingest.json", max_bad_share=0)
    products = list(read_products(out))
    assert report.num_products == len(products) == case.num_products
    assert report.dropped == report.images_dropped == report.examples == {}
    if case.expected:
        assert products == case.expected(tmp_path / "data")
    for product in products:
        for image in product.images:
            assert (out.parent / image).is_file()  # absolute, or relative to the folder of the dataset


@pytest.mark.parametrize("key", [name for name in SOURCES if name != "demo"])
def test_a_path_that_is_not_there_is_named(key: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing-here"):
        read_all(key, tmp_path / "nothing-here")


def test_every_source_is_in_the_table_of_hostile_rows(key: str) -> None:
    assert key == "demo" or any(bad.key == key for bad in HOSTILE), f"add hostile rows of {key!r} to HOSTILE"


# --- hostile rows -----------------------------------------------------------------------------------------------------


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


R = Reason
HOSTILE = [
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
    assert report.examples["corrupt_image"][0] == f"{path}, row 1, field images: corrupt_image ({image.name!r})"
    assert [product.images for product in read_products(tmp_path / "out")] == [(), ()]


# --- names of data ----------------------------------------------------------------------------------------------------


def test_parse_data_splits_at_the_first_colon() -> None:
    assert parse_data("demo:") == ("demo", "")
    assert parse_data("wdc-pave:some/file:1.jsonl") == ("wdc-pave", "some/file:1.jsonl")


def test_parse_data_names_the_known_formats() -> None:
    with pytest.raises(DataError, match=r"unknown format 'csv'.*products.*wdc-pave"):
        parse_data("csv:x")
    with pytest.raises(DataError, match="expected format:path"):
        parse_data("demo")


# --- real data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "path", "images", "products", "facets", "pictures"),
    [
        ("extractgpt", "ae-110k/train.jsonl", None, 1568, 3769, 0),
        ("extractgpt", "oa-mine/train.jsonl", None, 1452, 7360, 0),
        ("wdc-pave", "wdc-pave/train.jsonl", None, 1066, 8985, 0),
        ("mae", "mae/train", "implicitave/images", 5197, 19180, 1143),
        ("mepave", "mepave/jdai.jave.fashion.train", None, 200, 223, 0),
        ("mepave", "mepave/jdai.jave.fashion.valid", None, 200, 229, 0),
        ("mepave", "mepave_official/data/jdai.jave.fashion.train.sample", None, 50, 60, 0),
        ("implicitave", "implicitave/labelled", None, 1143, 1143, 1143),
    ],
)
def test_public_sets_are_read_whole(
    key: str,
    path: str,
    images: str | None,
    products: int,
    facets: int,
    pictures: int,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    options = replace(OPTIONS, images=shared_data / images if images else None)
    report = ingest(
        SOURCES[key], shared_data / path, options, tmp_path / "out", tmp_path / "report.json", max_bad_share=0
    )
    assert (report.num_products, report.num_facets, report.num_images) == (products, facets, pictures)
    assert report.dropped == report.images_dropped == {}
    assert sum(1 for _ in read_products(tmp_path / "out")) == products
