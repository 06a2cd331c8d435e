"""What `regions.kind` names: how the regions of a picture are found.

    grid        the picture in n x n equal parts, as many as `regions.at_most` allows
    proposals   what stands out from a plain ground (`region_proposals.py`); no weights are needed
    otherwise   a hub name or local folder of an object detector (`region_detector.py`)

Those that name no network are `WITHOUT_WEIGHTS`. A finder knows nothing of files, and what it finds depends on the
pixels and its identity alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facetmill.encoders.pictures import Fault, decode_unstretched
from facetmill.imports import unhindered_imports
from facetmill.params import RegionsParams
from facetmill.perception.boxes import Candidate, best_apart
from facetmill.records import Box

WITHOUT_WEIGHTS = ("grid", "proposals")


class Finder(Protocol):
    """`name` may stand in the name of a folder."""

    name: str

    @property
    def identity(self) -> str:
        """All that decides what is found: another identity may find other boxes."""
        ...

    def find(self, pixels_HWC: NDArray[np.uint8]) -> list[Candidate]:
        """Candidates in any order, from RGB pixels [height,width,3] (0..255)."""
        ...


class Grid:
    """n x n boxes row by row, n as large as `at_most` boxes allow."""

    name = "grid"

    def __init__(self, at_most: int) -> None:
        self._n = isqrt(at_most)
        self.identity = str(self._n)

    def find(self, pixels_HWC: NDArray[np.uint8]) -> list[Candidate]:
        n = self._n
        boxes = [Box(x / n, y / n, (x + 1) / n, (y + 1) / n) for y in range(n) for x in range(n)]
        return [Candidate(box, 1.0) for box in boxes]


def finder_of(kind: str, at_most: int) -> Finder:
    """Raises `ParamsError` for a detector that cannot be loaded."""
    match kind:
        case "grid":
            return Grid(at_most)
        case "proposals":
            from facetmill.perception.region_proposals import Proposals

            return Proposals()
        case _:
            with unhindered_imports():
                from facetmill.perception.region_detector import Detector
            return Detector(kind)


def look_at_picture(finder: Finder, data: bytes, longest_side: int) -> list[Candidate] | Fault:
    """What a finder finds on the picture whose bytes these are, looked at with its longer side at most `longest_side`
    pixels; `Fault.BROKEN` where it has no pixels."""
    pixels_HWC = decode_unstretched(data, longest_side)
    return pixels_HWC if isinstance(pixels_HWC, Fault) else finder.find(pixels_HWC)


def best_boxes(candidates: Iterable[Candidate], params: RegionsParams) -> list[Box]:
    """The boxes that are kept as a picture's regions, best first."""
    return best_apart(
        candidates, min_score=params.min_confidence, max_overlap=params.max_overlap, at_most=params.at_most
    )
