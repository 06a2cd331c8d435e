"""Where in its picture a model finds what it tells: what it is less sure of when that part is covered.

Source: Zeiler, Fergus. "Visualizing and Understanding Convolutional Networks." ECCV 2014, section 4.2. It asks a model
for nothing but answers, so it is the same of every model, with gates, with attention or with neither.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetmill.encoders.pictures import Fault, data_uri, decode_unstretched, picture_bytes
from facetmill.models.base import Model
from facetmill.records import Facet, Product
from facetmill.training.predict import predict

PARTS = 5  # rows and columns that a picture is covered in
LONGEST_SIDE = 384  # pixels that a picture is covered at
GREY = 128  # of what covers it: it says nothing, not even how light the picture is
BATCH = 16


@dataclass(frozen=True)
class Covered:
    """What the model loses of its `confidence` (0..1) in a value when the `whole` picture is covered, and when one part
    of it is, by row and column. A value that is no longer told has lost all of it."""

    attribute: str
    value: str
    confidence: float
    whole: float
    parts: tuple[tuple[float, ...], ...]


def cover(model: Model, product: Product, parts: int = PARTS) -> list[Covered] | None:
    """Each value that the model tells of the product, and what it owes to `parts` by `parts` parts of its main picture.
    None of a model that reads no pictures, or of a product without one that can be read."""
    if "images" not in model.reads or not product.images:
        return None
    data = picture_bytes(product.images[0])
    pixels = data if isinstance(data, Fault) else decode_unstretched(data, LONGEST_SIDE)
    if isinstance(pixels, Fault):
        return None
    shown = [product] + [_showing(product, each) for each in (np.full_like(pixels, GREY), *_in_parts(pixels, parts))]
    own, whole, *in_parts = (_confidences(facets) for facets in predict(model, shown, BATCH))

    def lost(pair: tuple[str, str], now: dict[tuple[str, str], float]) -> float:
        return round(max(0.0, own[pair] - now.get(pair, 0.0)), 4)

    return [
        Covered(
            *pair,
            confidence=round(confidence, 4),
            whole=lost(pair, whole),
            parts=tuple(
                tuple(lost(pair, now) for now in in_parts[row * parts : (row + 1) * parts]) for row in range(parts)
            ),
        )
        for pair, confidence in own.items()
    ]


def _in_parts(pixels_HWC: NDArray[np.uint8], parts: int) -> Iterator[NDArray[np.uint8]]:
    """The picture with each of its parts covered, by row and column."""
    height, width = pixels_HWC.shape[:2]
    for row in range(parts):
        for column in range(parts):
            changed = pixels_HWC.copy()
            rows = slice(row * height // parts, (row + 1) * height // parts)
            changed[rows, column * width // parts : (column + 1) * width // parts] = GREY
            yield changed


def _showing(product: Product, pixels_HWC: NDArray[np.uint8]) -> Product:
    written = io.BytesIO()
    Image.fromarray(pixels_HWC).save(written, "PNG", compress_level=1)
    return replace(product, images=(data_uri(written.getvalue()), *product.images[1:]))


def _confidences(facets: Sequence[Facet]) -> dict[tuple[str, str], float]:
    """By attribute and value, the surest."""
    found: dict[tuple[str, str], float] = {}
    for facet in facets:
        pair = facet.attribute, facet.value
        found[pair] = max(found.get(pair, 0.0), facet.confidence or 0.0)
    return found
