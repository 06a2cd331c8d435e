"""What people read in MLflow; that it arrives there is tested with a real server and browser."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from typing import Any

from facetmill.registry.ledger import Entry
from facetmill.registry.notes import MAX_NOTE, _event, _gates, _note, _text, sweep_note, training_note
from facetmill.tracking.view import REVIEW, experiment_tags

TAGS = {"facetmill.model": "jave", "facetmill.dataset": "shop", "facetmill.dataset_version": "0123456789abcdef" * 4}
METRICS = {
    "test/value_f1": 0.7141,
    "test/interval/value_f1_low": 0.68,
    "test/interval/value_f1_high": 0.75,
    "test/attribute/value_f1/Color": 0.9,
    "test/attribute/support/Color": 40.0,
    "test/attribute/value_f1/Motif": 0.1,
    "test/attribute/support/Motif": 9.0,
    "test/attribute/value_f1/Never seen": 0.0,
    "test/attribute/support/Never seen": 0.0,
}


def test_a_trainings_note_begins_with_the_figure_and_names_where_it_is_weak() -> None:
    note = training_note(TAGS, 3, METRICS)
    assert note.splitlines()[0] == "jave on shop, value F1 0.714 (0.680 to 0.750), seed 3"
    assert "| `value_f1` | 0.714 | (0.680 to 0.750) |" in note
    assert "Weakest attributes: Motif 0.100 (of 9), Color 0.900 (of 40)." in note  # not the one without gold values
    assert "version `0123456789ab`" in note
    assert "sweep" not in note
    assert "the best of the sweep `jave-shop-1`" in training_note(
        {**TAGS, "facetmill.study": "jave-shop-1"}, 3, METRICS
    )


def test_a_note_goes_by_the_metric_that_decided() -> None:
    metrics = METRICS | {
        "test/pair_f1": 0.8,
        "test/interval/pair_f1_low": 0.75,
        "test/interval/pair_f1_high": 0.85,
        "test/attribute/pair_f1/Color": 0.2,
        "test/attribute/pairs/Color": 30.0,
    }
    note = training_note({**TAGS, "facetmill.metric": "pair_f1"}, 3, metrics)
    assert note.splitlines()[0] == "jave on shop, pair F1 0.800 (0.750 to 0.850), seed 3"
    assert "| `value_f1` | 0.714 | (0.680 to 0.750) |" in note
    assert "Weakest attributes: Color 0.200 (of 30)." in note


def test_what_people_said_cannot_become_markup() -> None:
    hostile = "<img src=x onerror=alert(1)> | [here](javascript:1) *bold*\n# head `code` &amp;"
    shown = _text(hostile)
    assert "<" not in shown
    assert "|" not in shown
    assert "\n" not in shown
    assert r"\[here\](javascript:1) \*bold\* \# head \`code\` &amp;amp;" in shown
    assert len(_text("x" * 1000)) == 300
    row = _gates([{"gate": "answers", "passed": False, "reason": "a | b"}]).splitlines()[-1]
    assert row == "| `answers` | **no** | a &#124; b |"


def test_a_note_is_never_longer_than_the_registry_takes() -> None:
    note = _note("first", "x" * 9000)
    assert len(note) == MAX_NOTE - 8 + len("\n\n...cut") == MAX_NOTE
    assert note.endswith("...cut")


def entry(**changes: Any) -> Entry:
    about: dict[str, Any] = {"id": 4, "when": datetime(2026, 3, 1, 9, 30, tzinfo=UTC), "who": "ana", "why": "spring"}
    about |= {"candidate_version": 7, "from_version": 1, "to_version": 2, "dataset_version": "", "state": "done"}
    return Entry(**{**about, "decision": {"action": "promotion"}, **changes})


def test_a_version_tells_its_own_side_of_the_ledger() -> None:
    assert _event(entry(), 2) == "2026-03-01 09:30 UTC: promoted by ana: spring (ledger row 4)"
    assert _event(entry(), 1) == "2026-03-01 09:30 UTC: replaced by facets/2 by ana: spring (ledger row 4)"
    assert "rolled back to by ana" in _event(entry(decision={"action": "rollback"}), 2)
    assert _event(entry(), 3) == ""


def test_a_sweeps_note_shows_what_changed() -> None:
    trials = [
        {"number": number, "state": "COMPLETE", "value": value, "params": {"learning_rate": rate, "match": "longest"}}
        for number, value, rate in ((0, 0.5, 0.001), (1, 0.6, 0.0023456))
    ]
    summary: dict[str, Any] = {"model": "jave", "dataset": {"name": "shop"}, "trials": trials, "winner": 1}
    assert "| `learning_rate` | 0.001 | 0.002346 |" in sweep_note(summary)
    assert "the values of params.yaml won, value F1 0.500" in sweep_note({**summary, "winner": 0})
    assert "won, pair F1 0.500" in sweep_note({**summary, "winner": 0, "metric": "pair_f1"})
    assert "learning_rate" not in sweep_note({**summary, "winner": 0})
    assert sweep_note({**summary, "winner": None}).endswith("2 trials: none is complete")


def test_the_saved_view_is_one_that_mlflow_can_unpack() -> None:
    tags = experiment_tags()
    view = json.loads(tags[f"mlflow.sharedViewState.{REVIEW}"])
    kind, _, packed = view["state"].partition(";")
    assert (view["name"], kind) == ("Review", "deflate")
    assert "metrics.`test/pair_f1`" in json.loads(zlib.decompress(base64.b64decode(packed)))["selectedColumns"]
