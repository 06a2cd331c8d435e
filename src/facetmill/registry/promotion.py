"""Putting a model live: the one place that moves the alias `champion`, and the order in which it is done. Tracker and
ledger are those of one catalogue.

Ledger row `pending` -> version of the live model -> its hash -> smoke test of that version -> the alias -> a look at
where it points -> ledger row `done`. So the alias is never on a model that has not served. Whatever goes wrong on the
way, the old champion is live afterwards; where the process itself dies, `repair` sees to it from the ledger. A rollback
takes the same way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlflow.exceptions import MlflowException

from facetmill.errors import GateFailed, Outdated, PlatformError
from facetmill.gates.verdict import Decision
from facetmill.platform.outages import as_outage
from facetmill.registry import approvals, versions
from facetmill.registry.ledger import Entry, Ledger
from facetmill.registry.losses import MOVED_OUTSIDE, note_moved, require_no_loss
from facetmill.registry.notes import describe_live
from facetmill.tracking.names import ALIAS, Names
from facetmill.tracking.tags import DATASET_VERSION, PACKAGE_SHA256
from facetmill.tracking.tracker import Tracker, is_lost

Outcome = Literal["promoted", "rolled_back", "already_champion", "dry_run", "waiting"]
Smoke = Callable[[str, str], None]


@dataclass(frozen=True)
class Promotion:
    """What a promotion did. Versions are of the live model; `entry_id` is its ledger row, if one was written."""

    outcome: Outcome
    candidate_version: int
    from_version: int | None
    to_version: int | None
    entry_id: int | None
    message: str


def promote(
    tracker: Tracker,
    ledger: Ledger,
    candidate_version: int,
    decision: Decision,
    *,
    who: str,
    why: str,
    smoke: Smoke,
    dry_run: bool = False,
    ask_for_days: float | None = None,
    request: Entry | None = None,
) -> Promotion:
    """Make a candidate the champion, if the decision allows it; with `ask_for_days`, have it wait so long for a person
    who approves it. `request` is the row of one that has waited and is approved.

    `smoke` is given the URIs of the version that is to go live and of the tracking server, and raises when it does not
    serve.
    Raises `GateFailed` for a rejected candidate, and `PlatformError` when the smoke test fails, the package has
    changed, the decision is about other versions, or ledger or registry were lost; the champion is then what it was.
    It is `Outdated` where another promotion came first.
    A dry run neither writes nor moves.
    """
    with ledger.exclusive():
        if not dry_run:
            _repair(tracker, ledger)
        require_no_loss(tracker, ledger)
        candidate = versions.resolve(tracker, f"{tracker.names.candidates}/{candidate_version}")
        live = versions.champion(tracker)
        old = None if live is None else int(live.version)
        if live is not None and live.source == candidate.uri:
            message = f"{candidate.ref} is the champion already, as {tracker.names.live}/{old}"
            return Promotion("already_champion", candidate_version, old, old, None, message)
        _require_current(tracker.names, decision, candidate_version, old)
        if not dry_run:
            note_moved(tracker, ledger, who)
        if not decision.accepted:
            if not dry_run:
                _note(ledger, "rejected", who, why, candidate.tags, candidate_version, old, decision.to_json())
            raise GateFailed(f"{candidate.ref} {decision.summary}")
        if dry_run:
            first = "" if ask_for_days is None else "wait for approval, and then "
            message = f"{candidate.ref} would {first}replace {_live(tracker.names, old)}: {decision.summary}"
            return Promotion("dry_run", candidate_version, old, None, None, message)
        said = decision.to_json()
        if ask_for_days is not None:
            said = approvals.asking(said, ask_for_days)
            entry_id = _note(ledger, "waiting", who, why, candidate.tags, candidate_version, old, said)
            asked = approvals.request_of(ledger, candidate_version)
            assert asked is not None
            return Promotion("waiting", candidate_version, old, None, entry_id, approvals.said_of(asked))
        if request is not None:
            said |= {approvals.REQUESTED: approvals.of_request(request)}
        entry_id = _note(ledger, "pending", who, why, candidate.tags, candidate_version, old, said)

        def live_version() -> int:
            """Copied from the candidate, unless an earlier promotion has done so."""
            found = versions.live_version_of(tracker, candidate_version)
            assert candidate.uri is not None
            versions.ensure_registered(tracker, tracker.names.live)
            return found or int(tracker.client.copy_model_version(candidate.uri, tracker.names.live).version)

        new = _go_live(tracker, ledger, entry_id, old, live_version, candidate.tags.get(PACKAGE_SHA256), smoke)
        describe_live(tracker, ledger, new, old)
    message = f"{candidate.ref} is live as {tracker.names.live}/{new}, after {_live(tracker.names, old)}"
    return Promotion("promoted", candidate_version, old, new, entry_id, message)


def rollback(tracker: Tracker, ledger: Ledger, *, who: str, why: str, smoke: Smoke, to: int | None = None) -> Promotion:
    """Make a past champion the champion again: version `to` of the live model, or the one before the present one.

    No gate is asked: it was champion, and the person says why. Raises `PlatformError` when there is no such past
    champion, when its package is not the one that was live, or when it does not serve; nothing has changed then.
    """
    with ledger.exclusive():
        _repair(tracker, ledger)
        require_no_loss(tracker, ledger)
        note_moved(tracker, ledger, who)
        live = versions.champion(tracker)
        old = None if live is None else int(live.version)
        past = {
            entry.to_version: entry
            for entry in reversed(ledger.history())
            if entry.to_version is not None and _went_live(entry)
        }
        if to is None and old is None:
            raise PlatformError("nothing is live, so there is nothing to roll back; --to VERSION names a past champion")
        new = _before(tracker.names, old, past) if to is None else to
        if new == old and new in past:
            message = f"{_live(tracker.names, old)} is the champion already"
            return Promotion("already_champion", past[new].candidate_version, new, new, None, message)
        if new not in past:
            known = ", ".join(_live(tracker.names, version) for version in sorted(past) if version != old) or "none"
            raise PlatformError(f"{_live(tracker.names, new)} was never champion; past champions are: {known}")
        entry, tags = past[new], versions.resolve(tracker, _live(tracker.names, new)).tags
        decision = {"action": "rollback", "package_sha256": entry.decision.get("package_sha256")}
        entry_id = _note(ledger, "pending", who, why, tags, entry.candidate_version, old, decision)
        _go_live(tracker, ledger, entry_id, old, lambda: new, decision["package_sha256"], smoke)
        describe_live(tracker, ledger, new, old)
    message = f"{_live(tracker.names, new)} is live again, after {_live(tracker.names, old)}"
    return Promotion("rolled_back", entry.candidate_version, old, new, entry_id, message)


def repair(tracker: Tracker, ledger: Ledger) -> list[Entry]:
    """Close the rows that a crash has left pending, and return them as they are now.

    A promotion that had moved the alias is done, for its model has served; one that had not has changed nothing.
    """
    if not ledger.pending():
        return []
    with ledger.exclusive():
        return _repair(tracker, ledger)


def _go_live(
    tracker: Tracker,
    ledger: Ledger,
    entry_id: int,
    old: int | None,
    live_version: Callable[[], int],
    package_sha256: str | None,
    smoke: Smoke,
) -> int:
    """The steps between the two states of a ledger row; returns the version that is live now."""
    with _left_pending(entry_id):
        try:
            new = live_version()
            _require_unchanged(tracker, new, package_sha256)
            smoke(f"models:/{_live(tracker.names, new)}", tracker.uri)
            _move_alias(tracker, new)
            _require_live(tracker, new)
        except BaseException as error:
            if is_lost(error):  # without MLflow nothing can be undone
                raise
            _move_alias(tracker, old)
            ledger.close(entry_id, "failed")
            if not isinstance(error, Exception):
                raise
            raise PlatformError(
                f"the new champion does not serve; {_live(tracker.names, old)} stays live: {error}"
            ) from error
        ledger.close(entry_id, "done", new)
    return new


@contextmanager
def _left_pending(entry_id: int) -> Iterator[None]:
    """Where a server is lost on the way, say what becomes of the row: `repair` closes it when that is back."""
    try:
        yield
    except Exception as error:
        if lost := as_outage(error):
            then = f"then facetmill up completes or undoes this promotion (ledger row {entry_id})"
            raise PlatformError(f"{lost}; {then}") from error
        raise


def _require_unchanged(tracker: Tracker, version: int, package_sha256: str | None) -> None:
    """What goes live is, byte for byte, what was judged, or was champion before."""
    resolved = versions.resolve(tracker, _live(tracker.names, version))
    noted = resolved.tags.get(PACKAGE_SHA256)
    if noted != package_sha256:
        raise PlatformError(f"{resolved.ref}: registered as {noted}, but {package_sha256} was judged")
    with tempfile.TemporaryDirectory() as folder:
        versions.fetch_package(tracker, resolved, Path(folder))


def _require_live(tracker: Tracker, version: int) -> None:
    """The alias points where it was moved: nobody moved it by hand meanwhile."""
    live = versions.champion(tracker)
    now = None if live is None else int(live.version)
    if now != version:
        names = tracker.names
        raise PlatformError(
            f"{_live(names, version)} was made champion, but {_live(names, now)} is; the alias was moved by hand"
        )


def _went_live(entry: Entry) -> bool:
    """Whether a row tells of a champion that was put live here."""
    return entry.state == "done" and entry.decision.get("action") != MOVED_OUTSIDE


def _before(names: Names, version: int | None, past: Mapping[int, Entry]) -> int:
    """The champion before the one that made way for `version` when that first went live."""
    before = past[version].from_version if version is not None and version in past else None
    if before is None:
        raise PlatformError(f"{_live(names, version)} is the first champion, so there is none to roll back to")
    return before


def _note(
    ledger: Ledger,
    state: Literal["pending", "rejected", "waiting"],
    who: str,
    why: str,
    tags: Mapping[str, str],
    candidate_version: int,
    old: int | None,
    decision: Mapping[str, Any],
) -> int:
    return ledger.append(
        who=who,
        why=why,
        candidate_version=candidate_version,
        from_version=old,
        dataset_version=tags.get(DATASET_VERSION, ""),
        decision={"action": "promotion", "package_sha256": tags.get(PACKAGE_SHA256), **decision},
        state=state,
    )


def _repair(tracker: Tracker, ledger: Ledger) -> list[Entry]:
    """`repair` for one who holds the lock already, so that no promotion is under way."""
    left = ledger.pending()
    for entry in left:
        live = versions.champion(tracker)
        now = None if live is None else int(live.version)
        moved_by_it = (
            live is not None and live.source == f"models:/{tracker.names.candidates}/{entry.candidate_version}"
        )
        if moved_by_it and now != entry.from_version:
            ledger.close(entry.id, "done", now)
        else:
            ledger.close(entry.id, "failed")
    ids = {entry.id for entry in left}
    return [entry for entry in ledger.history() if entry.id in ids]


def _move_alias(tracker: Tracker, version: int | None) -> None:
    """Make a version of the live model the champion, or none. Nothing else moves the alias."""
    if version is not None:
        tracker.client.set_registered_model_alias(tracker.names.live, ALIAS, str(version))
        return
    try:
        tracker.client.delete_registered_model_alias(tracker.names.live, ALIAS)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # there is no live model yet, so no alias either
            raise


def _require_current(names: Names, decision: Decision, candidate_version: int, champion_version: int | None) -> None:
    """Two promotions may have been judged at once: the second was compared with a champion that is gone."""
    if decision.candidate_version is None:
        return
    if decision.candidate_version != candidate_version:
        raise PlatformError(f"the decision is about candidate {decision.candidate_version}, not {candidate_version}")
    if decision.champion_version != champion_version:
        raise Outdated(
            f"candidate {candidate_version} was judged against {_live(names, decision.champion_version)}, but "
            f"{_live(names, champion_version)} is live now; judge it again"
        )


def _live(names: Names, version: int | None) -> str:
    return "no champion" if version is None else f"{names.live}/{version}"
