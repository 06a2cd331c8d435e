"""A model that chooses, one that writes and one with two phases go the whole way: sweep, training, package, judgement,
promotion, reproduction, rollback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import build, resolve
from facetmill.gates.verdict import Decision
from facetmill.judging.judge import judge_and_promote, register_candidate
from facetmill.params import load_params
from facetmill.project import Project
from facetmill.registry import promotion, versions
from facetmill.runs.reproduce import reproduce
from facetmill.runs.sweep import sweep
from facetmill.runs.train import train_dictionary, train_seeds
from facetmill.serving.query import query
from facetmill.serving.smoke import smoke_test
from tests import small, toys
from tests.stand_in import stand_in

from .conftest import Platform

pytestmark = pytest.mark.pipeline

TOYS = (toys.Chooser, toys.Writer, toys.TwoPhases)
KINDS = ("boots", "bag")
#: What a title says, and the value that is nowhere in it.
SEASONS = {"ski": "winter", "beach": "summer", "rain": "autumn"}
AGES = {"school": "child", "office": "adult"}


@dataclass(frozen=True)
class World:
    """A project with one dataset. A toy is told from another by its seed alone, for all stand in for one model."""

    project: Project
    dataset: Dataset

    def seeded(self, seed: int) -> Project:
        params = self.project.params
        return replace(self.project, params=replace(params, sweep=replace(params.sweep, seed=seed, final_seeds=[seed])))

    def answers(self) -> list[Any]:
        products = list(self.dataset.read("test"))[:8]
        found = query("models:/facets@champion", products, tracking_uri=self.project.tracker.uri)
        return [sorted((f.attribute, f.value, f.confidence) for f in facets) for facets in found.facets]


@pytest.fixture(scope="module")
def world(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("toys")
    said = list(product(SEASONS, AGES, KINDS)) * 10
    rows = [
        f"p{number},{season} {age} {kind} {number},{SEASONS[season]},{AGES[age]},{kind}"
        for number, (season, age, kind) in enumerate(said)
    ]
    (folder / "shop.csv").write_text("\n".join(["id,title,Season,Age,Kind", *rows]))
    root = platform.layout.root
    params = resolve(root, load_params(root / "params.yaml"), f"products:{folder / 'shop.csv'}")
    params = replace(
        params,
        models=replace(params.models, jave=small.JAVE, dictionary=small.DICTIONARY),
        training=replace(small.TRAINING, epochs=8, min_epoch_steps=12, batch_size=8, learning_rate=0.1),
        sweep=replace(params.sweep, trials=2, epochs=2, train_share=1.0, final_seeds=[0], workers=1, min_gain=0.0),
        promotion=replace(small.PROMOTION, max_latency_ratio=50.0, max_latency_seconds=30.0),
    )
    dataset = build(root, params, log=lambda line: None).dataset
    return World(Project(platform.layout, params), dataset)


@pytest.fixture(params=TOYS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type[toys.Chooser]]:
    with pytest.MonkeyPatch.context() as patch:
        place = f"{request.param.__module__}:{request.param.__name__}"
        stand_in(patch, toys.KEY, place, tmp_path)
        yield request.param


def test_it_goes_the_whole_way(kind: type[toys.Chooser], world: World) -> None:
    project, dataset = world.seeded(TOYS.index(kind)), world.dataset
    before = versions.champion(project.tracker)
    dictionary = train_dictionary(project, dataset)
    winner = sweep(project, dataset, toys.KEY)
    assert winner.num_trials == 2
    runs = train_seeds(project, dataset, winner.recipe, winner.study)
    version = register_candidate(project, dataset, runs, dictionary).version
    outcome = judge_and_promote(project, version, who="ada", why="spring")
    failed = {verdict["gate"]: verdict["reason"] for verdict in outcome.verdicts if not verdict["passed"]}
    assert failed.keys() <= {"beats_champion", "seeds_agree"}, (
        "equals do not replace each other, and no other gate fails"
    )
    assert (outcome.outcome == "promoted") == (before is None), failed
    again = reproduce(project, f"facets-candidates/{version}")
    assert again.same, again.differences

    if before is not None:  # a person may put it live all the same, and take it back
        live = world.answers()
        decision = Decision(True, (), version, int(before.version))
        promotion.promote(project.tracker, project.ledger, version, decision, who="ada", why="a look", smoke=smoke_test)
        assert world.answers() != live
        promotion.rollback(project.tracker, project.ledger, who="ada", why="enough", smoke=smoke_test)
        assert world.answers() == live
