"""The study of implicit values: what a model is shown, who sees what, and shares that are right by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facetmill.cli import app
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.labels.schema import build_schema
from facetmill.errors import DataError
from facetmill.models.jave import Jave
from facetmill.params import load_params
from facetmill.records import Facet, Product, Span, to_batch
from facetmill.studies import implicit
from facetmill.studies.folds import FOLDS, folds
from facetmill.studies.implicit import study_implicit
from facetmill.studies.plain_choice import PLAIN_ARMS, choose_plainly
from facetmill.training.fit import fit
from tests import small

SHAPE = Facet("Shape", "Oval")


def test_the_known_values_are_listed_and_the_true_one_is_marked() -> None:
    product = Product("1", "t", "Hall mirror", "An old text.", facets=(SHAPE,))
    listed = implicit._listed(product, {"Shape": ["Round", "Oval", "Arched"]}, with_title=True)
    assert (listed.title, listed.text) == ("Hall mirror", "Arched / Oval / Round")
    assert listed.facets == (Facet("Shape", "Oval", (Span("text", 9, 13),)),)
    unknown = implicit._listed(product, {"Shape": ["Round"]}, with_title=False)
    assert (unknown.title, unknown.text, unknown.facets) == ("", "Round", (SHAPE,))


def test_the_answer_is_the_listed_value_that_most_surely_begins_there() -> None:
    """A model that is sure of one word wherever it stands tells it where it is listed, and not from the title."""
    draw = random.Random(0)
    values = {"Shape": ["Arched", "Oval", "Round"]}
    train = [implicit._listed(mirror(draw.choice(values["Shape"])), values, True) for _ in range(64)]
    config = replace(small.JAVE, category_attributes=False)
    seed_everything(0)
    model = Jave.fit_vocabulary(config, build_schema([to_batch(train)]), train)
    always_round = [replace(p, facets=(Facet("Shape", "Round", (Span("text", 16, 21),)),)) for p in train]
    fit(model, always_round, always_round[:8], replace(small.TRAINING, epochs=15, learning_rate=0.02), progress=False)
    asked = [implicit._listed(mirror(value, title="Round mirror"), values, True) for value in values["Shape"]]
    assert implicit._most_likely(model.eval(), asked, values) == ["Round"] * 3
    assert implicit._most_likely(model, [replace(asked[0], text="")], {}) == [""]


def mirror(value: str, title: str = "Mirror") -> Product:
    return Product("1", "t", title, facets=(Facet("Shape", value),))


def test_listings_of_one_product_are_in_one_fold_and_folds_are_even() -> None:
    products = [Product(f"{n}:{side}", "t", "x", group_id=f"g{n}") for n in range(25) for side in "ab"]
    found = folds(products)
    assert sorted(found) == sorted({product.group_id for product in products})
    assert [list(found.values()).count(fold) for fold in range(FOLDS)] == [5] * 5


def test_a_share_has_an_interval_around_it() -> None:
    found = implicit._share("both", np.array([1] * 30 + [0] * 70))
    assert found.value == pytest.approx(0.3)
    margin = 1.96 * (0.3 * 0.7 / 100) ** 0.5
    assert (found.low, found.high) == (pytest.approx(0.3 - margin, abs=0.015), pytest.approx(0.3 + margin, abs=0.015))


def test_the_plain_baseline_goes_by_words_by_pictures_and_by_both() -> None:
    """Titles tell Oval from Round, pictures Red from Blue; an attribute never trained on gets no answer."""

    def made(name: str, attribute: str, value: str, title: str) -> Product:
        return Product(name, "t", title, facets=(Facet(attribute, value),))

    words = {"Oval": "egg mirror", "Round": "circle mirror"}
    shape = [made(f"s{n}", "Shape", value, words[value]) for n, value in enumerate(["Oval", "Round"] * 4)]
    colour = [made(f"c{n}", "Colour", value, "mirror") for n, value in enumerate(["Red", "Blue"] * 4)]
    only = [made("o", "Theme", "Cat", "mirror")]
    new = [made("n", "Size", "Big", "mirror")]
    pictures = {p.product_id: np.zeros(2, dtype=np.float32) for p in [*shape, *only, *new]}
    pictures |= {p.product_id: np.eye(2, dtype=np.float32)[n % 2] for n, p in enumerate(colour)}
    test = [shape[0], shape[1], colour[0], colour[1], only[0], new[0]]
    told = choose_plainly([*shape[2:], *colour[2:], *only], test, pictures)
    assert told["plain title"][:2] == ["Oval", "Round"]
    assert told["plain picture"][2:4] == ["Red", "Blue"]
    assert told["plain both"] == ["Oval", "Round", "Red", "Blue", "Cat", ""]


@pytest.mark.timeout(300)
def test_every_product_is_scored_once_by_each_arm(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(implicit, "_TEXT", {"network": "bilstm", "hidden_size": 8})
    monkeypatch.setattr(implicit, "_SEES", {"size": 32, "hidden_size": 8, "num_stages": 2})
    monkeypatch.setattr(implicit, "_TRAINING", {"epochs": 1, "min_epoch_steps": 1})
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "a.png")
    pictured = [
        Product(
            str(n),
            "t",
            "Mirror",
            images=(str(tmp_path / "a.png"),),
            facets=(Facet("Shape", "Oval" if n % 4 else "Round"),),
        )
        for n in range(24)
    ]
    explicit = Product(
        "e", "t", "Oval", images=pictured[0].images, facets=(Facet("Shape", "Oval", (Span("title", 0, 4),)),)
    )
    lines: list[str] = []
    params = load_params(root / "params.yaml")
    found = study_implicit(
        params, [*pictured, explicit, Product("n", "t", "x", facets=(SHAPE,))], tmp_path, lines.append
    )
    assert found.num_products == 24
    assert [arm.name for arm in found.arms] == ["majority", *PLAIN_ARMS, "title", "picture", "both"]
    assert found.arms[0].value == pytest.approx(0.75)
    assert found.by_attribute["Shape"]["products"] == 24
    assert len(lines) == 31
    with pytest.raises(DataError, match="3 products with a picture"):
        study_implicit(params, pictured[:3], tmp_path, lines.append)


def test_too_few_products_are_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.csv").write_text("id,title,Color\na,Red cup,Red\nb,Blue mug,Blue\n")
    monkeypatch.chdir(root)
    done = CliRunner().invoke(app, ["study", "implicit", "--data", f"products:{tmp_path / 'shop.csv'}"])
    assert isinstance(done.exception, DataError)
    assert str(done.exception) == "0 products with a picture and one implicit value: too few for 5 folds"
    assert done.stderr.startswith("0 of 2 products have a picture and one implicit value\n")
