"""A study in MLflow, in a store without a server: a run for the table, one for each row, and nothing twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.studies.tracked import log_claims, log_table
from facetmill.tracking.tracker import Tracker
from tests.unit.studies.made import made_table
from tests.unit.studies.test_claims import MADE


@pytest.fixture
def tracker(empty_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    shutil.copy(empty_stores / "mlruns/mlflow.db", tmp_path)
    monkeypatch.chdir(tmp_path)  # where artifacts lie that no server keeps
    return Tracker(f"sqlite:///{tmp_path}/mlflow.db", "tests")


def test_a_table_is_a_run_with_a_run_for_each_row(tracker: Tracker) -> None:
    table = made_table()
    run = log_table(tracker, table)
    assert tracker.run_info(run).params["data"] == table.data
    assert tracker.read_json(run, "table.json")["rows"][1]["name"] == "w/o KL"
    assert "| w/o KL " in tracker.read_text(run, "table.md")
    assert "<h1>Study relations</h1>" in tracker.read_text(run, "table.html")
    rows = {found.name: found for found in tracker.search({"facetmill.kind": "study_row"})}
    assert rows.keys() == {"JAVE", "w/o KL", "elsewhere"}
    found = rows["w/o KL"]
    assert found.tags["mlflow.parentRunId"] == run
    assert (found.params["key"], found.params["over"], found.params["model.encoder.window"]) == ("jave", "JAVE", "16")
    metrics = found.metrics
    assert metrics["test/value_f1"] == pytest.approx(0.575)
    assert metrics["test/interval/value_f1_low"] == pytest.approx(0.555)
    assert metrics["gain/value_f1"] == pytest.approx(-0.025)
    assert metrics["test/predicted_attribute_f1"] == pytest.approx(0.9)
    assert metrics["test/attribute/value_f1/Colour"] == pytest.approx(0.575)
    assert metrics["peak_mib"] == 900
    assert log_table(tracker, table) == run, "the same table is there already"
    assert log_table(tracker, replace(table, rows=table.rows[:2])) != run


def test_claims_are_one_run_with_an_effect_for_each(tracker: Tracker) -> None:
    run = log_claims(tracker, MADE)
    [found] = tracker.search({"facetmill.kind": "study"})
    assert (found.run_id, found.name) == (run, "study claims")
    assert found.metrics == {"effect/gates": -0.05, "effect/gates_low": -0.08, "effect/gates_high": -0.02}
    assert tracker.read_json(run, "claims.json")["claims"][0]["verdict"] == "does not hold"
    assert "does not hold" in tracker.read_text(run, "claims.md")
    assert log_claims(tracker, MADE) == run
