"""The study of packs: its counts by hand, and the command on drawn packs whose words both engines read."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facetmill.errors import DataError
from facetmill.params import Params, load_params
from facetmill.records import Facet, Product
from facetmill.studies import ocr
from tests import drawn
from tests.conftest import missing


@pytest.fixture
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


@pytest.mark.parametrize(
    ("value", "text", "stands"),
    [
        ("Honey Roasted", "BEST HONEY roasted nuts", True),
        ("Tin", "Tinned meat", False),
        ("Tin", "in a tin", True),
        (" ", "a  b", False),
    ],
)
def test_a_value_stands_as_whole_words_in_any_case(value: str, text: str, stands: bool) -> None:
    assert ocr._stands(value, text) is stands


def test_words_of_packs_stand_behind_the_text() -> None:
    products = [Product("1", "t", "Tea", "Loose."), Product("2", "t", "Tea")]
    shown = ocr._with_words(products, [["Green", "Sencha"], []])
    assert [(product.title, product.text) for product in shown] == [("Tea", "Loose. Green Sencha"), ("Tea", "")]


def test_only_attributes_that_were_looked_for_are_scored(params: Params) -> None:
    """Twelve teas whose pack names flavour and form; the form of half of them was never annotated."""
    flavour, form = Facet("Flavour", "Peanut Butter"), Facet("Form", "Bags")
    products = [
        Product(str(n), "t", "Snack", "PEANUT  BUTTER bags", facets=(flavour, form) if n % 2 else (flavour,))
        for n in range(12)
    ]
    counts = ocr._score(params, products)
    assert counts.sum(axis=0).tolist() == [18, 18, 18]
    looked = [Product("x", "t", "Snack", "bags", facets=(flavour,), absent=("Form",))]
    assert ocr._score(params, [*products, *looked]).sum(axis=0).tolist() == [18, 19, 19]


def test_listings_of_one_product_are_one_row(params: Params) -> None:
    products = [Product(str(n), "t", "Red cup", group_id=str(n // 2), facets=(Facet("c", "red"),)) for n in range(24)]
    assert ocr._score(params, products).tolist() == [[2, 2, 2]] * 12
    assert ocr._standing(products).tolist() == [[2, 2]] * 12


def test_an_arm_has_its_shares_and_intervals() -> None:
    arm = ocr._arm("title", np.array([[1, 1, 1], [0, 1, 1], [0, 0, 2]]), np.array([[1, 1], [1, 1], [0, 2]]))
    assert (arm.stands.value, arm.recall.value, arm.precision) == (0.5, 0.25, 0.5)
    assert arm.value_f1.value == pytest.approx(1 / 3)
    assert 0 <= arm.recall.low <= arm.recall.value <= arm.recall.high <= 1


@pytest.mark.timeout(300)
def test_the_command_finds_what_stands_on_packs_alone(root: Path, tmp_path: Path) -> None:
    if shutil.which("tesseract") is None:
        missing("tesseract", "apt-get install tesseract-ocr")
    with (tmp_path / "shop.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "title", "category", "images", "Flavor"])
        for n in range(12):
            flavour = ("Orange", "Vanilla")[n % 2]
            image = drawn.pack({flavour: (20, 20), f"N{n}": (20, 100)}).crop((0, 0, 320, 160))
            image.save(tmp_path / f"{n}.png")
            writer.writerow([f"p{n}", "Tea", "tea" if n < 11 else "other", f"{n}.png", flavour])
    words = ["study", "ocr", "--data", f"products:{tmp_path / 'shop.csv'}", "--category", "tea", "--limit", "10"]
    command = [sys.executable, "-m", "facetmill", *words, "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "10 products with a picture and facets\n"
    found = json.loads(done.stdout)
    assert (found["num_products"], found["num_pictures"], found["num_unreadable"]) == (10, 10, 0)
    assert [engine["engine"] for engine in found["engines"]] == ["rapidocr", "tesseract"]
    for engine in found["engines"]:
        assert engine["tokens_median"] == 2
        assert engine["share_with_tokens"] == 1
        assert 0 < engine["seconds_median"] < 60
    assert found["agreement"]["rapidocr, tesseract"]["value"] > 0.7
    f1 = {arm["name"]: arm["value_f1"]["value"] for arm in found["arms"]}
    assert f1 == {"title": 0, "title + rapidocr": 1, "title + tesseract": 1}
    assert found["differences"]["title + rapidocr - title"]["low"] == 1
    assert found["examples"][0]["title"] == "Tea"
    assert found["examples"][0]["value"] in found["examples"][0]["words"]["rapidocr"]


def test_too_few_products_are_refused(params: Params) -> None:
    lines: list[str] = []
    pictured = Product("1", "t", "Cup", images=("a.png",), facets=(Facet("c", "red"),))
    with pytest.raises(DataError, match="1 products with a picture and facets: too few for 5 folds"):
        ocr.study_ocr(params, [pictured, Product("2", "t", "Cup")], lines.append)
    assert lines == ["1 products with a picture and facets"]
