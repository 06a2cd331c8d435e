"""Promotions that a crash has cut off."""

from __future__ import annotations

from facetmill.registry.ledger import Ledger
from facetmill.registry.promotion import repair
from facetmill.tracking.names import Names
from facetmill.tracking.tracker import Tracker


def close_lost_promotions(tracker: Tracker, ledger: Ledger) -> list[str]:
    """Close promotions, of any catalogue, that were cut off between their two states in the ledger; returns a line for
    each."""
    how = {"done": "completed", "failed": "undone"}
    return [
        f"{how[entry.state]}: a promotion of {Names(entry.catalogue).candidates}/{entry.candidate_version}, cut off "
        f"(ledger row {entry.id})"
        for catalogue in ledger.catalogues()
        for entry in repair(tracker.of(catalogue), ledger.of(catalogue))
    ]
