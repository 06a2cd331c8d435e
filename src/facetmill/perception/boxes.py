"""Boxes that somebody found on a picture, and which of them are worth keeping."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from struct import pack, unpack

from facetmill.records import Box


@dataclass(frozen=True, slots=True)
class Candidate:
    """A box, and how good it is to whoever found it (0..1)."""

    box: Box
    score: float


def best_apart(candidates: Iterable[Candidate], *, min_score: float, max_overlap: float, at_most: int) -> list[Box]:
    """The best boxes, best first, none of which overlaps a better one by more than `max_overlap` (0..1, `overlap`).

    Of equal scores the earlier candidate is the better one. (Greedy non-maximum suppression.)
    """
    kept: list[Box] = []
    for candidate in sorted(candidates, key=lambda each: -each.score):
        if len(kept) == at_most or candidate.score < min_score:
            break
        if all(overlap(candidate.box, better) <= max_overlap for better in kept):
            kept.append(candidate.box)
    return kept


def as_recorded(box: Box) -> Box:
    """A box as a dataset keeps it, in single precision: a model is asked about exactly what it has learned from."""
    left, top, right, bottom = (unpack("f", pack("f", edge))[0] for edge in astuple(box))
    return Box(left, top, right, bottom)


def overlap(a: Box, b: Box) -> float:
    """What both boxes cover, as a share of what either covers (intersection over union, 0..1)."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    both = max(width, 0.0) * max(height, 0.0)
    either = _area(a) + _area(b) - both
    return both / either if either > 0 else 0.0


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)
