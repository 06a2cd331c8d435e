"""The study of implicit values: who learns from what, who is scored, and shares that are right by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facetmill.cli import app
from facetmill.errors import DataError
from facetmill.params import load_params
from facetmill.records import Facet, Product, Span
from facetmill.studies import implicit
from facetmill.studies.domains import JEWELRY, domain_of
from facetmill.studies.folds import FOLDS, folds
from facetmill.studies.implicit import study_implicit
from facetmill.studies.plain_choice import PLAIN_ARMS, choose_plainly

SHAPE = Facet("Shape", "Oval")


def made(name: str, attribute: str, value: str, title: str = "mirror", **more: Any) -> Product:
    return Product(name, "t", title, facets=(Facet(attribute, value),), **more)


def test_listings_of_one_product_are_in_one_fold_and_folds_are_even() -> None:
    products = [Product(f"{n}:{side}", "t", "x", group_id=f"g{n}") for n in range(25) for side in "ab"]
    found = folds(products)
    assert sorted(found) == sorted({product.group_id for product in products})
    assert [list(found.values()).count(fold) for fold in range(FOLDS)] == [5] * 5


def test_a_share_has_an_interval_around_it() -> None:
    found = implicit._share(np.array([1] * 30 + [0] * 70))
    assert found.value == pytest.approx(0.3)
    margin = 1.96 * (0.3 * 0.7 / 100) ** 0.5
    assert found.low == pytest.approx(0.3 - margin, abs=0.015)
    assert found.high == pytest.approx(0.3 + margin, abs=0.015)


def test_titles_of_scored_products_are_not_learned_from() -> None:
    scored = [made("1:Shape", "Shape", "Oval", "Hall  Mirror", group_id="1")]
    same_product = made("1:Material", "Material", "Metal", "A mirror for halls", group_id="1")
    same_title = made("2", "Shape", "Round", "hall mirror ")
    other = made("3", "Shape", "Round", "Hall mirror, round")
    assert implicit._apart([same_product, same_title, other], scored) == [other]


def test_domains_are_those_of_implicitave() -> None:
    asked = [("Pattern", "Socks"), ("Material", "Backpacks"), ("Material", "Vases"), ("Length", "Dresses")]
    products = [
        replace(made("1", attribute, "x", category=category), source="implicitave") for attribute, category in asked
    ]
    assert [domain_of(product) for product in products] == [JEWELRY, JEWELRY, "Home", "Clothing"]
    assert domain_of(made("1", "Pattern", "Plaid")) is None


def test_the_plain_baseline_goes_by_words_by_pictures_and_by_both() -> None:
    """Titles tell Oval from Round, also those without a picture, and pictures Red from Blue; an attribute never trained
    on gets no answer."""
    words = {"Oval": "egg mirror", "Round": "circle mirror"}
    shape = [made(f"s{n}", "Shape", value, words[value]) for n, value in enumerate(["Oval", "Round"] * 4)]
    colour = [made(f"c{n}", "Colour", value) for n, value in enumerate(["Red", "Blue"] * 4)]
    only, new = [made("o", "Theme", "Cat")], [made("n", "Size", "Big")]
    titled = [made(f"t{n}", "Sleeve", value, f"{value} shirt") for n, value in enumerate(["long", "short"] * 4)]
    untold = [made("u", "Sleeve", "long", "long shirt")]
    products = [*shape, *only, *new, *untold]
    pictures = {p.product_id: np.zeros(2, dtype=np.float32) for p in products}
    pictures |= {p.product_id: np.eye(2, dtype=np.float32)[n % 2] for n, p in enumerate(colour)}
    test = [shape[0], shape[1], colour[0], colour[1], *only, *new, *untold]
    told = choose_plainly([*shape[2:], *colour[2:], *only], titled, test, pictures)
    assert told["plain title"][:2] == ["Oval", "Round"]
    assert told["plain picture"][2:4] == ["Red", "Blue"]
    assert told["plain both"] == ["Oval", "Round", "Red", "Blue", "Cat", "", "long"]


@pytest.fixture
def small_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(implicit, "_TEXT", {"network": "bilstm", "hidden_size": 8})
    monkeypatch.setattr(implicit, "_SEES", {"network": "config", "size": 32, "hidden_size": 8, "num_stages": 2})
    monkeypatch.setattr(implicit, "_TITLES", {"epochs": 8, "min_epoch_steps": 1, "learning_rate": 0.1})
    monkeypatch.setattr(implicit, "_PICTURES", {"epochs": 2, "min_epoch_steps": 1, "learning_rate": 0.002})


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("small_arms")
def test_every_product_is_scored_once_by_each_arm(root: Path, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "a.png")
    shown = (str(tmp_path / "a.png"),)
    pictured = [
        made(str(n), "Shape", value, f"{word} mirror", images=shown)
        for n, (value, word) in enumerate([("Oval", "egg"), ("Oval", "egg"), ("Oval", "egg"), ("Round", "wheel")] * 6)
    ]
    explicit = Product("e", "t", "Oval", images=shown, facets=(Facet("Shape", "Oval", (Span("title", 0, 4),)),))
    titles = [made(f"t{n}", "Shape", ("Oval", "Round")[n % 2], f"{('egg', 'wheel')[n % 2]} {n}") for n in range(40)]
    titles.append(made("0:x", "Shape", "Round", "x", group_id="0"))
    lines: list[str] = []
    params = load_params(root / "params.yaml")
    found = study_implicit(params, [*pictured, explicit], tmp_path, lines.append, titles=titles, beside="implicitave")
    assert (found.of_all.num_products, found.num_titles, found.num_left_out) == (24, 40, 1)
    assert lines[:2] == [
        "24 of 66 products have a picture and one implicit value",
        "40 without a picture are learned from; 1 are not, whose product or title is scored",
    ]
    ours = ["title", "picture", "both", "picture and words on it", "both and words on it"]
    assert [*found.of_all.arms] == ["majority", *PLAIN_ARMS, *ours]
    assert found.of_all.arms["majority"].strict.value == pytest.approx(0.75)
    assert found.of_all.arms["plain title"].strict.value == 1.0
    assert found.of_all.arms["title"].strict.value > 0.9
    assert found.of_all.arms["both"].strict.value > 0.9
    assert found.of_all.arms["picture"].strict.value <= 0.75  # all pictures are alike
    assert found.by_attribute["Shape"] == found.of_all
    assert found.by_domain == {}
    assert "GPT-4V" in {row.name for row in found.beside}


def test_too_few_products_are_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.csv").write_text("id,title,Color\na,Red cup,Red\nb,Blue mug,Blue\n")
    monkeypatch.chdir(root)
    done = CliRunner().invoke(app, ["study", "implicit", "--data", f"products:{tmp_path / 'shop.csv'}"])
    assert isinstance(done.exception, DataError)
    assert str(done.exception) == "0 products with a picture and one implicit value: too few for 5 folds"
    assert done.stderr.startswith("0 of 2 products have a picture and one implicit value\n")
