"""Published figures: each says what it is of, and none is shown beside other data or in another metric."""

from __future__ import annotations

import dataclasses

import pytest

from facetmill.errors import DataError
from facetmill.metrics.score import Scores
from facetmill.studies.beside import known_data, published, published_beside
from facetmill.studies.papers import PAPER_TABLES

STUDIES = {"systems", "subsets", "transfer", "dictionary", "implicit", *(table.name for table in PAPER_TABLES)}
SCORES = {field.name for field in dataclasses.fields(Scores)} | {"choice_strict", "choice_contained"}
ROWS = [row for data in known_data() for row in published(data)]


def test_every_row_names_paper_table_data_and_metric() -> None:
    for row in ROWS:
        for said in (row.data, row.paper, row.table, row.scored_on, row.name):
            assert isinstance(said, str), row
            assert said, row
        assert row.studies, row
        assert set(row.studies) <= STUDIES, row
        assert row.scores, row
        for name, score in row.scores.items():
            spread = name.endswith("_spread") and name.replace("_spread", "_f1") in row.scores
            assert name in SCORES or spread, row
            assert (0 if spread else 1) < score <= 100, row  # a share is no percentage


def test_precision_and_recall_make_the_f1_that_is_printed() -> None:
    checked = 0
    for row in ROWS:
        for name, f1 in row.scores.items():
            precision, recall = (row.scores.get(name.replace("_f1", side)) for side in ("_precision", "_recall"))
            if name.endswith("_f1") and precision and recall:
                as_printed = 0.11 if all(round(each, 1) == each for each in (precision, recall, f1)) else 0.011
                assert 2 * precision * recall / (precision + recall) == pytest.approx(f1, abs=as_printed), row
                checked += 1
    assert checked > 20


def test_other_data_and_other_metrics_are_never_shown() -> None:
    found = published_beside("mepave", "systems", ["value_f1", "attribute_f1"])
    assert {row.data for row in found} == {"mepave"}
    assert {name.rpartition("_")[0] for row in found for name in row.scores} == {"value", "attribute"}
    with pytest.raises(DataError, match="nothing is known of mepave beside the study systems in na_f1"):
        published_beside("mepave", "systems", ["na_f1"])
    with pytest.raises(DataError, match="nothing is known of oa-mine beside the study relations in value_f1"):
        published_beside("oa-mine", "relations", ["value_f1"])
