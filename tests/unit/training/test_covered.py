"""What a model owes to a part of a picture, of a model that looks at one known place."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facetmill.encoders.pictures import data_uri, decode_unstretched, picture_bytes
from facetmill.models.base import Reads
from facetmill.records import AttributeSchema, Facet, Product
from facetmill.training.covered import cover
from tests import small
from tests.toys import Chooser


class CornerEye(Chooser):
    """Is as sure that a product is red as its picture's lower right quarter is, tells nothing below 0.4, and knows
    the brand whatever it sees."""

    reads = frozenset[Reads]({"title", "images"})

    def __init__(self) -> None:
        super().__init__(small.JAVE, AttributeSchema(()))

    def collate(self, products: Any) -> Any:
        return Reds([red_share(each) for each in products])

    def predict(self, batch: Any) -> list[list[Facet]]:
        brand = Facet("Brand", "Acme", provenance="predicted", confidence=0.9)
        return [
            [brand, *([Facet("Colour", "red", provenance="predicted", confidence=red)] if red > 0.4 else [])]
            for red in batch.reds
        ]


def red_share(product: Product) -> float:
    data = picture_bytes(product.images[0])
    assert isinstance(data, bytes)
    pixels = decode_unstretched(data, 400)
    assert isinstance(pixels, np.ndarray)
    height, width = pixels.shape[:2]
    return float((pixels[height // 2 :, width // 2 :, 1] == 0).mean())


class Reds:
    def __init__(self, reds: list[float]) -> None:
        self.reds = reds

    def to(self, device: Any) -> Reds:
        return self


def shown(width: int, height: int) -> Product:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 255
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return Product("1", "s", "cup", images=(data_uri(written.getvalue()),))


@pytest.mark.parametrize("size", [(40, 40), (90, 30)])
def test_a_value_owes_its_confidence_to_the_part_that_shows_it(size: tuple[int, int]) -> None:
    found = cover(CornerEye(), shown(*size), parts=2)
    assert found is not None
    brand, colour = found
    assert (brand.attribute, brand.whole, brand.parts) == ("Brand", 0.0, ((0.0, 0.0), (0.0, 0.0)))
    assert (colour.value, colour.confidence) == ("red", 1.0)
    assert colour.whole == 1.0
    assert colour.parts == ((0.0, 0.0), (0.0, 1.0))


def test_what_is_told_no_longer_has_lost_all_of_its_confidence() -> None:
    """Of the quarter, four of sixteen parts; each covers a quarter of it, so it stays told."""
    found = cover(CornerEye(), shown(80, 80), parts=4)
    assert found is not None
    assert [row[2:] for row in found[1].parts[2:]] == [(0.25, 0.25), (0.25, 0.25)]


def test_without_a_picture_there_is_nothing_to_cover() -> None:
    product = shown(8, 8)
    for images in ((), ("nowhere.png",), (data_uri(b"no picture"),)):
        assert cover(CornerEye(), replace(product, images=images)) is None
