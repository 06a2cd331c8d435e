"""The promotion gates: each claim on both sides of its line, and what cannot be measured fails."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from facetmill.errors import DataError
from facetmill.judging.champions_test import ChampionsTest
from facetmill.judging.claims import (
    GATES,
    Evidence,
    beats_champion,
    beats_dictionary,
    decide,
    enough_unseen_products,
    fast_enough,
    holds_where_champion_was_tested,
    no_slice_worse,
    same_catalogue,
    seeds_agree,
)
from facetmill.judging.comparison import Latency, Slice
from facetmill.judging.given_up import GivenUp, lost
from facetmill.metrics.paired import PairedResult
from facetmill.params import PromotionParams
from facetmill.serving.vocabulary import Vocabulary
from tests.small import PROMOTION

NAN = math.nan
GAIN = PairedResult(0.80, 0.75, 0.05, 0.02, 0.08, 0.002)
CATEGORY = Slice(0.80, 0.75, 0.05, -0.01, 0.11, 0.4, "category", "Shoes", 30, 60)
GOOD = Evidence(
    candidate_version=7,
    champion_version=3,
    dataset_version="a" * 64,
    dataset_passed=True,
    num_products=100,
    signature_as_published=True,
    against_dictionary=PairedResult(0.80, 0.60, 0.20, 0.15, 0.25, 0.002),
    against_champion=GAIN,
    slices=(CATEGORY,),
    latency=Latency(0.010, 0.020, 3.0),
    champion_latency=Latency(0.010, 0.020, 3.0),
    seed_scores=(0.79, 0.81),
    lost=(),
    num_unseen=90,
    candidate_trained_on=0,
    champion_trained_on=10,
    champions_test=ChampionsTest(40, GAIN),
)
FIRST_EVER = replace(
    GOOD,
    champion_version=None,
    against_champion=None,
    slices=(),
    champion_latency=None,
    lost=None,
    champions_test=None,
)


def params(**changes: object) -> PromotionParams:
    return replace(PROMOTION, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "min_gain", "significance", "passes"),
    [
        (GAIN, 0.0, 0.05, True),
        (PairedResult(0.804, 0.800, 0.004, -0.010, 0.018, 0.56), 0.0, 0.05, False),  # within noise
        (PairedResult(0.80, 0.80, 0.0, 0.0, 0.0, 1.0), 0.0, 0.05, False),  # equal is no reason to change what is live
        (PairedResult(0.81, 0.80, 0.01, 0.0, 0.02, 0.06), 0.0, 0.05, False),  # the interval touches the line
        (replace(GAIN, first=0.70, difference=-0.05, low=-0.08, high=-0.02), 0.0, 0.05, False),
        (GAIN, 0.019, 0.05, True),
        (GAIN, 0.02, 0.05, False),  # above it, not at it
        (PairedResult(0.804, 0.800, 0.004, -0.010, 0.018, 0.56), 0.0, None, True),  # the owner wants points alone
        (PairedResult(0.80, 0.80, 0.0, 0.0, 0.0, 1.0), 0.0, None, False),
        (replace(GAIN, first=NAN, difference=NAN, low=NAN, high=NAN), 0.0, 0.05, False),
        (replace(GAIN, first=NAN, difference=NAN), 0.0, None, False),
        (None, 0.0, 0.05, False),
    ],
)
def test_beats_champion(result: PairedResult | None, min_gain: float, significance: float | None, passes: bool) -> None:
    evidence = replace(GOOD, against_champion=result)
    verdict = beats_champion(evidence, params(min_gain=min_gain, significance=significance))
    assert verdict.passed is passes
    assert verdict.blocks is not passes


def test_a_person_is_told_both_numbers_the_interval_and_p() -> None:
    noise = PairedResult(0.804, 0.800, 0.004, -0.010, 0.018, 0.56)
    assert beats_champion(replace(GOOD, against_champion=noise), PROMOTION).reason == (
        "pair_f1 0.8040 against 0.8000 of champion 3: +0.004 [-0.010, +0.018], p 0.56, not shown to be better"
    )
    verdict = beats_champion(GOOD, params(min_gain=0.01))
    assert verdict.reason.endswith("+0.050 [+0.020, +0.080], p 0.002, shown to be better by more than 0.01")
    assert verdict.required == "95 % interval of the gain above 0.01"


@pytest.mark.parametrize(
    ("num_unseen", "candidate", "champion", "passes", "said"),
    [
        (
            90,
            0,
            10,
            True,
            "90 of 100 test products are new to the candidate and champion 3; champion 3 was trained on 10",
        ),
        (10, 1, 90, True, "; the candidate was trained on 1; champion 3 was trained on 90"),
        (9, 0, 91, False, "9 of 100 test products are new"),
        (0, 0, 100, False, "0 of 100 test products are new"),
        (100, 0, None, True, "; what champion 3 was trained on is not known"),  # it can only gain by that
        (100, None, 0, False, "could not be measured"),
        (None, None, None, False, "could not be measured"),
    ],
)
def test_enough_unseen_products(
    num_unseen: int | None, candidate: int | None, champion: int | None, passes: bool, said: str
) -> None:
    changes = {"num_unseen": num_unseen, "candidate_trained_on": candidate, "champion_trained_on": champion}
    verdict = enough_unseen_products(replace(GOOD, **changes), PROMOTION)  # type: ignore[arg-type]
    assert verdict.blocks is not passes
    assert said in verdict.reason


def test_without_a_champion_the_dictionary_is_the_bar() -> None:
    assert decide(FIRST_EVER, PROMOTION).accepted
    assert "the dictionary is the bar" in beats_champion(FIRST_EVER, PROMOTION).reason
    assert not beats_dictionary(FIRST_EVER, params(min_gain=0.15)).passed  # the gain is asked of it, then
    assert beats_dictionary(GOOD, params(min_gain=0.15)).passed  # and not where there is a champion
    weak = replace(FIRST_EVER, against_dictionary=PairedResult(0.61, 0.60, 0.01, -0.02, 0.04, 0.5))
    assert [verdict.gate for verdict in decide(weak, PROMOTION).blockers] == ["beats_dictionary"]


@pytest.mark.parametrize(
    ("difference", "p_value", "kind", "passes"),
    [
        (-0.10, 0.001, "category", False),
        (-0.10, 0.2, "category", True),  # a large loss that noise explains
        (-0.01, 0.001, "category", True),  # a sure loss that is small enough
        (-0.02, 0.001, "category", True),  # at the limit
        (+0.10, 0.001, "category", True),
        (-0.10, 0.001, "values", True),  # not a protected kind
        (NAN, 1.0, "category", False),
    ],
)
def test_no_slice_worse(difference: float, p_value: float, kind: str, passes: bool) -> None:
    other = replace(CATEGORY, kind=kind, name="Hats", difference=difference, p_value=p_value)
    verdict = no_slice_worse(replace(GOOD, slices=(CATEGORY, other)), PROMOTION)
    assert verdict.passed is passes


def test_the_worst_slices_are_named_worst_first() -> None:
    slices = [replace(CATEGORY, name=f"c{i}", difference=-0.1 * i, p_value=0.001) for i in range(9)]
    verdict = no_slice_worse(replace(GOOD, slices=tuple(slices)), PROMOTION)
    assert verdict.reason.startswith("8 of 9 protected slices got worse: category 'c8' -0.800")
    assert [example.split()[1] for example in verdict.examples] == ["'c8'", "'c7'", "'c6'", "'c5'", "'c4'"]


def test_protected_slices_that_were_not_measured_do_not_pass() -> None:
    assert not no_slice_worse(replace(GOOD, slices=()), PROMOTION).passed
    assert no_slice_worse(replace(GOOD, slices=()), params(protected=[])).passed


@pytest.mark.parametrize(
    ("p95", "champion_p95", "ratio", "seconds", "passes"),
    [
        (0.060, 0.020, 3.0, 1.0, True),
        (0.061, 0.020, 3.0, 1.0, False),
        (0.061, 0.020, None, 1.0, True),
        (1.1, 0.9, 3.0, 1.0, False),
        (1.1, 0.9, 3.0, None, True),
        (9.0, 0.001, None, None, True),
        (NAN, 0.020, 3.0, 1.0, False),
        (0.020, NAN, 3.0, 1.0, False),
    ],
)
def test_fast_enough(p95: float, champion_p95: float, ratio: float | None, seconds: float | None, passes: bool) -> None:
    latency, champion = Latency(p95, p95, 1.0), Latency(champion_p95, champion_p95, 1.0)
    limits = params(max_latency_ratio=ratio, max_latency_seconds=seconds)
    verdict = fast_enough(replace(GOOD, latency=latency, champion_latency=champion), limits)
    assert verdict.passed is passes
    without = fast_enough(replace(FIRST_EVER, latency=latency), limits)
    assert without.passed is (math.isfinite(p95) and (seconds is None or p95 <= seconds))


def test_fast_enough_tells_both_times() -> None:
    slow = replace(GOOD, latency=Latency(0.05, 0.0801, 1.0))
    assert fast_enough(slow, PROMOTION).reason == (
        "one request takes 80.1 ms (p95); allowed: at most 1.00 s and 3 times the champion's 20.0 ms"
    )


@pytest.mark.parametrize(
    ("scores", "passes"),
    [
        ((0.79, 0.81), True),
        ((0.82, 0.67), False),  # the mean of a lucky and an unlucky seed is below the champion's 0.75
        ((0.76,), True),
        ((0.75, 0.75), False),
        ((0.8, NAN), False),
        ((), False),
    ],
)
def test_seeds_agree(scores: tuple[float, ...], passes: bool) -> None:
    verdict = seeds_agree(replace(GOOD, seed_scores=scores), PROMOTION)
    assert verdict.passed is passes
    assert seeds_agree(replace(FIRST_EVER, seed_scores=(0.55, 0.60)), PROMOTION).passed is False  # dictionary: 0.60


def test_seeds_agree_shows_the_spread() -> None:
    assert seeds_agree(GOOD, PROMOTION).reason == (
        "mean of 2 seeds: pair_f1 0.8000 (0.7900 to 0.8100) beats 0.7500 of champion 3"
    )


def test_a_good_candidate_is_accepted_and_the_decision_says_what_was_compared() -> None:
    decision = decide(GOOD, PROMOTION)
    assert decision.accepted
    assert (decision.candidate_version, decision.champion_version) == (7, 3)
    assert decision.limits["min_gain"] == 0.0
    assert len(decision.verdicts) == len(GATES) == 11


def test_a_candidate_that_does_not_answer_fails_everything_that_needs_an_answer() -> None:
    mute = Evidence(7, 3, "a" * 64, True, 100, True, no_answer="not done in 5 s")
    for evidence in (mute, replace(mute, champion_version=None)):
        decision = decide(evidence, PROMOTION)
        assert {verdict.gate for verdict in decision.verdicts if verdict.passed} == {
            "data_gate_passed",
            "signature_as_published",
        }
        assert "does not answer: not done in 5 s" in decision.summary


def test_every_reason_is_kept_and_is_json() -> None:
    bad = Evidence(7, 3, "a" * 64, False, 100, False, no_answer="died")
    decision = decide(bad, PROMOTION)
    assert [verdict.gate for verdict in decision.blockers] == [gate.__name__ for gate in GATES]
    assert all(verdict.reason in decision.summary for verdict in decision.blockers)
    json.dumps(decision.to_json(), allow_nan=False)


@pytest.mark.parametrize("change", [{"dataset_passed": False}, {"signature_as_published": False}])
def test_one_blocking_gate_is_enough(change: dict[str, bool]) -> None:
    assert not decide(replace(GOOD, **change), PROMOTION).accepted  # type: ignore[arg-type]


def test_same_catalogue() -> None:
    assert same_catalogue(GOOD, PROMOTION).passed
    assert same_catalogue(FIRST_EVER, PROMOTION).passed
    poor = replace(GOOD, lost=tuple(f"attribute {name!r}" for name in "abcdefg"))
    verdict = same_catalogue(poor, PROMOTION)
    assert verdict.blocks
    assert verdict.reason == (
        "the candidate lacks 7 of what champion 3 answers: attribute 'a', attribute 'b', attribute 'c', attribute 'd', "
        "attribute 'e' and more"
    )
    assert not decide(poor, PROMOTION).accepted
    assert not same_catalogue(replace(GOOD, lost=None), PROMOTION).passed, "what was not measured fails"


@pytest.mark.parametrize(
    ("found", "passes", "said"),
    [
        (ChampionsTest(40, GAIN), True, "0.8000 against 0.7500 of champion 3 on 40 test products"),
        (ChampionsTest(40, PairedResult(0.6, 0.7, -0.1, -0.15, -0.05, 0.002)), False, "worse"),
        (ChampionsTest(40, PairedResult(0.6, 0.7, -0.1, -0.25, 0.05, 0.2)), True, "not shown to be worse"),  # noise
        (ChampionsTest(40, PairedResult(0.69, 0.7, -0.01, -0.015, -0.005, 0.002)), True, "not shown"),  # too small
        (
            ChampionsTest(0, None, "it was trained on the same data"),
            True,
            "champion 3: it was trained on the same data",
        ),
        (ChampionsTest(40, PairedResult(NAN, 0.7, NAN, NAN, NAN, NAN)), False, "could not be measured"),
        (None, False, "could not be measured"),
    ],
)
def test_holds_where_champion_was_tested(found: ChampionsTest | None, passes: bool, said: str) -> None:
    verdict = holds_where_champion_was_tested(replace(GOOD, champions_test=found), PROMOTION)
    assert verdict.passed is passes
    assert said in verdict.reason
    assert holds_where_champion_was_tested(FIRST_EVER, PROMOTION).passed


@pytest.mark.parametrize(("policy", "goes_live"), [("baseline", False), ("may_go_live", True)])
def test_the_dictionary_itself_goes_live_only_where_the_policy_says_so(policy: str, goes_live: bool) -> None:
    """It is no better than itself, and has no seeds; all other gates hold for it as for anything."""
    same = PairedResult(0.60, 0.60, 0.0, 0.0, 0.0, 1.0)
    itself = replace(FIRST_EVER, is_dictionary=True, against_dictionary=same, seed_scores=(0.60,))
    assert decide(itself, params(dictionary=policy)).accepted is goes_live
    assert not decide(replace(itself, is_dictionary=False), params(dictionary=policy)).accepted
    beaten = replace(GOOD, is_dictionary=True, against_dictionary=same, against_champion=replace(GAIN, low=-0.01))
    assert not decide(beaten, params(dictionary=policy)).accepted, "a champion it does not beat stays"


def test_what_is_given_up_is_named_and_stands_with_the_decision() -> None:
    champion = Vocabulary({"Color": frozenset(), "Size": frozenset()}, "text", frozenset({"Shoes", "Hats"}))
    assert lost(champion, ["Color"], ["Hats", "Bags"], GivenUp()) == ["attribute 'Size'", "category 'Shoes'"]
    given_up = GivenUp(("Size",), ("Shoes",))
    assert lost(champion, ["Color"], ["Hats"], given_up) == []
    with pytest.raises(DataError, match=r"--drop-attribute 'Siez': the champion has no .* \(did you mean 'Size'"):
        lost(champion, ["Color"], ["Hats"], GivenUp(("Siez",)))
    assert decide(GOOD, PROMOTION, given_up.to_json()).limits["given_up"]["attributes"] == ["Size"]
