"""Putting a model live: the one place that moves the alias `champion`, and the order in which it is done.

Ledger row `pending` -> copy the version -> move the alias -> smoke test -> ledger row `done`. Whatever goes wrong on
the way, the old champion is live afterwards; where the process itself dies, `repair` sees to it from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mlflow.exceptions import MlflowException

from facetmill.errors import GateFailed, PlatformError
from facetmill.registry import versions
from facetmill.registry.gates import Decision
from facetmill.registry.ledger import Entry, Ledger
from facetmill.registry.package import EXAMPLES
from facetmill.serving.ask import ask
from facetmill.tracking import Tracker

CHAMPION_URI = f"models:/{versions.CHAMPION}"

Outcome = Literal["promoted", "already_champion", "dry_run"]


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
    smoke: Callable[[str], None],
    dry_run: bool = False,
) -> Promotion:
    """Make a candidate the champion, if the decision allows it.

    `smoke` is given the URI of the new champion and raises when it does not serve. Raises `GateFailed` for a rejected
    candidate, and `PlatformError` when the smoke test fails or the decision is about other versions; the champion is
    then what it was. A dry run does neither write nor move anything.
    """
    with ledger.exclusive():
        if not dry_run:
            _repair(tracker, ledger)
        candidate = versions.resolve(tracker, f"{versions.CANDIDATES}/{candidate_version}")
        live = versions.champion(tracker)
        old = None if live is None else int(live.version)
        if live is not None and live.source == candidate.uri:
            message = f"{candidate.ref} is the champion already, as {versions.LIVE}/{old}"
            return Promotion("already_champion", candidate_version, old, old, None, message)
        _require_current(decision, candidate_version, old)

        def note(state: Literal["pending", "rejected"]) -> int:
            return ledger.append(
                who=who,
                why=why,
                candidate_version=candidate_version,
                from_version=old,
                dataset_version=candidate.tags.get("facetmill.dataset_version", ""),
                decision=decision.to_json(),
                state=state,
            )

        if not decision.accepted:
            if not dry_run:
                note("rejected")
            raise GateFailed(f"{candidate.ref} {decision.summary}")
        if dry_run:
            message = f"{candidate.ref} would replace {_live(old)}: {decision.summary}"
            return Promotion("dry_run", candidate_version, old, None, None, message)
        entry_id = note("pending")
        try:
            new = int(tracker.client.copy_model_version(candidate.uri, versions.LIVE).version)
            _move_alias(tracker, new)
            smoke(CHAMPION_URI)
        except BaseException as error:
            _move_alias(tracker, old)
            ledger.close(entry_id, "failed")
            if not isinstance(error, Exception):
                raise
            raise PlatformError(f"{candidate.ref} does not serve; {_live(old)} stays live: {error}") from error
        ledger.close(entry_id, "done", new)
    message = f"{candidate.ref} is live as {versions.LIVE}/{new}, after {_live(old)}"
    return Promotion("promoted", candidate_version, old, new, entry_id, message)


def repair(tracker: Tracker, ledger: Ledger) -> list[Entry]:
    """Close the rows that a crash has left pending, and return them as they were.

    A promotion that did not come to its end is undone: its model may be live without having passed the smoke test.
    """
    with ledger.exclusive():
        return _repair(tracker, ledger)


def smoke_test(tracker: Tracker) -> Callable[[str], None]:
    """A smoke test in a process of its own: the model, loaded as a server would load it, answers about examples."""

    def smoke(model_uri: str) -> None:
        ask(model_uri, EXAMPLES, tracking_uri=tracker.uri)

    return smoke


def _repair(tracker: Tracker, ledger: Ledger) -> list[Entry]:
    """`repair` for one who holds the lock already, so that no promotion is under way."""
    left = ledger.pending()
    for entry in left:
        live = versions.champion(tracker)
        now = None if live is None else int(live.version)
        moved_by_it = live is not None and live.source == f"models:/{versions.CANDIDATES}/{entry.candidate_version}"
        if moved_by_it and now != entry.from_version:
            _move_alias(tracker, entry.from_version)
        ledger.close(entry.id, "failed")
    return left


def _move_alias(tracker: Tracker, version: int | None) -> None:
    """Make a version of the live model the champion, or none. Nothing else moves the alias."""
    if version is not None:
        tracker.client.set_registered_model_alias(versions.LIVE, versions.ALIAS, str(version))
        return
    try:
        tracker.client.delete_registered_model_alias(versions.LIVE, versions.ALIAS)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # there is no live model yet, so no alias either
            raise


def _require_current(decision: Decision, candidate_version: int, champion_version: int | None) -> None:
    """Two promotions may have been judged at once: the second was compared with a champion that is gone."""
    if decision.candidate_version is None:
        return
    if decision.candidate_version != candidate_version:
        raise PlatformError(f"the decision is about candidate {decision.candidate_version}, not {candidate_version}")
    if decision.champion_version != champion_version:
        raise PlatformError(
            f"candidate {candidate_version} was judged against {_live(decision.champion_version)}, but "
            f"{_live(champion_version)} is live now; judge it again"
        )


def _live(version: int | None) -> str:
    return "no champion" if version is None else f"{versions.LIVE}/{version}"
