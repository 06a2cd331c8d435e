"""What a person reads when a retraining or a promotion has ended."""

from __future__ import annotations

from typing import Any

from facetmill.cli.ending import ending, ending_of_retrain

LINKS = {"review": "http://here/review.html", "run": "http://here/run", "flow": "http://here/flow"}


def gate(name: str, passed: bool, observed: float | str = 0.1, reason: str = "") -> dict[str, Any]:
    return {"gate": name, "passed": passed, "observed": observed, "reason": reason or f"{name} {passed}"}


def told(outcome: str, live: int | None, *verdicts: dict[str, Any], catalogue: str = "shop") -> dict[str, Any]:
    accepted = outcome != "kept_champion"
    return {
        "catalogue": catalogue,
        "outcome": outcome,
        "candidate_version": 4,
        "champion_version": live,
        "message": "shop-candidates/4 is live as shop/2, after shop/1",
        "verdicts": list(verdicts),
        "accepted": accepted,
        "links": LINKS,
        "dry_run": outcome == "dry_run",
    }


def test_a_promotion_ends_in_six_lines() -> None:
    better = "pair_f1 0.80 against 0.75 of champion 1: +0.050 [+0.020, +0.080], p 0.002, shown to be better"
    lines = ending(told("promoted", 2, gate("beats_dictionary", True), gate("beats_champion", True, 0.05, better)))
    assert lines == [
        "promoted: shop-candidates/4 is live as shop/2, after shop/1",
        f"decided by: {better}",
        "live: shop/2 (catalogue shop)",
        "review: http://here/review.html",
        "run: http://here/run  flow: http://here/flow",
        "next: facetmill extract shop@champion --out facets.jsonl",
    ]


def test_a_rejection_names_its_gates_and_the_number_of_the_dictionary_while_nothing_is_live() -> None:
    worse = gate("beats_dictionary", False, -0.2, "pair_f1 0.40 against 0.60 of the dictionary")
    lines = ending(
        told("kept_champion", None, worse, gate("beats_champion", True, "no champion"), gate("answers", True))
    )
    assert lines[:3] == [
        "not promoted: candidate 4 was rejected by beats_dictionary",
        "decided by: pair_f1 0.40 against 0.60 of the dictionary",
        "live: nothing yet (catalogue shop)",
    ]
    assert lines[5] == "next: more labelled products, another --model, or promotion.dictionary: may_go_live"


def test_what_stopped_a_candidate_that_was_not_compared_is_told() -> None:
    lines = ending(told("kept_champion", 1, gate("answers", False, "no answer", "it died\nhere"), catalogue="demo"))
    assert lines[1] == "decided by: it died\\nhere"
    assert lines[2] == "live: facets/1 (catalogue demo)"
    assert lines[5] == "next: facetmill compare facets-candidates/4 facets@champion, or another --model"


def test_one_that_waits_is_not_said_to_be_live() -> None:
    lines = ending(told("waiting", 1, gate("beats_champion", True)))
    assert lines[0].startswith("not live yet: ")
    assert lines[2] == "live: shop/1 (catalogue shop)"
    assert lines[5] == "next: look at the review, then facetmill approve 4 --catalogue shop --why REASON"


def test_a_dry_run_says_that_nothing_live_was_changed_whatever_the_gates_say() -> None:
    better, worse = gate("beats_champion", True), gate("beats_champion", False)
    lines = ending(told("dry_run", 1, better))
    assert lines[0].startswith("nothing live was changed: ")
    assert lines[5] == "next: facetmill promote 4 --catalogue shop --why REASON"
    lines = ending({**told("kept_champion", 1, worse), "dry_run": True})
    assert lines[0] == "nothing live was changed: candidate 4 was rejected by beats_champion"


def test_the_dictionary_that_went_live_is_said_to_be_one() -> None:
    rejected, live = told("kept_champion", None, gate("beats_dictionary", False)), told("promoted", 1)
    retrained = {
        "catalogue": "shop",
        "links": LINKS,
        "dry_run": False,
        "sweep": {"recipe": {"key": "jave"}},
        "outcome": rejected,
        "dictionary": live,
    }
    lines = ending_of_retrain(retrained)
    assert lines[0] == "the jave was not better than the dictionary, which was offered itself"
    assert lines[3] == "live: shop/1 (catalogue shop)"
    assert len(ending_of_retrain({**retrained, "dictionary": None})) == 6
