"""The promotion gates: each claim on both sides of its line, and what cannot be measured fails."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from facetmill.params import PromotionParams
from facetmill.registry.gates import GATES, Evidence, beats_champion, beats_dictionary, decide

PARAMS = PromotionParams(min_gain=0.0, bootstrap=100)
CANDIDATE = Evidence("jave", 7, 0.80, (0.77, 0.83), 0.60, True, "a" * 64, True)
CHAMPION = replace(CANDIDATE, version=3, value_f1=0.75, interval=(0.72, 0.78))
NAN = math.nan


@pytest.mark.parametrize(
    ("score", "champion_score", "min_gain", "passes"),
    [
        (0.80, 0.75, 0.0, True),
        (0.75, 0.80, 0.0, False),
        (0.80, 0.80, 0.0, False),  # equal is no reason to change what is live
        (0.80, 0.75, 0.05, True),  # exactly the gain, though 0.80 - 0.75 < 0.05 in floating point
        (0.80, 0.75, 0.06, False),
        (NAN, 0.75, 0.0, False),
        (0.80, NAN, 0.0, False),
    ],
)
def test_beats_champion(score: float, champion_score: float, min_gain: float, passes: bool) -> None:
    params = PromotionParams(min_gain=min_gain, bootstrap=100)
    verdict = beats_champion(replace(CANDIDATE, value_f1=score), replace(CHAMPION, value_f1=champion_score), params)
    assert verdict.passed is passes
    assert verdict.blocks is not passes
    assert "champion 3" in verdict.reason


def test_without_a_champion_the_first_candidate_passes_and_is_told_so() -> None:
    verdict = beats_champion(CANDIDATE, None, PARAMS)
    assert verdict.passed
    assert "no champion yet" in verdict.reason
    assert not beats_champion(replace(CANDIDATE, value_f1=NAN), None, PARAMS).passed


def test_scores_on_different_data_are_not_compared() -> None:
    verdict = beats_champion(CANDIDATE, replace(CHAMPION, dataset_version="b" * 64, value_f1=0.1), PARAMS)
    assert not verdict.passed
    assert "aaaaaaaaaaaa" in verdict.reason
    assert "bbbbbbbbbbbb" in verdict.reason


@pytest.mark.parametrize(("dictionary", "passes"), [(0.60, True), (0.80, False), (0.90, False), (NAN, False)])
def test_beats_dictionary(dictionary: float, passes: bool) -> None:
    assert beats_dictionary(replace(CANDIDATE, dictionary_value_f1=dictionary), None, PARAMS).passed is passes


def test_a_good_candidate_is_accepted_and_the_decision_says_what_was_compared() -> None:
    decision = decide(CANDIDATE, CHAMPION, PARAMS)
    assert decision.accepted
    assert (decision.candidate_version, decision.champion_version) == (7, 3)
    assert len(decision.verdicts) == len(GATES) == 4


def test_every_reason_is_kept_and_is_json() -> None:
    bad = replace(CANDIDATE, value_f1=NAN, dataset_passed=False, has_signature=False)
    decision = decide(bad, CHAMPION, PARAMS)
    assert not decision.accepted
    assert [verdict.gate for verdict in decision.blockers] == [
        "data_gate_passed",
        "beats_dictionary",
        "beats_champion",
        "has_signature",
    ]
    assert all(verdict.reason in decision.summary for verdict in decision.blockers)
    json.dumps(decision.to_json(), allow_nan=False)


@pytest.mark.parametrize("change", [{"dataset_passed": False}, {"has_signature": False}])
def test_one_blocking_gate_is_enough(change: dict[str, bool]) -> None:
    assert not decide(replace(CANDIDATE, **change), CHAMPION, PARAMS).accepted
