"""Catalogues as files: written, read over params.yaml, listed, checked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from facetmill.catalogues.files import add, checked, listed
from facetmill.catalogues.recognised import CALLED
from facetmill.cli import app
from facetmill.errors import DataError, ParamsError
from facetmill.params.catalogue import read_catalogue, require_name, unsaved_name
from facetmill.project import catalogue_in_hand, resolve_params
from tests import drawn

ROWS = ["Item No,Title,Color,Price"] + [f"A{i},Hat {i} red,red,1.50 EUR" for i in range(12)]


@pytest.fixture
def project(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a shop's file in it."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "src").symlink_to(root / "src")
    (tmp_path / "shop.csv").write_text("\n".join(ROWS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(project: Path, text: str, name: str = "shop") -> None:
    (project / "catalogues").mkdir(exist_ok=True)
    (project / "catalogues" / f"{name}.yaml").write_text(text)


def test_what_was_added_is_read_as_proposed(project: Path) -> None:
    made = add(project, "shop.csv")
    assert (made.name, made.file) == ("shop", "catalogues/shop.yaml")
    params = resolve_params(project, catalogue="shop")
    assert params.dataset.path == str(project / "shop.csv")
    assert params.dataset.columns == {"product_id": "Item No", "title": "Title"}
    assert params.dataset.ignore == ["Price"]
    said = yaml.safe_load((project / made.file).read_text())
    assert said["dataset"]["path"] == "shop.csv", "it may move with the project"
    found = checked(project, "shop")
    assert (found["products"], found["products_with"]) == (12, {"Color": 12})


def test_any_section_may_differ_and_set_has_the_last_word(project: Path) -> None:
    saved(
        project,
        "dataset: {format: products, path: shop.csv, columns: {product_id: Item No}}\n"
        "model: tagger\nsweep: {trials: 2}\nmodels: {jave: {training: {epochs: 3}}}\n",
    )
    params = resolve_params(project, catalogue="shop", changes=["sweep.trials=5"])
    assert (params.model, params.sweep.trials) == ("tagger", 5)
    assert params.own_training["jave"]["epochs"] == 3
    assert params.dataset.max_bad_share == resolve_params(project).dataset.max_bad_share
    assert resolve_params(project).model != "tagger", "params.yaml is as it was"


def test_categories_may_be_called_otherwise(project: Path) -> None:
    rows = ["id,title,category,Color", *(f"{i},Red tee {i},{'Tee Shirts' if i % 2 else 'Hats'},red" for i in range(12))]
    (project / "tees.csv").write_text("\n".join(rows))
    text = "dataset: {format: products, path: tees.csv, categories: {Tee Shirts: T-shirts, Hats: T-shirts}}\n"
    saved(project, text, "tees")
    assert checked(project, "tees")["categories"] == {"T-shirts": 12}


def test_errors_name_file_key_and_value_and_what_is_near(project: Path) -> None:
    data = "dataset: {format: products, path: shop.csv"
    for text, told in (
        (
            data + "}\npromtion: {metric: na_f1}",
            r"catalogues/shop.yaml: unknown key 'promtion' \(did you mean 'promotion'\?\)",
        ),
        (data + ", colums: {}}", r"catalogues/shop.yaml: unknown key 'dataset.colums' \(did you mean 'columns'\?\)"),
        (data + "}\nsweep: {trials: many}", r"catalogues/shop.yaml: sweep.trials = 'many': "),
        (data + "}\nmodel: jafe", r"model: unknown key 'jafe' \(did you mean 'jave'\?\)"),
        (data.replace("products", "product") + "}", r"dataset.format = 'product' \(did you mean 'products'\?\)"),
        ("- a", "catalogues/shop.yaml: expected a mapping"),
        ("model: jave", "catalogues/shop.yaml: dataset.format and dataset.path must say"),
        ("dataset: {\n", "catalogues/shop.yaml"),
    ):
        saved(project, text)
        with pytest.raises(ParamsError, match=told):
            resolve_params(project, catalogue="shop")
    with pytest.raises(ParamsError, match=r"no catalogue 'shp' \(did you mean 'shop'\?\); there are: demo, shop"):
        resolve_params(project, catalogue="shp")


def test_demo_is_there_without_a_file(project: Path) -> None:
    params = resolve_params(project, catalogue="demo", changes=["dataset.ignore=[Price]"])
    assert params.dataset.format == "demo"
    assert [each["name"] for each in listed(project)] == ["demo"]
    with pytest.raises(ParamsError, match="drawn by code"):
        add(project, "shop.csv", name="demo")


def test_nothing_is_written_over_and_nothing_for_data_that_is_none(project: Path) -> None:
    saved(project, "dataset: {format: products, path: shop.csv}\n# mine\n")
    with pytest.raises(ParamsError, match="is there already"):
        add(project, "shop.csv")
    assert "# mine" in (project / "catalogues" / "shop.yaml").read_text()
    add(project, "shop.csv", replace=True)
    assert "# mine" not in (project / "catalogues" / "shop.yaml").read_text()
    for data in ("nowhere.csv", "mae:nowhere"):
        with pytest.raises(DataError, match="no such file or folder"):
            add(project, data, name="other")
    assert [each["name"] for each in listed(project)] == ["demo", "shop"]


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "Shop", "-a", "a-", "x" * 49, "facets", "shop-candidates", "a:b", "a b"]
)
def test_a_name_is_no_path_and_nobody_elses(name: str) -> None:
    with pytest.raises(ParamsError, match="a name has up to"):
        require_name(name)


def test_names_of_columns_may_be_anything_that_yaml_can_write(project: Path) -> None:
    odd = ["id", "title", "a: b", "#x", '"q"', "- y", "ключ", "a\tb", "&z *z", "yes", "1"]
    rows = [",".join('"' + name.replace('"', '""') + '"' for name in odd)]
    rows += [",".join([str(i), f"Hat number {i}", *["https://x.example"] * 9]) for i in range(4)]
    (project / "odd.csv").write_text("\n".join(rows))
    add(project, "odd.csv")
    assert resolve_params(project, catalogue="odd").dataset.ignore == odd[2:]


def test_data_alone_makes_a_catalogue_of_its_own(project: Path) -> None:
    first = catalogue_in_hand(project, data="products:shop.csv")
    assert first == catalogue_in_hand(project, data=f"products:{project}/shop.csv"), "the same file, however named"
    assert first != catalogue_in_hand(project, data="products:other/shop.csv"), "which need not be there"
    assert catalogue_in_hand(project) == catalogue_in_hand(project, data="demo:") == "demo"
    for path in ("Schöne Hüte!.csv", "---.csv", "x" * 200 + ".csv"):
        require_name(unsaved_name("products", project / path))


def test_the_command_says_what_each_column_is_and_what_comes_next(project: Path) -> None:
    done = CliRunner().invoke(app, ["catalogue", "add", "shop.csv", "--name", "hats"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "  product_id  'Item No'" in lines
    assert "  ignored     'Price': prices, such as '1.50 EUR'" in lines
    assert lines[-1] == "next: facetmill catalogue check hats, then facetmill retrain --catalogue hats"
    assert read_catalogue(project, "hats")


EXPORTS = {
    "shopify": """Handle,Title,Body (HTML),Vendor,Option1 Name,Option1 Value
hat,Red hat,<p>Warm</p>,Acme,Color,Red
hat,,,,Color,Blue
""",
    "woocommerce": """ID,Type,SKU,Name,Published,Parent,Attribute 1 name,Attribute 1 value(s)
1,simple,h1,Red hat,1,,Color,Red
""",
    "merchant": """id\ttitle\tlink\timage_link\tavailability\tcolor
h1\tRed hat\thttps://a.example/1\t\tin_stock\tRed
""",
}
FEED = """<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><item>
<g:id>h1</g:id><g:title>Red hat</g:title><g:color>Red</g:color></item></channel></rss>"""


@pytest.mark.parametrize(("data_format", "content"), [*EXPORTS.items(), ("merchant", FEED)])
def test_an_export_of_a_shop_system_is_known_by_what_only_it_has(project: Path, data_format: str, content: str) -> None:
    (project / "export.csv").write_text(content)
    made = add(project, "export.csv", name="own")
    assert resolve_params(project, catalogue="own").dataset.format == data_format
    assert made.words()[0].endswith(f"is {CALLED[data_format]}")
    assert checked(project, "own")["products_with"]["Color"] == 1


def test_whoever_names_format_or_columns_of_an_export_reads_it_as_a_table(project: Path) -> None:
    (project / "export.csv").write_text(EXPORTS["merchant"])
    for name, data, columns in (("a", "products:export.csv", {}), ("b", "export.csv", {"title": "title"})):
        add(project, data, name=name, columns=columns)
        assert resolve_params(project, catalogue=name).dataset.format == "products"


@pytest.mark.parametrize("address", ["", "https://cdn.shop.example/files/"])
def test_pictures_are_found_below_the_file(project: Path, address: str) -> None:
    (project / "shop" / "Bilder").mkdir(parents=True)
    for number in range(12):
        (project / "shop" / "Bilder" / f"hat {number}.png").write_bytes(drawn.encoded(Image.new("RGB", (8, 8))))
    rows = [f"A{number},Hat {number} red,red,{address}hat%20{number}.png?v=1" for number in range(12)]
    if not address:
        rows = [row.replace("%20", " ").removesuffix("?v=1") for row in rows]
    (project / "shop" / "list.csv").write_text("\n".join(["Item No,Title,Color,Image", *rows]))
    made = add(project, "shop/list.csv", name="own")
    assert made.pictures == str(project / "shop" / "Bilder")
    assert any("lie in" in line for line in made.words())
    found = checked(project, "own")
    assert (found["pictures"], found["pictures_dropped"]) == (12, {})


def test_pictures_of_a_feed_are_found_below_it(project: Path) -> None:
    (project / "feed" / "pictures").mkdir(parents=True)
    (project / "feed" / "pictures" / "hat.png").write_bytes(drawn.encoded(Image.new("RGB", (8, 8))))
    item = "<g:title>Red hat</g:title><g:image_link>https://cdn.shop.example/a/hat.png?v=1</g:image_link>"
    (project / "feed" / "feed.xml").write_text(FEED.replace("<g:title>Red hat</g:title>", item))
    assert add(project, "feed/feed.xml", name="own").pictures == str(project / "feed" / "pictures")
    assert checked(project, "own")["pictures"] == 1
    (project / "feed" / "feed.xml").write_text(FEED.replace("<g:title>Red hat</g:title>", item.replace("//cdn", "//[")))
    assert add(project, "feed/feed.xml", name="own", replace=True).pictures is None, "no address at all"
