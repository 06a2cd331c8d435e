"""What a gate answers: one claim, whether it holds, and both numbers that were compared.

The data gate and the promotion gates speak in the same `Verdict`, so one page can show both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from facetmill.errors import DataError

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

MAX_EXAMPLES = 5
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one claim.

    `gate` is the claim itself and can be false (`no_group_in_two_splits`). `reason` is a sentence that holds both
    numbers, what was observed and what was required. `examples` are up to five places: file, row, field, value.
    """

    gate: str
    passed: bool
    severity: Severity
    observed: float | str
    required: str
    reason: str
    examples: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether this answer alone stops what comes next."""
        return not self.passed and self.severity == "critical"


@dataclass(frozen=True, slots=True)
class DataVerdict:
    """Every claim about one dataset, and how much there was to judge (`counts`: products, facets, ... by name)."""

    verdicts: tuple[Verdict, ...]
    counts: Mapping[str, int]

    @property
    def passed(self) -> bool:
        """No critical claim is false. A verdict without claims has looked at nothing, and does not pass."""
        return bool(self.verdicts) and not self.blockers

    @property
    def blockers(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.blocks)

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if not v.passed and v.severity == "warning")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values. `passed` is for readers of the file; `from_json` works it out anew."""
        verdicts = [asdict(verdict) | {"examples": list(verdict.examples)} for verdict in self.verdicts]
        return {"passed": self.passed, "counts": dict(self.counts), "verdicts": verdicts}

    @classmethod
    def from_json(cls, raw: Any) -> DataVerdict:
        """The inverse of `to_json`; keys a stage added are ignored. Raises `DataError` for anything else, so that a
        broken file never reads as "passed"."""
        try:
            counts = {str(name): int(count) for name, count in raw["counts"].items()}
            return cls(tuple(_verdict(each) for each in raw["verdicts"]), counts)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"verdict of the data gate: cannot be read ({error!r}); run the check stage again"
            ) from error


def shown(number: float | str) -> str:
    """A number as every reason and page prints it: counts with thousands, shares with four digits."""
    if isinstance(number, str):
        return number
    if math.isfinite(number) and number == int(number):
        return f"{int(number):,}"
    return f"{number:.4g}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a candidate may go live, with every gate's answer.

    The versions say what was compared: `promote` refuses a decision about another candidate, or against a champion
    that is no longer the one. `limits` are the promotion parameters that it was decided by.
    """

    accepted: bool
    verdicts: tuple[Verdict, ...]
    candidate_version: int | None = None
    champion_version: int | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)

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

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Decision:
        """The inverse of `to_json`; other keys are ignored."""
        verdicts = tuple(_verdict(each) for each in raw["verdicts"])
        return cls(raw["accepted"], verdicts, raw["candidate_version"], raw["champion_version"], raw["limits"])


def _verdict(raw: Mapping[str, Any]) -> Verdict:
    verdict = Verdict(**{**raw, "examples": tuple(raw["examples"])})
    if not isinstance(verdict.passed, bool) or verdict.severity not in SEVERITIES:
        raise ValueError(f"gate {verdict.gate!r}: passed={verdict.passed!r}, severity={verdict.severity!r}")
    return verdict
