"""Candidates that every gate accepted and that wait for a person's word, where `promotion.approval` is `required`.

No process waits: a request is a row of the ledger, and so is the answer to it, with the name and the reason of whoever
gave it. How a candidate stands is what its last row says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from facetmill.errors import PlatformError
from facetmill.registry.ledger import Entry, Ledger
from facetmill.tracking.names import Names

REQUESTED = "requested"  # key of the decision of a row that was asked for by another: its request
_UNTIL = "until"  # key of a request's decision
_SAY_HOW = ("waiting", "refused", "rejected", "done")  # other rows were cut off or undone, and leave it as it was


@dataclass(frozen=True)
class Request:
    """A candidate that waits, or waited: the row that asked, and the one that refused it, if it was."""

    entry: Entry
    refusal: Entry | None = None

    @property
    def candidate(self) -> str:
        return f"{Names(self.entry.catalogue).candidates}/{self.entry.candidate_version}"

    @property
    def until(self) -> datetime:
        return datetime.fromisoformat(self.entry.decision[_UNTIL])

    def has_expired(self, now: datetime | None = None) -> bool:
        return self.refusal is None and (now or datetime.now(UTC)) >= self.until

    def to_json(self) -> dict[str, Any]:
        """For `approvals` and `status`: what waits, since when and until when, and who asked for it."""
        entry = self.entry
        return {
            "candidate": self.candidate,
            "catalogue": entry.catalogue,
            "since": entry.when.isoformat(),
            "until": self.until.isoformat(),
            "who": entry.who,
            "why": entry.why,
            "instead_of": None if entry.from_version is None else f"{Names(entry.catalogue).live}/{entry.from_version}",
            "ledger_row": entry.id,
        }


def asking(decision: Mapping[str, Any], days: float) -> dict[str, Any]:
    """A decision as that of a request which waits so many days from now."""
    until = datetime.now(UTC) + timedelta(days=days)
    return {**decision, _UNTIL: until.isoformat(timespec="seconds")}


def request_of(ledger: Ledger, candidate_version: int) -> Request | None:
    """The request of a candidate that waits, has waited in vain, or was refused; None where no such word is missing."""
    rows = [
        entry for entry in ledger.history() if entry.candidate_version == candidate_version and entry.state in _SAY_HOW
    ]
    if not rows or rows[-1].state not in ("waiting", "refused"):
        return None
    refusal = rows[-1] if rows[-1].state == "refused" else None
    return Request(next(entry for entry in reversed(rows) if entry.state == "waiting"), refusal)


def waiting(ledger: Ledger, now: datetime | None = None) -> list[Request]:
    """What waits in the ledger's catalogue, the oldest first."""
    versions = sorted({entry.candidate_version for entry in ledger.history() if entry.state == "waiting"})
    found = [request for version in versions if (request := request_of(ledger, version))]
    found = [request for request in found if request.refusal is None and not request.has_expired(now)]
    return sorted(found, key=lambda request: request.entry.id)


def waiting_anywhere(ledger: Ledger) -> list[Request]:
    """What waits in any catalogue."""
    return [request for catalogue in ledger.catalogues() for request in waiting(ledger.of(catalogue))]


def require_request(ledger: Ledger, candidate_version: int) -> Request:
    """The request of a candidate that may be answered; a refusal may be taken back. Raises `PlatformError` where there
    is none, or none any more, and says what does wait."""
    ref, option = f"{ledger.names.candidates}/{candidate_version}", f"--catalogue {ledger.names.catalogue}"
    request = request_of(ledger, candidate_version)
    if request is None:
        others = ", ".join(each.candidate for each in waiting(ledger)) or "nothing"
        raise PlatformError(f"{ref} does not wait for approval; in the catalogue {ledger.names.catalogue}: {others}")
    if request.has_expired():
        raise PlatformError(
            f"{ref} has waited in vain until {at(request.until)} (ledger row {request.entry.id}); facetmill promote "
            f"{candidate_version} {option} judges it again and asks anew"
        )
    return request


def refuse(ledger: Ledger, candidate_version: int, *, who: str, why: str) -> Request:
    """Note that a person said no to a candidate that waits. Raises as `require_request` does, and for one that was
    refused already."""
    with ledger.exclusive():
        request = require_request(ledger, candidate_version)
        if request.refusal is not None:
            raise PlatformError(f"{request.candidate} {_refused(request.refusal)} already")
        asked = request.entry
        ledger.append(
            who=who,
            why=why,
            candidate_version=candidate_version,
            from_version=asked.from_version,
            dataset_version=asked.dataset_version,
            decision={**asked.decision, "action": "refusal", REQUESTED: of_request(asked)},
            state="refused",
        )
    found = request_of(ledger, candidate_version)
    assert found is not None
    return found


def of_request(entry: Entry) -> dict[str, Any]:
    """Who asked, in the row of whoever answered."""
    return {"row": entry.id, "who": entry.who, "why": entry.why}


def said_of(request: Request) -> str:
    """How it stands, in a sentence for people."""
    if request.refusal is not None:
        return f"{request.candidate} {_refused(request.refusal)}: {request.refusal.why}"
    entry = request.entry
    option = f"{entry.candidate_version} --catalogue {entry.catalogue} --why REASON"
    return (
        f"{request.candidate} waits for approval until {at(request.until)} (ledger row {entry.id}): facetmill approve "
        f"{option}, or facetmill reject {option}"
    )


def at(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _refused(entry: Entry) -> str:
    return f"was refused by {entry.who} on {at(entry.when)} (ledger row {entry.id})"
