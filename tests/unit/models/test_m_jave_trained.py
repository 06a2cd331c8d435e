"""A trained M-JAVE: what it tells from pictures and without, as a served package, and to the judge of candidates."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.pictures import data_uri
from facetmill.judging.challenge import Served, answered, with_looks
from facetmill.judging.comparison import Answered, compare
from facetmill.models.jave import Jave
from facetmill.models.m_jave import MJave
from facetmill.records import Product
from facetmill.registry.versions import Resolved
from facetmill.report.review_page import review_page
from facetmill.serving.package import MODEL_FILE
from facetmill.serving.signature import SIGNATURE
from facetmill.tracking.tags import MODEL
from facetmill.training.checkpoint import save_model
from facetmill.training.fit import FitResult, fit
from facetmill.training.predict import predict
from tests import small
from tests.unit.models.test_m_jave import SCHEMA, TRAINING, ambiguous, built, clear, config, picture


@pytest.fixture(scope="module")
def trained() -> tuple[MJave, FitResult, Jave]:
    """M-JAVE and JAVE after the same training."""
    train = [*ambiguous(240, 1), *clear(60, 2)]
    size = {"hidden_size": 32, "window": 32}
    settings = small.with_text(config(attention_size=32, kl_weight=0.1), **size)
    settings = small.with_image(settings, hidden_size=16)
    model = built(settings, train)
    result = fit(model, train, ambiguous(40, 3), TRAINING)
    seed_everything(0)
    plain = small.with_text(dataclasses.replace(small.JAVE, attention_size=32, kl_weight=0.1), **size)
    jave = Jave.fit_vocabulary(plain, SCHEMA, train)
    fit(jave, train, ambiguous(40, 3), TRAINING)
    return model, result, jave


def share_right(model: Jave, products: list[Product]) -> float:
    """Share of products whose one true facet is all that is found."""
    found = predict(model, products, 16)
    right = [
        [(f.attribute, f.spans) for f in facets] == [(f.attribute, f.spans) for f in product.facets]
        for product, facets in zip(products, found, strict=True)
    ]
    return sum(right) / len(right)


def test_it_learns_from_pictures_what_the_text_cannot_tell(trained: tuple[MJave, FitResult, Jave]) -> None:
    model, _, jave = trained
    unseen = ambiguous(60, 4)
    assert share_right(model, unseen) > 0.85
    assert share_right(jave, unseen) < 0.6


def test_without_a_picture_it_falls_back_to_the_text(trained: tuple[MJave, FitResult, Jave]) -> None:
    model, _, _ = trained
    assert share_right(model, clear(40, 5)) > 0.9
    broken = [dataclasses.replace(product, images=(data_uri(b"x"),)) for product in clear(40, 5)]
    assert share_right(model, broken) > 0.9
    bare = [dataclasses.replace(product, images=()) for product in ambiguous(60, 4)]
    assert share_right(model, bare) < 0.6, "the pictures were what told"


@pytest.fixture(scope="module")
def packaged(trained: tuple[MJave, FitResult, Jave], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model as a package."""
    import mlflow.pyfunc

    folder = tmp_path_factory.mktemp("packaged")
    save_model(trained[0], folder / "model")
    mlflow.pyfunc.save_model(
        folder / "package",
        python_model=str(MODEL_FILE),
        artifacts={"model": str(folder / "model")},
        signature=SIGNATURE,
        pip_requirements=[],
    )
    return folder / "package"


def with_files(products: list[Product], folder: Path) -> list[Product]:
    """The same products, their pictures drawn into files."""
    changed = []
    for number, product in enumerate(products):
        path = folder / f"{number}.png"
        path.write_bytes(picture(product.facets[0].value, random.Random(number)))
        changed.append(dataclasses.replace(product, images=(str(path),)))
    return changed


@pytest.mark.timeout(300)
def test_the_served_package_looks_at_pictures(packaged: Path, tmp_path: Path) -> None:
    """By path, as bytes in a data URI, and as bytes."""
    import mlflow.pyfunc

    products = ambiguous(12, 4)
    paths = with_files(products, tmp_path)
    served = mlflow.pyfunc.load_model(str(packaged))
    columns = {"text": "", "product_id": "p"}
    for asked in (products, paths):
        rows = pd.DataFrame([{"title": product.title, "image": product.images[0], **columns} for product in asked])
        assert right_values(served.predict(rows)["facets"], asked) >= 10
    raw = served.unwrap_python_model()
    table = [{"title": p.title, "image": Path(p.images[0]).read_bytes(), **columns} for p in paths]
    assert right_values(raw.predict(None, pd.DataFrame(table))["facets"], paths) >= 10


@pytest.mark.timeout(300)
def test_the_judge_sees_what_it_does_with_pictures(
    trained: tuple[MJave, FitResult, Jave], packaged: Path, tmp_path: Path
) -> None:
    """Through the isolated processes that judge candidates: its answers, its awareness, its gates."""
    products = with_files(ambiguous(24, 4), tmp_path)
    tracker = SimpleNamespace(uri=f"sqlite:///{tmp_path / 'none.db'}")
    project: Any = SimpleNamespace(params=SimpleNamespace(promotion=small.PROMOTION), tracker=tracker)
    model = Served(Resolved("facets-candidates/1", version=1, tags={MODEL: "m_jave"}), packaged)
    said = answered(project, model, products)
    assert (
        sum([f.value for f in found] == [p.facets[0].value] for p, found in zip(products, said.facets, strict=True))
        >= 20
    )
    assert said.awareness is not None
    assert said.awareness.num_products == 24
    assert said.awareness.mean > 0.3  # a picture of another product has the same colour one time in four
    assert math.exp(said.awareness.log_p) < 0.001

    blind = Answered("dictionary", "dictionary", None, None, [()] * 24, said.latency)
    compared = with_looks(
        model, compare(products, said, blind, dataset="d", dataset_version="v", metric="value_f1", resamples=10)
    )
    [first, *_] = compared.examples
    maps = trained[0].picture_maps(first.product)
    assert first.gates is not None
    assert maps is not None
    assert [token["gate"] for token in first.gates["tokens"]] == pytest.approx([gate for _, gate in maps.tokens])
    assert first.gates["regions"] == pytest.approx([gate for row in maps.regions for gate in row])
    assert (first.gates["rows"], first.gates["columns"]) == (len(maps.regions), len(maps.regions[0]))
    [colour] = first.covered or []  # of all that it tells it is the picture that told, which is of one colour
    assert (colour["attribute"], colour["value"]) == ("Colour", said.facets[products.index(first.product)][0].value)
    assert colour["whole"] > 0.3
    assert first.chances is None  # it does not choose
    page = review_page(compared.to_json())
    assert "> A's gate</label>" in page
    assert "With the picture covered, A is less sure of <b><bdi>Colour</bdi></b>" in page
    assert "looks at no picture" in page


def right_values(answers: Any, products: list[Product]) -> int:
    found = [[facet["value"] for facet in facets] for facets in answers]
    return sum(values == [product.facets[0].value] for values, product in zip(found, products, strict=True))
