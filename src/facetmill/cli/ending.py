"""How `retrain` and `promote` end: six lines that a person reads; `--json` has all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facetmill.terminal import one_line
from facetmill.tracking.names import Names

_DECISIVE = ("beats_champion", "beats_dictionary")  # whose number decided; the first that was measured
_UNDECIDED = ("no champion", "not measured")


def ending(told: Mapping[str, Any]) -> list[str]:
    """The verdict, the number that decided, what is live, where to look, and what comes next.

    `told` is what `flows/promote.py` returns: the outcome of one candidate, its catalogue and links.
    """
    names, links = Names(told["catalogue"]), told["links"]
    candidate = f"{names.candidates}/{told['candidate_version']}"
    live = told["champion_version"]
    return [
        f"{_verdict(told)}: {one_line(_reason(told))}",
        f"decided by: {one_line(_number(told['verdicts']))}",
        f"live: {f'{names.live}/{live}' if live else 'nothing yet'} (catalogue {names.catalogue})",
        f"review: {links['review']}",
        f"run: {links['run']}" + (f"  flow: {links['flow']}" if links["flow"] else ""),
        f"next: {_next(told, names, candidate)}",
    ]


def ending_of_retrain(told: Mapping[str, Any]) -> list[str]:
    """The same for what `flows/retrain.py` returns: of the challenger, or of the dictionary that was offered in its
    stead."""
    last = told["dictionary"] or told["outcome"]
    lines = ending({**last, **{name: told[name] for name in ("catalogue", "dry_run", "links")}})
    if told["dictionary"] is not None:
        lines.insert(
            0, f"the {told['sweep']['recipe']['key']} was not better than the dictionary, which was offered itself"
        )
    return lines


def _verdict(told: Mapping[str, Any]) -> str:
    if told["dry_run"]:
        return "nothing live was changed"
    words = {"kept_champion": "not promoted", "already_champion": "no change", "waiting": "not live yet"}
    return words.get(told["outcome"], "promoted")


def _reason(told: Mapping[str, Any]) -> str:
    """One line: a rejection names its gates, since each gate's reason is a sentence of its own."""
    blocking = [verdict["gate"] for verdict in told["verdicts"] if not verdict["passed"]]
    if told["accepted"] or not blocking:
        return str(told["message"])
    return f"candidate {told['candidate_version']} was rejected by {', '.join(blocking)}"


def _number(verdicts: list[Mapping[str, Any]]) -> str:
    """The reason of the comparison with the champion, or with the dictionary while nothing is live; where neither was
    made, of the gate that stopped it."""
    by_gate = {verdict["gate"]: verdict for verdict in verdicts}
    measured = [by_gate[gate] for gate in _DECISIVE if gate in by_gate and by_gate[gate]["observed"] not in _UNDECIDED]
    stopped = [verdict for verdict in verdicts if not verdict["passed"]]
    found = measured or stopped
    return str(found[0]["reason"]) if found else "nothing was measured anew"


def _next(told: Mapping[str, Any], names: Names, candidate: str) -> str:
    option = f"--catalogue {names.catalogue}"
    blocking = {verdict["gate"] for verdict in told["verdicts"] if not verdict["passed"]}
    if told["outcome"] == "dry_run":
        return f"facetmill promote {told['candidate_version']} {option} --why REASON"
    if told["outcome"] == "waiting":
        return f"look at the review, then facetmill approve {told['candidate_version']} {option} --why REASON"
    if told["accepted"]:
        return f"facetmill extract {names.champion} --out facets.jsonl"
    if "same_catalogue" in blocking:
        return "a catalogue of its own (facetmill catalogue add), or --drop-attribute NAME for what is to go"
    if told["champion_version"] is None and "beats_dictionary" in blocking:
        return "more labelled products, another --model, or promotion.dictionary: may_go_live"
    if told["champion_version"] is not None:
        return f"facetmill compare {candidate} {names.champion}, or another --model"
    return f"facetmill history {option}"
