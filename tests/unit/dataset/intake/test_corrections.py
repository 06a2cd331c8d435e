"""What people set right: how a file of corrections is read, what it does to products, and that a build watches it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.dataset.intake.corrections import read_corrections
from facetmill.dataset.intake.ingest import IngestReport, ingest
from facetmill.errors import DataError
from facetmill.records import Facet, Product, Span, read_products
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions
from tests import small
from tests.office import xlsx

HEAD = "product_id,attribute,value,who\n"


def written(folder: Path, *rows: str) -> Path:
    path = folder / "corrections.csv"
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows))
    return path


def test_a_corrected_attribute_is_what_people_say_and_the_others_stay(tmp_path: Path) -> None:
    corrections = read_corrections(
        written(
            tmp_path, "a,Color,Dark Red,ana", "a,Material,n/a,ana", "a,Season,winter,", "a,Season,spring,", "z,X,y,"
        )
    )
    product = Product(
        "a",
        "shop",
        "Red wool hat",
        facets=(
            Facet("Color", "Red", (Span("title", 0, 3),)),
            Facet("Material", "wool", provenance="distant", confidence=0.5),
            Facet("Kind", "hat"),
        ),
        absent=("Season", "Size"),
    )
    corrected = corrections.apply(product)
    assert corrected == replace(
        product,
        facets=(
            Facet("Kind", "hat"),
            Facet("Color", "Dark Red"),
            Facet("Season", "winter"),
            Facet("Season", "spring"),
        ),
        absent=("Size", "Material"),
    )
    assert {facet.provenance for facet in corrected.facets} == {"annotated"}
    other = replace(product, product_id="b")
    assert corrections.apply(other) is other
    assert corrections.unused({"a"}) == ("z",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a,Color,red,", "b,Color, ,"], "row 3, field value: missing_field"),
        (["a,,red,"], "row 2, field attribute: missing_field"),
        (["a,Color"], "row 2, field value: missing_field"),
        (["a,Color,red,", "a,Color,N/A,"], "row 3, field value: 'Color' of product 'a' is n/a and has a value"),
        (["a,Color,n/a,", "a,Color,red,"], "row 3, field value: 'Color' of product 'a' is n/a and has a value"),
        (['a,Color,"red'], "row 2, field line: broken_table_row"),
    ],
)
def test_a_wrong_row_stops_and_is_named(rows: list[str], said: str, tmp_path: Path) -> None:
    path = written(tmp_path, *rows)
    with pytest.raises(DataError) as error:
        read_corrections(path)
    assert str(error.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", "product_id;attribute;value\r\np1;Color;Red\r\n"),
        ("c.txt", "Product_ID\tAttribute\tVALUE\tWho\r\np1\tColor\tRed\tana\r\n\t\t\t\r\n"),
        ("c.csv", "sep=,\nproduct_id,attribute,value,,\np1,Color,Red,,\n,,,,\n"),
        ("c.csv", "\ufeffproduct_id|attribute|value|note, if any\np1|Color|Red|#N/A\n"),
    ],
)
def test_a_table_is_read_as_any_spreadsheet_saves_it(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert read_corrections(tmp_path / name).of_product == {"p1": {"Color": ("Red",)}}
    (tmp_path / name).write_text(content, encoding="utf-16", newline="")
    assert read_corrections(tmp_path / name).of_product == {"p1": {"Color": ("Red",)}}


def test_a_spreadsheet_of_corrections_is_read(tmp_path: Path) -> None:
    rows = [["product_id", "attribute", "value"], [7, "Size", 42], [], ["8", "Color", "n/a"]]
    path = xlsx(tmp_path / "c.xlsx", {"Corrections": rows, "Notes": [["call Ana"]]})
    assert read_corrections(path).of_product == {"7": {"Size": ("42",)}, "8": {"Color": ()}}


def ingested(folder: Path, *corrected: str) -> IngestReport:
    (folder / "shop.csv").write_text("id,title,Color,Sleeve length\na,Red hat,red,\nb,Cap,n/a,long\n")
    corrections = read_corrections(written(folder, *corrected))
    how = {"max_bad_share": 0.0, "corrections": corrections}
    return ingest(
        SOURCES["products"], folder / "shop.csv", SourceOptions(small.DEMO), folder / "out", folder / "r.json", **how
    )


@pytest.mark.parametrize(
    ("attribute", "meant"), [("color", "Color"), ("Sleeve_Length", "Sleeve length"), ("SleeveLength", "Sleeve length")]
)
def test_an_attribute_that_is_only_spelled_otherwise_stops_the_build(
    attribute: str, meant: str, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=rf"row 3, field attribute: no product has '{attribute}'; did you mean '{meant}'\?"
    ):
        ingested(tmp_path, "a,Color,blue,", f"b,{attribute},x,")
    assert not (tmp_path / "out").exists()


def test_an_attribute_that_the_data_has_not_is_told_and_may_be_new(tmp_path: Path) -> None:
    report = ingested(tmp_path, "a,Colour,blue,", "a,Season,winter,", "b,Color,blue,")
    assert report.noted == {"unknown_attribute": 2}
    path = tmp_path / "corrections.csv"
    assert report.examples["unknown_attribute"] == (
        f"{path}, row 2, field attribute: no product has 'Colour'; did you mean 'Color'?",
        f"{path}, row 3, field attribute: no product has 'Season'",
    )
    assert report.num_corrected == 2


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("product_id,value\na,red\n")
    with pytest.raises(DataError, match="no column attribute; the header has product_id, value"):
        read_corrections(path)


def test_ingest_applies_and_counts_them(tmp_path: Path) -> None:
    shop = tmp_path / "shop.csv"
    shop.write_text("id,title,Color\na,Red hat,blue\nb,Blue hat,blue\n")
    corrections = read_corrections(written(tmp_path, "a,Color,red,ana", "gone,Color,red,ana"))
    ingest(
        SOURCES["products"],
        shop,
        SourceOptions(demo=small.DEMO),
        tmp_path / "ingested",
        tmp_path / "report.json",
        max_bad_share=0,
        corrections=corrections,
    )
    values = {product.product_id: product.facets[0].value for product in read_products(tmp_path / "ingested")}
    assert values == {"a": "red", "b": "blue"}
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["num_corrected"], report["num_corrections_unused"]) == (1, 1)
    assert report["examples"] == {"unused_correction": ["no product 'gone'"]}
