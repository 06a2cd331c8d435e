"""Regions without any weights: what stands out from the plain ground that shops photograph products before.

The ground is what a picture's edge looks like, as a plane of colour: studio walls get darker towards the floor. How far
a pixel is from it is its contrast. Every connected piece that stands out at one of a few levels is a candidate, so are
all pieces of a level together (a lamp and its shade), and pieces of one colour inside them (a label, a collar).

A candidate's score is the share of the contrast that it holds times the square root of how much of it is contrast. A
box that cuts the product loses the one, a box with ground around the product loses the other; so the best one fits, and
the root makes it rather hold a thin handle than cut it. Nothing is learned and nothing is random: the same pixels give
the same boxes.

Shapes: H and W, height and width of the picture; C = 3 colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from facetmill.perception.boxes import Candidate
from facetmill.records import Box

FORMAT = 1  # to be raised when the same pixels would give other boxes

LEVELS = (0.15, 0.3, 0.6)  # of the highest contrast, from which on something stands out
FAINTEST = 0.06  # contrast (0..1) below which nothing does: JPEG noise, a breath of shadow
NUM_COLOURS = 6
MIN_SHARE = 0.002  # of the picture; a smaller piece is a speck
_DIGITS = 5  # of a share: finer than a pixel, and the same when read back from text

_LIBRARIES = ("numpy", "scipy", "pillow")  # another version may give other digits

_Edges = tuple[int, int, int, int]  # left, top, right, bottom in pixels, right and bottom beyond the last one


class Proposals:
    """A finder of `region_finders.py`."""

    name = "proposals"

    @property
    def identity(self) -> str:
        return " ".join([str(FORMAT), *(f"{library} {version(library)}" for library in _LIBRARIES)])

    def find(self, pixels_HWC: NDArray[np.uint8]) -> list[Candidate]:
        return propose(pixels_HWC)


def propose(pixels_HWC: NDArray[np.uint8]) -> list[Candidate]:
    """The boxes of a picture from left to right, many of them alike; none where nothing stands out.

    `pixels_HWC` are RGB (0..255).
    """
    height, width, _ = pixels_HWC.shape
    contrast_HW = _contrast(pixels_HWC)
    highest = float(np.quantile(contrast_HW, 0.99)) if contrast_HW.size else 0.0
    if highest < FAINTEST:  # all but specks is ground
        return []
    levels = [max(FAINTEST, level * highest) for level in LEVELS]
    standing_HW = np.minimum(contrast_HW / levels[1], 1)
    candidates = {edges for level in levels for edges in _pieces(contrast_HW >= level, together=True)}
    colour_HW = np.asarray(Image.fromarray(pixels_HWC).quantize(NUM_COLOURS, Image.Quantize.MEDIANCUT))
    for colour in range(NUM_COLOURS):
        candidates |= set(_pieces((colour_HW == colour) & (contrast_HW >= levels[0]), together=False))
    total = float(standing_HW.sum())
    scored = []
    for left, top, right, bottom in sorted(candidates):
        inside = float(standing_HW[top:bottom, left:right].sum())
        score = inside / total * sqrt(inside / ((right - left) * (bottom - top)))
        shares = (left / width, top / height, right / width, bottom / height)
        scored.append(Candidate(Box(*(round(share, _DIGITS) for share in shares)), round(min(score, 1.0), _DIGITS)))
    return scored


def _contrast(pixels_HWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far [H,W] each pixel's colour is from the ground's (0..1)."""
    height, width, _ = pixels_HWC.shape
    colour_HWC = pixels_HWC / 255
    row_HW, column_HW = np.mgrid[0:height, 0:width] / max(height, width)
    place_HW3 = np.stack([np.ones_like(row_HW), row_HW, column_HW], axis=-1)
    edge_HW = np.zeros((height, width), bool)
    rim = max(1, round(0.02 * max(height, width)))
    edge_HW[:rim] = edge_HW[-rim:] = edge_HW[:, :rim] = edge_HW[:, -rim:] = True
    place_E3, colour_EC = place_HW3[edge_HW], colour_HWC[edge_HW]
    # A product that is cut by the edge is no ground: begin with the commonest colour, keep what is like the plane.
    commonest_C = np.median(colour_EC, axis=0)
    ground_HWC: NDArray[np.float64] = np.broadcast_to(commonest_C, colour_HWC.shape)
    fits_E = np.abs(colour_EC - commonest_C).max(1) < 0.15
    for _ in range(3):
        if fits_E.sum() < 3:  # no plane goes through them
            break
        plane_3C, *_ = np.linalg.lstsq(place_E3[fits_E], colour_EC[fits_E], rcond=None)
        ground_HWC = place_HW3 @ plane_3C
        fits_E = np.abs(colour_EC - place_E3 @ plane_3C).max(1) < 0.06
    contrast_HW: NDArray[np.float64] = np.sqrt(((colour_HWC - ground_HWC) ** 2).mean(-1))
    return contrast_HW.clip(0, 1)


def _pieces(mask_HW: NDArray[np.bool_], *, together: bool) -> Iterator[_Edges]:
    """The edges of each connected piece that is no speck, and of all of them where several are wanted `together`."""
    label_HW, _ = ndimage.label(mask_HW, structure=np.ones((3, 3), bool))
    sizes = np.bincount(label_HW.ravel())
    found = []
    for number, place in enumerate(ndimage.find_objects(label_HW), start=1):
        if sizes[number] >= MIN_SHARE * mask_HW.size:
            rows, columns = place
            found.append((columns.start, rows.start, columns.stop, rows.stop))
    yield from found
    if together and len(found) > 1:
        lefts, tops, rights, bottoms = zip(*found, strict=True)
        yield min(lefts), min(tops), max(rights), max(bottoms)
