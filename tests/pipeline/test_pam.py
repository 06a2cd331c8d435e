"""PAM goes the whole way: trained, judged by pair F1, promoted, served with words given in the request, reproduced."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from facetmill.dataset.store.workspace import build, resolve
from facetmill.judging.judge import judge_and_promote, register_candidate
from facetmill.params import load_params
from facetmill.project import Project
from facetmill.records import OcrToken, Product
from facetmill.runs.reproduce import reproduce
from facetmill.runs.train import recipe_of, train_dictionary, train_seeds
from facetmill.serving.query import query
from tests import small

from .conftest import Platform

pytestmark = pytest.mark.pipeline

SEASONS = {"ski": "winter", "beach": "summer", "rain": "autumn"}
AGES = {"school": "child", "office": "adult"}


def test_it_goes_the_whole_way_and_reads_the_words_that_a_request_gives(platform: Platform, tmp_path: Path) -> None:
    rows = [
        f"p{number},{season} {age} {kind} {number},{SEASONS[season]},{AGES[age]},{kind}"
        for number, (season, age, kind) in enumerate(list(product(SEASONS, AGES, ("boots", "bag"))) * 10)
    ]
    (tmp_path / "shop.csv").write_text("\n".join(["id,title,Season,Age,Kind", *rows]))
    root = platform.layout.root
    params = resolve(root, load_params(root / "params.yaml"), f"products:{tmp_path / 'shop.csv'}")
    params = replace(
        params,
        models=replace(params.models, pam=replace(small.PAM, objects="none", ocr="words"), dictionary=small.DICTIONARY),
        training=replace(small.TRAINING, epochs=8, min_epoch_steps=12, batch_size=8, learning_rate=0.004),
        sweep=replace(params.sweep, final_seeds=[0], workers=1),
        promotion=replace(small.PROMOTION, max_latency_ratio=50.0, max_latency_seconds=30.0),
    )
    dataset = build(root, params, log=lambda line: None).dataset
    project = Project(platform.layout, params)
    dictionary = train_dictionary(project, dataset)
    runs = train_seeds(project, dataset, recipe_of(params, "pam"))
    version = register_candidate(project, dataset, runs, dictionary).version
    outcome = judge_and_promote(project, version, who="ada", why="packs")
    failed = {verdict["gate"]: verdict["reason"] for verdict in outcome.verdicts if not verdict["passed"]}
    assert outcome.outcome == "promoted", failed

    asked = Product("new", "s", "ski office bag 999", ocr=(OcrToken("bag"), OcrToken("large")))
    silent = replace(asked, ocr=())
    told, without = query("models:/facets@champion", [asked, silent], tracking_uri=project.tracker.uri).facets
    assert ("Kind", "bag") in {(facet.attribute, facet.value) for facet in without}
    assert any(not facet.spans for facet in without), "what no text says is told, too"
    assert [facet.confidence for facet in told] != [facet.confidence for facet in without], "it reads what is given"
    again = reproduce(project, f"facets-candidates/{version}")
    assert again.same, again.differences
