"""The ledger as a table."""

from __future__ import annotations

from typing import Any

from facetmill.cli.history import history_words


def row(state: str, to: int | None = None, why: str = "spring", **decision: Any) -> dict[str, Any]:
    return {
        "when": "2026-05-04T09:30:00+02:00",
        "who": "ada",
        "why": why,
        "candidate_version": 12,
        "from_version": None,
        "to_version": to,
        "dataset_version": "d" * 64,
        "decision": decision,
        "state": state,
    }


def test_columns_stand_below_one_another_and_what_gates_said_no_below_the_row() -> None:
    worse = {"gate": "beats_champion", "passed": False, "reason": "not\nbetter"}
    better = {"gate": "answers", "passed": True, "reason": "it does"}
    head, first, against, second = history_words(
        [
            row("rejected", verdicts=[better, worse]),
            row("done", 3, action="rollback", requested={"who": "schedule:shop"}),
        ]
    )
    assert against == "    beats_champion: not\\nbetter"
    assert first.split() == [
        "2026-05-04",
        "07:30",
        "rejected",
        "promotion",
        "12",
        "unchanged",
        "d" * 12,
        "ada",
        "spring",
    ]
    assert "none -> 3" in second
    assert second.endswith("spring (asked for by schedule:shop)")
    for name in ("ended", "what", "who", "why"):
        at = head.index(name)
        assert {line[at - 2 : at] for line in (head, first, second)} == {"  "}
        assert " " not in {line[at] for line in (head, first, second)}


def test_a_request_that_nobody_answered_in_time_has_expired() -> None:
    (_, late), (_, early) = (
        history_words([row("waiting", until=f"{year}-01-01T00:00:00+00:00")]) for year in (2020, 9020)
    )
    assert " expired " in late
    assert " waiting " in early


def test_a_row_is_one_line_whatever_people_wrote() -> None:
    assert len(history_words([row("done", 1, why="line\nbreak \x1b[31m")])) == 2
    assert history_words([]) == []
