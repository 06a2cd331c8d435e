"""What shop systems write beside the rows that the contract shows, and feeds that mean harm."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from facetmill.errors import DataError
from facetmill.records import Product
from facetmill.sources import merchant, shopify, woocommerce
from facetmill.sources.base import BadRow, Reason, SourceOptions
from facetmill.sources.rows import MAX_ROW_BYTES
from tests import small
from tests.office import xlsx

OPTIONS = SourceOptions(demo=small.DEMO, ignore=("Tags",))
NEW_SHOPIFY = "Title,URL handle,Description,Product category,Type,Tags,Option1 name,Option1 value,Product image URL"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def pairs(product: Product | BadRow) -> list[tuple[str, str]]:
    assert isinstance(product, Product)
    return [(facet.attribute, facet.value) for facet in product.facets]


def test_shopifys_names_of_2025_are_known_and_ignored_attributes_are_none(tmp_path: Path) -> None:
    path = written(
        tmp_path / "e.csv", NEW_SHOPIFY, 'Hat,hat,Warm,,Hats,"new, Season:Winter",Color,Red,', ",hat,,,,,,Blue,"
    )
    [hat] = shopify.read(path, OPTIONS)
    assert isinstance(hat, Product)
    assert (hat.product_id, hat.text, hat.category) == ("hat", "Warm", "Hats")
    assert pairs(hat) == [("Color", "Red"), ("Color", "Blue"), ("Season", "Winter")]


def test_an_export_that_a_person_saved_as_a_spreadsheet_is_one_still(tmp_path: Path) -> None:
    rows = [
        NEW_SHOPIFY.split(","),
        ["Hat", "hat", "", "", "", "", "Size", 42, ""],
        ["", "hat", "", "", "", "", "", "#N/A", ""],
    ]
    note, hat = shopify.read(xlsx(tmp_path / "e.xlsx", rows), OPTIONS)
    assert isinstance(note, BadRow)
    assert (note.row, note.reason) == (3, Reason.UNKNOWN_VALUE)
    assert pairs(hat) == [("Size", "42")]


def test_a_variant_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    path = written(tmp_path / "e.csv", NEW_SHOPIFY, "Hat,hat,,,,,Color,Red,", ",hat,,", ",hat,,,,,,Blue,")
    bad, hat = shopify.read(path, OPTIONS)
    assert isinstance(bad, BadRow)
    assert (bad.row, bad.reason) == (3, Reason.MISSING_FIELD)
    assert pairs(hat) == [("Color", "Red"), ("Color", "Blue")]


@pytest.mark.parametrize(
    ("source", "said"),
    [(shopify, "no Shopify product export: no column Option1 Name"), (woocommerce, "no column Type, SKU")],
)
def test_another_table_is_no_export(source: object, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "e.csv", "id,title,name,parent", "1,Hat,,")
    with pytest.raises(DataError, match=said):
        list(source.read(path, OPTIONS))  # type: ignore[attr-defined]


def test_variations_that_stand_elsewhere_are_in_the_group_of_their_parent(tmp_path: Path) -> None:
    head = "ID,Type,SKU,Name,Parent,Attribute 1 name,Attribute 1 value(s)"
    path = written(
        tmp_path / "w.csv",
        head,
        "1,variable,S,Shirt,,,",
        "2,simple,B,Belt,,,",
        "3,variation,S-1,Shirt - Red,S,Color,Red",
    )
    groups = [row.group_id for row in woocommerce.read(path, OPTIONS) if isinstance(row, Product)]
    assert groups == ["S", "B", "S"]


FEED = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">{}</feed>'


def test_an_atom_feed_is_read_compressed_too(tmp_path: Path) -> None:
    entry = (
        "<entry><id>tag:1</id><g:id>{0}</g:id><title>Hat {0}</title><summary>Warm</summary><g:size>M</g:size></entry>"
    )
    feed = FEED.format("".join(entry.format(number) for number in range(3)))
    (tmp_path / "f.xml.gz").write_bytes(gzip.compress(feed.encode("utf-16")))
    found = list(merchant.read(tmp_path / "f.xml.gz", OPTIONS))
    assert [(row.product_id, row.text) for row in found if isinstance(row, Product)] == [
        (str(n), "Warm") for n in range(3)
    ]
    assert [pairs(row) for row in found] == [[("Size", "M")]] * 3


def test_a_feed_as_a_table_has_names_with_spaces_and_details_in_one_cell(tmp_path: Path) -> None:
    path = written(
        tmp_path / "f.txt",
        "id\ttitle\titem group id\tage group\tgoogle product category\tproduct detail\tcolor",
        "1\tHat\th\tadult\t173\tGeneral:Fit:loose,Care:Wash at:30 °C\tred/blue",
    )
    [hat] = merchant.read(path, OPTIONS)
    assert isinstance(hat, Product)
    assert (hat.group_id, hat.category) == ("h", "173")
    assert pairs(hat) == [
        ("Color", "red"),
        ("Color", "blue"),
        ("Age group", "adult"),
        ("Fit", "loose"),
        ("Wash at", "30 °C"),
    ]


BILLION = '<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{BILLION}<rss><item><id>1</id><title>&b;</title></item></rss>", "has a document type or entities"),
        (f"{OUTSIDE}<rss><item><id>1</id><title>&a;</title></item></rss>", "has a document type or entities"),
        ("<rss><item><id>1</id><title>Hat</title></item><item>", "no whole XML: after item 1"),
        ("<rss><item><id>1</id><title>&b;</title></item></rss>", "no whole XML: after item 0: undefined entity"),
        ('<?xml version="1.0" encoding="nothing"?><rss/>', "no whole XML"),
        ("<html><body>Not found</body></html>", "no <item> and no <entry>"),
        ("<rss><item>" + "x" * 2 * MAX_ROW_BYTES + "</item></rss>", "more than 8,388,608 bytes without an item"),
        ("<a>" * 100_000, "no whole XML"),
    ],
    ids=["entities that grow", "another file", "cut off", "entity", "encoding", "a page", "a text without end", "deep"],
)
def test_a_feed_that_means_harm_or_is_none_is_refused(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        list(merchant.read(written(tmp_path / "f.xml", content), OPTIONS))


def test_a_picture_on_the_web_is_the_file_of_its_name_and_never_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "secret.png").touch()
    (tmp_path / "shop" / "link.png").symlink_to(tmp_path / "secret.png")
    for name in ("https://x.example/a/%2e%2e%2fsecret.png", "https://x.example/[", "http://["):
        path = written(tmp_path / "shop" / "f.tsv", "id\ttitle\timage_link", f"1\tHat\t{name}")
        [hat] = merchant.read(path, OPTIONS)
        assert isinstance(hat, Product)
        assert hat.images == (f"{tmp_path}/shop/{name}",)  # which is nowhere
    for name in ("link.png", "a/.."):
        path = written(tmp_path / "shop" / "f.tsv", "id\ttitle\timage_link", f"1\tHat\thttps://x.example/{name}")
        [bad] = merchant.read(path, OPTIONS)
        assert isinstance(bad, BadRow)
        assert bad.reason is Reason.PATH_LEAVES_FOLDER
