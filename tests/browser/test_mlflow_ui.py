"""What a reviewer finds in the MLflow UI of the embedded server, after the project's own functions have worked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import build
from facetmill.gates.verdict import Decision, Verdict
from facetmill.judging.judge import register_candidate
from facetmill.project import Project, open_project
from facetmill.registry import promotion
from facetmill.registry.notes import describe_candidate
from facetmill.runs.sweep import sweep
from facetmill.runs.train import TrainedRun, recipe_of, train
from tests.pipeline.conftest import Platform, platform

pytestmark = pytest.mark.pipeline

__all__ = ["platform"]  # a fixture of real servers

SMALL: dict[str, dict[str, Any]] = {
    "demo": {"products": 60, "image_size": 32},
    "promotion": {"bootstrap": 100},
    "sweep": {"trials": 3},
}
REASON = "pair_f1 0.6 against 0.5 of the dictionary: +0.100 [+0.050, +0.150], p 0.01, shown to be better"
VISIBLE = 60_000  # milliseconds: the first page of a cold server on a busy machine


@dataclass(frozen=True)
class Store:
    """Two trainings of the cheapest model; the first is registered, and live."""

    url: str
    experiment_id: str
    dataset: Dataset
    first: TrainedRun
    second: TrainedRun


@pytest.fixture(scope="module")
def store(platform: Platform) -> Store:
    path = platform.layout.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**params, **{name: params[name] | changes for name, changes in SMALL.items()}}))
    project = open_project("demo:", "dictionary", start=platform.layout.root)
    dataset = build(project.layout.root, project.params, log=lambda line: None).dataset
    first, second = (train_dictionary(project, dataset, reliability) for reliability in (0.3, 0.95))
    sweep(project, dataset, "dictionary")
    version = register_candidate(project, dataset, [first], first).version
    verdict = Verdict("beats_dictionary", True, "critical", 0.1, "above 0", REASON)
    decision = Decision(True, (verdict,), version)
    describe_candidate(project.tracker, version, decision)
    promotion.promote(
        project.tracker,
        project.ledger,
        version,
        decision,
        who="ana",
        why="spring <b>range</b>",
        smoke=lambda uri, tracking_uri: None,
    )
    return Store(project.tracker.uri, project.tracker.experiment_id, dataset, first, second)


def train_dictionary(project: Project, dataset: Dataset, reliability: float) -> TrainedRun:
    recipe = recipe_of(project.params, "dictionary")
    return train(project, dataset, replace(recipe, config=replace(recipe.config, min_reliability=reliability)))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1900, "height": 1300})
    context.set_default_timeout(VISIBLE)
    yield context.new_page()
    context.close()


def seen(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_text(text).first).to_be_visible(timeout=VISIBLE)


def test_the_saved_view_lists_the_runs_by_name_with_their_scores(page: Page, store: Store) -> None:
    page.goto(f"{store.url}/#/experiments/{store.experiment_id}/runs?viewStateShareKey=review")
    for name in (f"dictionary seed 0 {store.dataset.name}", f"dictionary sweep {store.dataset.name}"):
        expect(page.get_by_role("link", name=name).first).to_be_visible(timeout=VISIBLE)
    expect(page.get_by_role("columnheader", name="test/pair_f1").first).to_be_visible(timeout=VISIBLE)
    seen(page, "Models that find facets (attribute-value pairs) in product listings.")


def test_two_runs_are_compared_side_by_side(page: Page, store: Store) -> None:
    runs = f'["{store.first.run_id}","{store.second.run_id}"]'
    page.goto(f'{store.url}/#/compare-runs?runs={runs}&experiments=["{store.experiment_id}"]')
    seen(page, "Comparing 2 Runs from 1 Experiment")
    seen(page, "test/pair_f1")  # what the chart shows at first
    values = page.get_by_role("grid").last  # a pair for each metric; only the rows in sight are in the page
    expect(values).to_be_visible(timeout=VISIBLE)
    scores = [store.first.test_score, store.second.test_score]
    assert scores[0] != scores[1]
    wanted = "".join(f"{round(score, 3):g}" for score in scores)
    for top in range(0, 9000, 100):
        values.evaluate("(grid, top) => { grid.scrollTop = top }", top)
        page.wait_for_timeout(50)
        if wanted in (values.text_content() or ""):
            break
    expect(values).to_contain_text(wanted)
    parameter = page.get_by_role("row").filter(has=page.get_by_text("model.min_reliability", exact=True))
    expect(parameter.first).to_contain_text("0.3")
    expect(parameter.first).to_contain_text("0.95")


def test_a_runs_page_says_what_it_is_and_shows_the_gates_page(page: Page, store: Store) -> None:
    page.goto(f"{store.url}/#/experiments/{store.experiment_id}/runs/{store.first.run_id}")
    seen(page, re.compile(rf"dictionary on {store.dataset.name}, pair F1 {store.first.test_score:.3f}"))
    seen(page, f"{store.dataset.name} ({store.dataset.version[:12]})")
    folder = f"{store.url}/#/experiments/{store.experiment_id}/runs/{store.first.run_id}/artifacts"
    page.goto(f"{folder}/dataset/checked/report.html")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("status")).to_contain_text("It may be trained on", timeout=VISIBLE)


def test_the_model_pages_show_the_champion_its_note_and_who_may_write(page: Page, store: Store) -> None:
    page.goto(f"{store.url}/#/models/facets")
    seen(page, "champion")
    seen(page, re.compile("on a shared server only release managers may"))
    page.goto(f"{store.url}/#/models/facets/versions/1")
    seen(page, re.compile(rf"Live: dictionary on {store.dataset.name}, pair F1 {store.first.test_score:.3f}"))
    seen(page, re.compile(r"promoted by ana: spring <b>range</b> \(ledger row 1\)"))  # as text, not as markup
    expect(page.get_by_role("row").filter(has_text="beats_dictionary")).to_contain_text(REASON)
    page.goto(f"{store.url}/#/models/facets-candidates/versions/1")
    seen(page, re.compile("Accepted by every gate: dictionary on"))
