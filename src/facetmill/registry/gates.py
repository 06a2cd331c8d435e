"""The promotion gates: claims about a candidate, each a pure function of what was measured.

A gate that cannot be measured fails. Every gate is asked even after one has failed, so that a reader sees all reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from facetmill.gates.verdict import NOT_MEASURED, Verdict, shown
from facetmill.params import PromotionParams

_EPSILON = 1e-9  # two equal scores may differ by rounding


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of one model, candidate or champion, on one frozen test split.

    `value_f1`, its bootstrap `interval` and `dictionary_value_f1` (the dictionary on the same split) are in 0..1.
    `dataset_version` is the dataset that it was *scored* on, and `dataset_passed` whether that passed its gate.
    """

    model: str
    version: int | None
    value_f1: float
    interval: tuple[float, float]
    dictionary_value_f1: float
    dataset_passed: bool
    dataset_version: str
    has_signature: bool


Gate: TypeAlias = Callable[[Evidence, Evidence | None, PromotionParams], Verdict]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a candidate may go live, with every gate's answer.

    The versions say what was compared: `promote` refuses a decision about another candidate, or against a champion
    that is no longer the one.
    """

    accepted: bool
    verdicts: tuple[Verdict, ...]
    candidate_version: int | None = None
    champion_version: int | None = None

    @property
    def blockers(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.blocks)

    @property
    def summary(self) -> str:
        """One line: what was accepted, or every reason against it."""
        if self.accepted:
            return f"accepted: all {len(self.verdicts)} gates passed"
        return "rejected: " + ("; ".join(verdict.reason for verdict in self.blockers) or "no gate was asked")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, for the ledger and the review page."""
        return asdict(self)


def data_gate_passed(candidate: Evidence, champion: Evidence | None, params: PromotionParams) -> Verdict:
    """The dataset that the candidate was trained and scored on passed its own gate."""
    passed = candidate.dataset_passed
    answer = "passed" if passed else "did not pass"
    reason = f"dataset {candidate.dataset_version[:12]} {answer} the data gate"
    return Verdict("data_gate_passed", passed, "critical", answer, "passed", reason)


def beats_dictionary(candidate: Evidence, champion: Evidence | None, params: PromotionParams) -> Verdict:
    """The candidate is better than looking values up, or it has learned nothing."""
    return _compare("beats_dictionary", candidate.value_f1, "the dictionary", candidate.dictionary_value_f1, 0.0)


def beats_champion(candidate: Evidence, champion: Evidence | None, params: PromotionParams) -> Verdict:
    """The candidate is better than the live model by `promotion.min_gain`, on the same test split."""
    gate = "beats_champion"
    if champion is None:
        if not math.isfinite(candidate.value_f1):
            return _compare(gate, candidate.value_f1, "no champion", 0.0, params.min_gain)
        reason = f"there is no champion yet to compare value_f1 {shown(candidate.value_f1)} with"
        return Verdict(gate, True, "critical", _observed(candidate.value_f1), "a champion, if there is one", reason)
    if candidate.dataset_version != champion.dataset_version:
        here, there = candidate.dataset_version[:12], champion.dataset_version[:12]
        reason = f"candidate was scored on dataset {here}, champion {champion.version} on {there}: not comparable"
        return Verdict(gate, False, "critical", here, f"dataset {there}", reason)
    low, high = candidate.interval
    verdict = _compare(gate, candidate.value_f1, f"champion {champion.version}", champion.value_f1, params.min_gain)
    inside = low <= champion.value_f1 <= high
    note = f"champion's {'inside' if inside else 'outside'} the candidate's interval {shown(low)}..{shown(high)}"
    return replace(verdict, examples=(note,))


def has_signature(candidate: Evidence, champion: Evidence | None, params: PromotionParams) -> Verdict:
    """The package says what goes in and what comes out, so that a wrong request is refused and not guessed at."""
    answer = "a signature" if candidate.has_signature else "no signature"
    reason = f"the package of version {candidate.version} has {answer}, and needs one"
    return Verdict("has_signature", candidate.has_signature, "critical", answer, "a signature", reason)


GATES: tuple[Gate, ...] = (data_gate_passed, beats_dictionary, beats_champion, has_signature)


def decide(candidate: Evidence, champion: Evidence | None, params: PromotionParams) -> Decision:
    """Every gate's verdict, and whether none of them blocks."""
    verdicts = tuple(gate(candidate, champion, params) for gate in GATES)
    return Decision(
        accepted=bool(verdicts) and not any(verdict.blocks for verdict in verdicts),
        verdicts=verdicts,
        candidate_version=candidate.version,
        champion_version=champion.version if champion else None,
    )


def _compare(gate: str, score: float, other_name: str, other: float, min_gain: float) -> Verdict:
    """Strictly better, and by `min_gain` at least. NaN is never better."""
    required = f"> {shown(other)}" if min_gain == 0 else f">= {shown(other)} + {shown(min_gain)}"
    if not (math.isfinite(score) and math.isfinite(other)):
        reason = f"value_f1 {shown(score)} and {shown(other)} of {other_name} cannot be compared"
        return Verdict(gate, False, "critical", _observed(score), required, reason)
    gain = score - other
    passed = gain > _EPSILON and gain >= min_gain - _EPSILON
    word = "beats" if passed else "does not beat"
    by = f" by {shown(min_gain)}" if min_gain else ""
    reason = f"value_f1 {score:.4f} {word} {other:.4f} of {other_name}{by}"
    return Verdict(gate, passed, "critical", _observed(score), required, reason)


def _observed(score: float) -> float | str:
    """NaN as words, since verdicts are kept as JSON."""
    return score if math.isfinite(score) else NOT_MEASURED
