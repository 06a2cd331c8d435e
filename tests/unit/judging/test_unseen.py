"""What a champion remembers decides nothing: only products that are new to both models are judged by."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.dataset.store.fingerprints import FINGERPRINTS, Fingerprints
from facetmill.gates.pictures import LookCache
from facetmill.judging.challenge import Served
from facetmill.judging.claims import Evidence, beats_champion, enough_unseen_products
from facetmill.judging.comparison import Answered, Latency, compare, compare_left_out
from facetmill.judging.unseen import unseen
from facetmill.models import model_class
from facetmill.models.base import Model
from facetmill.params import load_params
from facetmill.platform.layout import Layout
from facetmill.project import Project
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.registry.versions import Resolved
from facetmill.serving.package import weights_dir
from facetmill.training.predict import predict
from tests.small import DICTIONARY, PROMOTION

COLORS = ("red", "blue", "green", "grey")
LATENCY = Latency(0.01, 0.02, 1.0)


def listing(number: int, name: str, source: str = "shop") -> Product:
    """A colour, which can be learned, and an article number, which can only be known."""
    color = COLORS[number % len(COLORS)]
    title = f"{color} thing a{number:03}"
    facets = [Facet("Color", color, (Span("title", 0, len(color)),)),
              Facet("Article", title[-4:], (Span("title", len(title) - 4, len(title)),))]  # fmt: skip
    return Product(f"{name}{number}", source, title, facets=tuple(facets))


def trained(products: list[Product]) -> Model:
    names = sorted({facet.attribute for product in products for facet in product.facets})
    schema = AttributeSchema(
        tuple(
            Attribute(name, {f.value: 1 for product in products for f in product.facets if f.attribute == name})
            for name in names
        )
    )
    config = replace(DICTIONARY, min_reliability=0.1)
    return model_class("dictionary").fit_vocabulary(config, schema, products)


def answered(ref: str, model: Model, products: list[Product]) -> Answered:
    return Answered(ref, "dictionary", 1, None, list(predict(model, products, 16)), LATENCY)


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Project:
    return Project(Layout(tmp_path), load_params(root / "params.yaml"))


def served(folder: Path, ref: str, products: list[Product]) -> Served:
    """A package with nothing in it but what its model was trained on."""
    weights_dir(folder).mkdir(parents=True)
    Fingerprints.of(products, LookCache(None)).write(weights_dir(folder) / FINGERPRINTS)
    return Served(Resolved(ref), folder)


def test_a_champion_of_a_larger_set_that_holds_the_test_rows(project: Project, tmp_path: Path) -> None:
    """As with OA-Mine: the champion learned from a larger set in which most test rows stand under other ids. It knows
    their article numbers, and but two of the four colours; the challenger knows all colours and no article."""
    test = [listing(number, "p") for number in range(120)]
    own = [listing(number, "p") for number in range(200, 260)]
    larger = [listing(number, "row-", "elsewhere") for number in range(80)]
    champion = trained([replace(p, facets=p.facets if COLORS.index(p.facets[0].value) < 2 else p.facets[1:])
                        for p in larger])  # fmt: skip
    first, second = answered("candidate", trained(own), test), answered("champion", champion, test)

    everything = compare(test, first, second, metric="value_f1", dataset="d", dataset_version="v")
    assert everything.paired["value_f1"].high < 0  # by what it remembers the champion seems far better

    sides = served(tmp_path / "a", "candidate", own), served(tmp_path / "b", "champion", larger)
    split = unseen(project, test, sides)
    assert split.new == tuple(range(80, 120))
    assert split.sides == ({}, {"title": 80})
    new = [test[place] for place in split.new]
    fair = compare(new, first.at(split.new), second.at(split.new), metric="value_f1", dataset="d", dataset_version="v")
    apart = [test[place] for place in split.left_out]
    left_out = compare_left_out(apart, first.at(split.left_out), second.at(split.left_out), split.sides)
    assert (left_out.num_products, left_out.paired["value_f1"].high < 0) == (80, True)
    said = json.loads(json.dumps(replace(fair, left_out=left_out).to_json()["left_out"]))
    assert (said["num_products"], said["first"], said["second"]) == (80, {}, {"title": 80})

    evidence = Evidence(
        candidate_version=2,
        champion_version=1,
        dataset_version="v",
        dataset_passed=True,
        num_products=120,
        signature_as_published=True,
        against_champion=fair.paired["value_f1"],
        num_unseen=len(split.new),
        candidate_trained_on=split.num_trained_on(0),
        champion_trained_on=split.num_trained_on(1),
    )
    assert beats_champion(evidence, PROMOTION).passed
    verdict = enough_unseen_products(evidence, PROMOTION)
    assert verdict.passed
    assert "40 of 120 test products are new" in verdict.reason
    assert "champion 1 was trained on 80" in verdict.reason
    assert not enough_unseen_products(evidence, replace(PROMOTION, min_unseen_products=41)).passed


def test_a_model_without_fingerprints_is_not_known(project: Project, tmp_path: Path) -> None:
    """It has no tag of a dataset either. What the other side was trained on is left out all the same."""
    test = [listing(number, "p") for number in range(10)]
    known = served(tmp_path / "a", "candidate", test[:4])
    bare = served(tmp_path / "b", "champion", test)
    shutil.rmtree(weights_dir(bare.package))
    split = unseen(project, test, (known, bare))
    assert split.sides == ({"group": 4}, None)
    assert (split.num_trained_on(0), split.num_trained_on(1)) == (4, None)
    assert split.left_out == (0, 1, 2, 3)
