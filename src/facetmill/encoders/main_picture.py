"""The main picture of each product of a batch, as pixels or, where a frozen encoder's cache has them all or they were
given, as regions.

Shapes: P pictures that could be read, S pixels a side, K regions, E width of the image encoder, B rows of a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isqrt
from pathlib import Path, PurePath
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facetmill.compute.batch import TensorBatch
from facetmill.encoders.cache import FeatureCache, digest_of, in_working_precision
from facetmill.encoders.given import Vectors
from facetmill.encoders.pictures import DATA_URI, Fault, decode_picture, picture_bytes
from facetmill.encoders.vision import ImageEncoder, ImageStates
from facetmill.errors import DataError
from facetmill.records import Product


@dataclass(frozen=True)
class PictureBatch(TensorBatch):
    """Either `pixels_PCHW` (uint8, RGB) or `region_PKE`, and which of the P pictures each row has (int64, -1: none)."""

    pixels_PCHW: Tensor | None
    region_PKE: Tensor | None
    picture_B: Tensor


class GivenRegions(nn.Module):
    """Stands for an encoder where vectors of pictures were given: of regions, or one of each picture, its one region.

    They are found by the name of a product's main picture without its ending, by its `group_id` or by its id. `width`
    is E, and there are `grid` rows of `grid` regions.
    """

    pretrained = frozen = True

    def __init__(self, folder: Path) -> None:
        """Raises `ParamsError` for a folder without them, and `DataError` for files that are damaged or disagree."""
        super().__init__()
        self._vectors = Vectors(folder, "image")
        self.width = self._vectors.width
        num_regions = self._vectors.num_parts or 1
        self.grid = isqrt(num_regions)
        if self.grid**2 != num_regions:
            raise DataError(f"{folder}: pictures have {num_regions} regions, which make no square")

    def row_of(self, product: Product) -> int:
        """Raises `DataError` for a product whose picture has no vectors."""
        shown = product.images[0] if product.images else ""
        names = [] if not shown or shown.startswith(DATA_URI) else [PurePath(shown).stem]
        return self._vectors.row_of(product.product_id, *names, product.group_id, product.product_id)

    def batch(self, products: Sequence[Product], rows: Sequence[int]) -> PictureBatch | None:
        """The pictures of the products that stand in some rows, by their places."""
        if not products:
            return None
        region_PKE = torch.stack([self._vectors.parts(self.row_of(product)) for product in products])
        return PictureBatch(None, region_PKE, torch.tensor(rows, dtype=torch.int64))


#: What gives the regions of a main picture.
RegionSource: TypeAlias = ImageEncoder | GivenRegions


def picture_batch(
    products: Sequence[Product], rows: Sequence[int], size: int, cache: FeatureCache | None
) -> PictureBatch | None:
    """The pictures of the products that stand in some rows, by their places; None where no row has one."""
    found = [_main_picture(product) for product in products]
    stored = None if cache is None else _stored(found, cache)
    decoded = stored if stored is not None else [_decoded(data, size) for data in found]
    shown = [number for number, picture in enumerate(decoded) if picture is not None]
    if not shown:
        return None
    places = {number: place for place, number in enumerate(shown)}
    picture_B = torch.tensor([places.get(number, -1) for number in rows], dtype=torch.int64)
    pictures = torch.stack([picture for picture in decoded if picture is not None])
    if stored is not None:
        return PictureBatch(None, pictures, picture_B)
    return PictureBatch(pictures, None, picture_B)


def image_states(pictures: PictureBatch, encoder: RegionSource) -> ImageStates:
    """The regions of each row's picture."""
    if pictures.region_PKE is not None:
        region_PKE = in_working_precision(pictures.region_PKE)
    else:
        assert pictures.pixels_PCHW is not None
        region_PKE = encoder(pictures.pixels_PCHW)
    return ImageStates(region_PKE[pictures.picture_B.clamp(min=0)], pictures.picture_B >= 0)


def store_regions(products: Iterable[Product], encoder: ImageEncoder, cache: FeatureCache) -> None:
    """Encode the pictures that the cache does not have; one that cannot be decoded is kept as having no regions."""

    def encode(data: bytes) -> NDArray[np.float32]:
        pixels = decode_picture(data, encoder.size)
        if isinstance(pixels, Fault):
            return np.zeros((0, encoder.width), dtype=np.float32)
        with torch.no_grad():
            region_1KE = encoder(torch.from_numpy(pixels)[None].to(encoder.mean_C11.device))
        found: NDArray[np.float32] = region_1KE[0].cpu().numpy()
        return found

    pictures = (data for product in products if isinstance(data := _main_picture(product), bytes))
    cache.fill((digest_of(data), partial(encode, data)) for data in pictures)


def count_pictures(products: Iterable[Product], size: int) -> Counter[str]:
    """How many products have a main picture, have none or one whose file is gone, or one that cannot be read."""
    counts: Counter[str] = Counter()
    for product in products:
        data = _main_picture(product)
        fault = data if isinstance(data, Fault) else decode_picture(data, size)
        counts[f"pictures_{fault}" if isinstance(fault, Fault) else "pictures_read"] += 1
    return counts


def _main_picture(product: Product) -> bytes | Fault:
    return picture_bytes(product.images[0]) if product.images else Fault.MISSING


def _decoded(data: bytes | Fault, size: int) -> Tensor | None:
    pixels = data if isinstance(data, Fault) else decode_picture(data, size)
    return None if isinstance(pixels, Fault) else torch.from_numpy(pixels)


def _stored(found: Sequence[bytes | Fault], cache: FeatureCache) -> list[Tensor | None] | None:
    """The regions of pictures, or None where the cache lacks one."""
    digests = [None if isinstance(data, Fault) else digest_of(data) for data in found]
    if not all(digest is None or digest in cache for digest in digests):
        return None
    regions = [None if digest is None else cache.get(digest) for digest in digests]
    return [None if region is None or not len(region) else region for region in regions]
