"""What `regions.kind` names: how the regions of a picture are found.

    grid        the picture in n x n equal parts, as many as `regions.at_most` allows
    proposals   what stands out from a plain ground (`region_proposals.py`); no weights are needed
    otherwise   a hub name or local folder of an object detector (`region_detector.py`)

A finder knows nothing of files, and what it finds depends on the pixels and its identity alone.
"""

from __future__ import annotations

from math import isqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facetmill.imports import unhindered_imports
from facetmill.perception.boxes import Candidate
from facetmill.records import Box


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
