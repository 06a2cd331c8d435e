"""What a sweep leaves for its reviewer, from real studies: with enough trials, with too few, and with none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facetmill.errors import FacetmillError
from facetmill.params import Params, load_params
from facetmill.report.sweep_page import sweep_page
from facetmill.training.search.study import MIN_COMPLETE_FOR_IMPORTANCES, Candidate, Study
from facetmill.training.search.summary import best_so_far, summarize

ABOUT = {"model": "dictionary", "dataset": {"name": "<shop> & co", "version": "d" * 64}}


@pytest.fixture
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


@pytest.fixture
def study(params: Params, tmp_path: Path) -> Callable[[], Study]:
    """The same study, opened anew each time, as another process would."""

    def opened() -> Study:
        return Study(
            name="toy",
            storage=tmp_path / "studies.journal",
            key="dictionary",
            config=params.models.dictionary,
            training=params.training,
            seed=0,
        )

    return opened


def reliability_matters(candidate: Candidate) -> float:
    for step in range(1, 4):
        candidate.report(step, 1 - abs(candidate.params["min_reliability"] - 0.6))
    return 1 - abs(candidate.params["min_reliability"] - 0.6)


def summary_of(study: Study, min_gain: float = 0.0) -> dict[str, Any]:
    summary = summarize(study, min_gain)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary  # as sweep.json keeps it
    return ABOUT | summary


def test_a_resumed_sweep_shows_all_trials_and_what_mattered(study: Callable[[], Study]) -> None:
    study().run(5, reliability_matters)
    study().run(30, reliability_matters)
    summary = summary_of(study())
    assert [trial["number"] for trial in summary["trials"]] == list(range(30))
    assert next(iter(summary["importances"])) == "min_reliability"
    assert sum(summary["importances"].values()) == pytest.approx(1.0)
    assert summary["importances"]["min_reliability"] > 0.6

    rising = list(best_so_far(summary).values())
    assert rising == sorted(rising)
    assert rising[-1] == summary["trials"][summary["best"]]["value"] == study().best().value

    page = sweep_page(summary)
    assert "Value F1 of 30 trials" in page  # what decided before there was a choice
    assert "Pair F1 of 30 trials" in sweep_page(summary | {"metric": "pair_f1"})
    assert f"Trial {summary['winner']} won" in page
    assert len(re.findall(r'<tr><th scope="row">\d+', page)) == 30
    states = [trial["state"] for trial in summary["trials"]]
    for state, mark in (("COMPLETE", "complete"), ("PRUNED", "pruned")):
        assert page.count(f'class="{mark}"') == states.count(state) > 0
    assert page.count('class="won"') == 1
    assert "&lt;shop&gt; &amp; co" in page
    assert "<shop>" not in page
    assert not re.search(r"(src|href)=", page)


def test_too_few_trials_are_told_in_words(study: Callable[[], Study]) -> None:
    study().run(2, lambda candidate: 0.5)
    summary = summary_of(study())
    assert summary["importances"] is None
    page = sweep_page(summary)
    assert f"2 complete trials say too little about it; at least {MIN_COMPLETE_FOR_IMPORTANCES} are needed" in page
    assert "The values of params.yaml won" in page
    assert "No trial is better." in page


def test_trials_that_all_score_alike_make_nothing_important(study: Callable[[], Study]) -> None:
    """Optuna would call all parameters equally important."""
    study().run(MIN_COMPLETE_FOR_IMPORTANCES, lambda candidate: 0.5)
    summary = summary_of(study())
    assert summary["importances"] is None
    assert "scored too much alike" in sweep_page(summary)


def test_a_gain_below_the_line_keeps_params_yaml_and_says_so(study: Callable[[], Study]) -> None:
    study().run(3, lambda candidate: 0.5 + candidate.number / 100)
    summary = summary_of(study(), min_gain=0.05)
    assert (summary["best"], summary["winner"]) == (2, 0)
    assert "Trial 2 has 0.520, which is not more than 0.05 better." in sweep_page(summary)


def test_failed_and_nan_trials_are_shown_with_their_reason(study: Callable[[], Study]) -> None:
    def fails(candidate: Candidate) -> float:
        raise FacetmillError("out of <memory>")

    with pytest.raises(FacetmillError):
        study().run(1, fails)
    summary = summary_of(study())
    assert (summary["best"], summary["winner"], best_so_far(summary)) == (None, None, {})
    page = sweep_page(summary)
    assert "No winner" in page
    assert "FacetmillError: out of &lt;memory&gt;" in page

    study().run(2, lambda candidate: float("nan") if candidate.number == 1 else 0.4)
    assert "its score is nan" in sweep_page(summary_of(study()))
