"""What every source promises, run over a tiny file of its own shape. Hostile rows: test_hostile_rows.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from facetmill.dataset.intake.ingest import ingest
from facetmill.errors import DataError
from facetmill.records import Facet, Product, Span, read_products
from facetmill.sources import SOURCES, parse_data
from facetmill.sources.base import BadRow, SourceOptions, Stretch
from facetmill.sources.plain import PlainProducts
from tests import small

DEMO = replace(small.DEMO, products=12, seed=3, implicit=0.25)
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


SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
    "Variant Price,Image Src,Fabric (product.metafields.custom.fabric)"
)


def write_shopify(folder: Path) -> Path:
    picture(folder / "red hat.png")
    return lines(
        folder / "products_export.csv",
        SHOPIFY,
        'hat,"Hat ""Luna""",<p>Warm &amp; soft</p>,Acme,Apparel > Hats,Beanie,"New, Season: Winter",Color,Red,Size,S,9,'
        "https://cdn.shopify.example/files/red%20hat.png?v=17,wool; silk",
        "hat,,,,,,,,Red,,M,9.9,,",
        "hat,,,,,,,,Blue,,M,9.9,,",
        "pot,Pot,,,,Kitchen,,Title,Default Title,,,5,,",
    )


def expected_shopify(folder: Path) -> list[Product]:
    said = [("Color", "Red"), ("Color", "Blue"), ("Size", "S"), ("Size", "M"), ("Fabric", "wool"), ("Fabric", "silk")]
    said += [("Vendor", "Acme"), ("Tags", "New"), ("Season", "Winter"), ("Type", "Beanie")]
    image = str(folder / "red hat.png")
    return [
        Product(
            *("hat", "shopify", 'Hat "Luna"', "<p>Warm &amp; soft</p>", "Apparel > Hats"),
            images=(image,),
            facets=tuple(Facet(*pair) for pair in said),
        ),
        Product("pot", "shopify", "Pot", category="Kitchen"),
    ]


WOOCOMMERCE = (
    "ID,Type,SKU,Name,Published,Short description,Description,Categories,Tags,Images,Parent,Brands,"
    "Attribute 1 name,Attribute 1 value(s),Attribute 1 visible,Attribute 2 name,Attribute 2 value(s)"
)


def write_woocommerce(folder: Path) -> Path:
    picture(folder / "shirt.png")
    return lines(
        folder / "wc-product-export.csv",
        WOOCOMMERCE,
        '44,variable,woo-shirt,Shirt,1,Soft.,"Made of cotton\\nand silk","Sale, Clothing > Shirts",new,'
        'https://shop.example/shirt.png,,Acme,Color,"Blue, Red",1,Cut,"slim\\, long, wide"',
        "50,variation,woo-shirt-red,Shirt - Red,1,,,,,,woo-shirt,,Color,Red,,Size,M",
        "51,simple,,Belt,1,,,Clothing  >Belts,,,,,Color,n/a,1,,",
        "52,variation,,Coat - Red,1,,,,,,id:9,,Color,Red,,,",
    )


def expected_woocommerce(folder: Path) -> list[Product]:
    said = [("Color", "Blue"), ("Color", "Red"), ("Cut", "slim, long"), ("Cut", "wide"), ("Brand", "Acme")]
    shirt = Product(
        *("44", "woocommerce", "Shirt", "Soft.\nMade of cotton\nand silk", "Clothing > Shirts", "woo-shirt"),
        images=(str(folder / "shirt.png"),),
        facets=tuple(Facet(*pair) for pair in [*said[:4], ("Cut", "M"), *said[4:], ("Tags", "new")]),
    )
    return [
        shirt,
        Product("51", "woocommerce", "Belt", category="Clothing > Belts", group_id="id:51", absent=("Color",)),
        Product("52", "woocommerce", "Coat - Red", group_id="id:9", facets=(Facet("Color", "Red"),)),
    ]


MERCHANT = "id\ttitle\tdescription\timage link\tproduct type\tcolor\tsize\titem group id\tproduct_detail\tprice"


def write_merchant(folder: Path) -> Path:
    picture(folder / "mug.png")
    return lines(
        folder / "feed.xml",
        '<?xml version="1.0"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>',
        "<item><title>RSS title</title><g:title>Blue mug</g:title>",
        "<description><![CDATA[Holds <b>1</b> l]]></description><g:id>m1</g:id><g:item_group_id>mug</g:item_group_id>",
        "<g:color>blue/white</g:color><g:age_group>adult</g:age_group>",
        "<g:image_link>https://shop.example/a/mug.png</g:image_link><g:product_type>Kitchen &gt; Mugs</g:product_type>",
        "<g:product_type>Gifts</g:product_type><g:google_product_category>2169</g:google_product_category>",
        "<g:product_detail><g:section_name>General</g:section_name><g:attribute_name>Handle</g:attribute_name>",
        "<g:attribute_value>left: yes</g:attribute_value></g:product_detail></item>",
        "<item><g:id>m2</g:id><title>Pot</title></item></channel></rss>",
    )


def expected_merchant(folder: Path) -> list[Product]:
    said = [("Color", "blue"), ("Color", "white"), ("Age group", "adult"), ("Handle", "left: yes")]
    image = str(folder / "mug.png")
    facets = tuple(Facet(*pair) for pair in said)
    mug = Product("m1", "merchant", "Blue mug", "Holds <b>1</b> l", "Kitchen > Mugs", "mug", (image,), facets=facets)
    return [mug, Product("m2", "merchant", "Pot")]


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
        Product("s_1", "mepave", "红色棉红裙", group_id="c_1", facets=(red, cotton), split="train"),
        Product("s_2", "mepave", "背包", group_id="c_1", split="train"),
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
        replace(product, split="train")
        for product in (
            Product("shoes/train/0", "extractgpt", "Red Boots", "", "Shoes", group, facets=red, absent=("Size",)),
            Product("shoes/train/1", "extractgpt", "red  boots", "", "Shoes", group, facets=kinds),
        )
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
    "shopify": Case(write_shopify, expected_shopify, 2),
    "woocommerce": Case(write_woocommerce, expected_woocommerce, 3),
    "merchant": Case(write_merchant, expected_merchant, 2),
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


def read_all(key: str, path: Path, scratch: Path | None = None, only: Stretch | None = None) -> list[Product | BadRow]:
    rows: list[Product | BadRow] = []
    for row in SOURCES[key].read(path, replace(OPTIONS, scratch=scratch, only=only)):
        rows += row.products() if isinstance(row, PlainProducts) else [row]
    return rows


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


@pytest.mark.parametrize("key", [name for name, source in SOURCES.items() if source.cut])
def test_the_stretches_of_a_source_hold_its_rows_in_their_order(key: str, tmp_path: Path) -> None:
    source, path = SOURCES[key], CASES[key].write(tmp_path)
    assert source.cut is not None
    stretches = source.cut(path)
    assert [row for only in stretches for row in read_all(key, path, only=only)] == read_all(key, path)


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
        ("mepave", "mepave_official/data", None, 90, 109, 0),
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
