"""The papers' claims: each experiment differs in what its claim is about, one runs from end to end, and the command
says plainly what does not hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facetmill.cli import app
from facetmill.dataset.store.reading import reading_data
from facetmill.errors import DataError
from facetmill.metrics.tally import Tally
from facetmill.params import JaveConfig, Params, load_params, to_mapping
from facetmill.platform.layout import Layout
from facetmill.records import Facet, Product, Span
from facetmill.runs.train import Recipe
from facetmill.studies import claims
from facetmill.studies.claims import Answered, Claims, SideScore, study_claims
from facetmill.studies.effect import Effect
from facetmill.studies.experiments import (
    CLAIMS,
    FEW_ATTRIBUTES,
    Claim,
    Draw,
    Experiment,
    Shown,
    Side,
    Workshop,
    packed,
    tally_beyond_title,
    titled,
    with_other_product,
)
from facetmill.tracking.tracker import flatten
from tests import small

#: By claim, the settings in which its two systems differ, and nothing else.
DIFFER = {
    "joint-learning": {"tasks"},
    "gates": {"global_gate", "regional_gate"},
    "fine-tuning": {"encoder.freeze", "image_encoder.freeze"},
    "distractors": {"vision"},
    "growing-range": {"range"},
    "packs": {"ocr"},
    "category-vocabulary": {"vocabulary"},
}
MADE = Claims(
    seeds=(0, 1),
    claims=(
        Answered(
            claim="gates",
            says="Gates help.",
            here="gates less no gates",
            metric="value F1",
            num_products=9,
            effect=Effect(-0.05, -0.08, -0.02),
            verdict="does not hold",
            sides=(SideScore("gates", 0.5, (0.4, 0.6)), SideScore("no gates", 0.55, (0.45, 0.65))),
        ),
    ),
)


@pytest.fixture(scope="module")
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


@pytest.fixture
def stack() -> Any:
    with ExitStack() as stack:
        yield stack


def drawing(params: Params, stack: ExitStack, products: int = 60) -> Draw:
    """The knobs that a claim asks for, but fewer and smaller products."""

    def draw(knobs: Mapping[str, Any], shown: Shown = titled) -> list[Product]:
        demo = replace(params.demo, **{**knobs, "products": products, "image_size": 32})
        found, _ = stack.enter_context(reading_data(replace(params, demo=demo)))
        return [shown(product) for product in found]

    return draw


def workshop(params: Params, stack: ExitStack) -> Workshop:
    """Nothing is learned in it."""
    return Workshop(params, drawing(params, stack), lambda: Path("backbone"))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_sides_of_a_claim_differ_in_what_it_is_about(claim: Claim, params: Params, stack: ExitStack) -> None:
    experiment = claim.experiment(workshop(params, stack))
    sides = (*experiment.more, *experiment.less)
    recipes = [flatten(to_mapping(side.recipe.config)) for side in sides]
    differ = {name for name in recipes[0] if len({str(recipe[name]) for recipe in recipes}) > 1}
    assert differ - {"tir_softmax"} == DIFFER[claim.name]
    groups = [sorted({p.group_id for p in (s.part.elsewhere if s.elsewhere else s.part.test)}) for s in sides]
    assert groups.count(groups[0]) == len(groups), "asked about the same products"
    for side in sides:
        learned = {p.group_id for p in (*side.part.train, *side.part.validation)}
        assert learned.isdisjoint(groups[0])
    assert len({side.name for side in sides}) == len(sides)


def test_products_have_their_titles_and_what_stands_in_them(params: Params, stack: ExitStack) -> None:
    for product in drawing(params, stack)({}):
        assert (product.text, product.ocr) == ("", ())
        spans = [(facet.value, span) for facet in product.facets for span in facet.spans]
        assert {span.field for _, span in spans} <= {"title"}
        assert all(product.title[span.start : span.end].lower() == value.lower() for value, span in spans)


def test_products_with_packs_have_the_words_on_these_and_all_their_values(params: Params, stack: ExitStack) -> None:
    drawn = drawing(params, stack)
    whole = [(product.product_id, [(f.attribute, f.value) for f in product.facets]) for product in drawn({}, packed)]
    assert sum(len(values) for _, values in whole) > sum(len(product.facets) for product in drawn({}))
    assert any(product.ocr for product in drawn({}, packed))
    assert not any(product.text for product in drawn({}, packed))


def test_values_that_no_title_has_are_counted_apart() -> None:
    in_title = Span("title", 0, 3)
    product = Product("p", "s", "Tin of tea", facets=(Facet("Packaging", "Tin", (in_title,)), Facet("Brand", "Acme")))
    told = [Facet("Packaging", "tin", (in_title,)), Facet("Brand", "ACME"), Facet("Flavor", "Rose")]
    assert tally_beyond_title(product, told) == Tally(1, 2, 1)
    assert tally_beyond_title(product, []) == Tally(0, 0, 1)


def test_a_distractor_is_another_product_beside_ones_own(params: Params, stack: ExitStack) -> None:
    products = drawing(params, stack)({"missing_images": 0.0})
    product = products[0]

    def halves(*, both: bool) -> list[bytes]:
        [path] = with_other_product(product, products, both=both).images
        wide = np.asarray(Image.open(path))
        return [half.tobytes() for half in (wide[:, :32], wide[:, 32:])]

    pictures = {np.asarray(Image.open(each.images[0])).tobytes(): each.category for each in products}
    own = np.asarray(Image.open(product.images[0])).tobytes()
    alone, both = halves(both=False), halves(both=True)
    white = np.full((32, 32, 3), 255, np.uint8).tobytes()
    assert sorted([own, white]) == sorted(alone)
    assert both[alone.index(own)] == own, "on the same side"
    assert pictures[both[alone.index(white)]] != product.category


def test_fewer_attributes_are_the_commonest_ones(params: Params, stack: ExitStack) -> None:
    growing = next(claim for claim in CLAIMS if claim.name == "growing-range")
    experiment = growing.experiment(workshop(params, stack))
    every, few = (side.part.schema.names for side in experiment.more)
    assert len(every) > 12
    assert len(few) == FEW_ATTRIBUTES
    assert {"Brand", "Color"} < set(few) < set(every)


def _tiny(made: Workshop) -> Experiment:
    """Joint learning with the smallest networks, on some products."""
    few = replace(made, draw=lambda knobs, shown=titled: made.draw({**knobs, "products": 60}, shown))
    experiment = next(claim for claim in CLAIMS if claim.name == "joint-learning").experiment(few)

    def small_side(side: Side) -> Side:
        asked = side.recipe.config
        assert isinstance(asked, JaveConfig)
        config = replace(small.JAVE, tasks=asked.tasks)
        return replace(side, recipe=Recipe("jave", config, replace(small.TRAINING, epochs=1)))

    more, less = (tuple(map(small_side, sides)) for sides in (experiment.more, experiment.less))
    return replace(experiment, more=more, less=less)


def test_a_claim_is_asked_from_end_to_end_and_trained_once(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "CLAIMS", (Claim("tiny", "Both help.", "JAVE less two", _tiny),))
    lines: list[str] = []
    found = study_claims(Layout(tmp_path), params, seeds=2, log=lines.append)
    (answered,) = found.claims
    assert (answered.claim, answered.metric, found.seeds) == ("tiny", "value F1", (0, 1))
    assert [side.name for side in answered.sides] == ["JAVE", "two networks"]
    assert all(len(side.by_seed) == 2 for side in answered.sides)
    first, second = answered.sides
    assert answered.effect.size == pytest.approx(first.score - second.score)
    assert answered.effect.low <= answered.effect.size <= answered.effect.high
    assert sum(line.endswith("trained") for line in lines) == 4
    assert study_claims(Layout(tmp_path), params, ["tiny"], seeds=2, log=lines.append) == found
    assert sum(line.endswith("trained") for line in lines) == 4
    with pytest.raises(DataError, match="no claim 'teleport'; there are tiny"):
        study_claims(Layout(tmp_path), params, ["teleport"], log=lines.append)


def test_the_command_shows_a_verdict_for_each_claim_and_what_each_side_scored(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def made(paths: Layout, params: Params, names: Any, **options: Any) -> Claims:
        asked.update(options, names=names)
        return MADE

    monkeypatch.chdir(root)
    monkeypatch.setattr("facetmill.project.Project.tracker", None)  # or an MLflow server would come up
    monkeypatch.setattr("facetmill.studies.claims.study_claims", made)
    monkeypatch.setattr("facetmill.studies.tracked.log_claims", lambda tracker, found: "a1b2")
    command = ["study", "claims", "--claim", "gates", "--seeds", "2", "--workers", "2"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert (asked["names"], asked["seeds"], asked["workers"]) == (["gates"], 2, 2)
    assert "| gates | gates less no gates | value F1 | -5.0 [-8.0, -2.0] | does not hold |" in shown.output
    assert "| gates | no gates | 55.0  | 45.0, 65.0 |" in shown.output
    assert "- gates: Gates help." in shown.output
    assert "run a1b2" in shown.output
    found = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert (found["run"], found["claims"][0]["verdict"]) == ("a1b2", "does not hold")
