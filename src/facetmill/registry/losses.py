"""Whether ledger and registry still tell of the same champions. Each is made anew, empty, where its file is gone: then
the other one knows, and nothing may go on as if nothing had ever been live.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from facetmill.errors import PlatformError
from facetmill.platform.sqlite_files import RESTORE
from facetmill.registry import versions
from facetmill.registry.ledger import Ledger
from facetmill.tracking.tags import DATASET_VERSION, PACKAGE_SHA256
from facetmill.tracking.tracker import Tracker


@dataclass(frozen=True)
class Mismatch:
    """What ledger and registry do not agree on. A `loss` stops promotions."""

    loss: bool
    wrong: str


def mismatch(tracker: Tracker, ledger: Ledger) -> Mismatch | None:
    """None while a promotion is under way: its row says what comes next."""
    rows = ledger.history()
    if any(row.state == "pending" for row in rows):
        return None
    live = versions.champion(tracker)
    done = [row for row in rows if row.state == "done" and row.to_version is not None]
    if not done:
        if live is None:
            return None
        wrong = (
            f"{versions.LIVE}/{live.version} is live, but the ledger at {ledger.place} knows of no promotion, so it was"
            f" lost; {RESTORE}. If there is none: facetmill adopt --why REASON begins a new ledger with it"
        )
        return Mismatch(True, wrong)
    last = done[-1]
    noted = versions.tags_of_live(tracker, last.to_version or 0)
    when = f"by the ledger at {ledger.place} {versions.LIVE}/{last.to_version} is live since {last.when.isoformat()}"
    if noted is None or noted.get(PACKAGE_SHA256) != last.decision.get("package_sha256", noted.get(PACKAGE_SHA256)):
        what = "has no such version" if noted is None else "has another model of that number"
        wrong = (
            f"{when}, but MLflow at {tracker.uri} {what}, so its store was lost; {RESTORE}. If there is none, move the "
            "ledger away, and everything begins anew"
        )
        return Mismatch(True, wrong)
    now = None if live is None else int(live.version)
    if now != last.to_version:
        said = "no version is" if now is None else f"{versions.LIVE}/{now} is"
        return Mismatch(False, f"{when}, but in MLflow {said}: the alias {versions.ALIAS!r} was moved by hand")
    return None


def require_no_loss(tracker: Tracker, ledger: Ledger) -> None:
    """Raises `PlatformError` where the ledger or the registry has lost what the other one knows."""
    found = mismatch(tracker, ledger)
    if found is not None and found.loss:
        raise PlatformError(f"{found.wrong}. Nothing was changed")


def problems(tracker: Tracker, ledger: Ledger) -> list[str]:
    """What is wrong with what is live: that it is not what the ledger says, or not the bytes that were judged."""
    found = mismatch(tracker, ledger)
    said = [] if found is None else [found.wrong]
    if versions.champion(tracker) is not None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                versions.fetch_package(tracker, versions.resolve(tracker, versions.CHAMPION), Path(folder))
            except PlatformError as error:
                said.append(f"{error}. Roll back (facetmill rollback), or {RESTORE}")
    return said


def adopt(tracker: Tracker, ledger: Ledger, *, who: str, why: str) -> int:
    """Note the champion in a ledger that has lost it, as one that nobody judged here; returns the row.

    Raises `PlatformError` where nothing is live, or the ledger knows of promotions.
    """
    with ledger.exclusive():
        live = versions.champion(tracker)
        if live is None:
            raise PlatformError("nothing is live, so there is nothing to adopt")
        if ledger.history():
            raise PlatformError(
                f"the ledger at {ledger.place} is not empty; only an empty one takes a champion as it is"
            )
        resolved = versions.resolve(tracker, f"{versions.LIVE}/{live.version}")
        candidate = str(live.source or "").rpartition("/")[2]
        row = ledger.append(
            who=who,
            why=why,
            candidate_version=int(candidate) if candidate.isdigit() else 0,
            from_version=None,
            dataset_version=resolved.tags.get(DATASET_VERSION, ""),
            decision={"action": "adoption", "package_sha256": resolved.tags.get(PACKAGE_SHA256)},
            state="pending",
        )
        ledger.close(row, "done", int(live.version))
    return row
