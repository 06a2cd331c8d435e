"""Promotions that a crash has cut off."""

from __future__ import annotations

from facetmill.registry.ledger import Ledger
from facetmill.registry.promotion import repair
from facetmill.tracking.tracker import Tracker


def undo_lost_promotions(tracker: Tracker, ledger: Ledger) -> list[str]:
    """Undo promotions that were cut off between their two states in the ledger; returns a line for each."""
    return [
        f"undone: a promotion of candidate {entry.candidate_version} (ledger row {entry.id}) that was cut off"
        for entry in repair(tracker, ledger)
    ]
