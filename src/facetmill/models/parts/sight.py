"""What a text model is given so that it sees the main picture: an encoder, its cache, and JAVE's terms that use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facetmill.encoders.cache import FeatureCache, encoder_identity
from facetmill.encoders.given import given_folder
from facetmill.encoders.main_picture import (
    GivenRegions,
    PictureBatch,
    RegionSource,
    count_pictures,
    picture_batch,
    store_regions,
)
from facetmill.encoders.vision import build_image_encoder, load_image_encoder, save_image_encoder
from facetmill.params import ImageEncoderParams
from facetmill.records import Product

if TYPE_CHECKING:  # who only sees does not depend on JAVE
    from facetmill.models.parts.joint import ImageTerms


def build_regions(params: ImageEncoderParams) -> RegionSource:
    """What a setting says that regions come from: a new encoder, or vectors that were given."""
    given = given_folder(params.network)
    return build_image_encoder(params) if given is None else GivenRegions(given)


def load_regions(params: ImageEncoderParams, folder: Path) -> RegionSource:
    """The same of a saved model, whose weights are still to be loaded; vectors that were given lie where they lay."""
    given = given_folder(params.network)
    return load_image_encoder(folder, freeze=params.freeze) if given is None else GivenRegions(given)


class Sight:
    """The network owns the encoder's weights; what is here reads pictures for it. `size` is in pixels a side."""

    def __init__(self, encoder: RegionSource, size: int, terms: ImageTerms | None = None) -> None:
        self.encoder = encoder
        self.terms = terms
        self._size = size
        self._cache: FeatureCache | None = None

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype) -> None:
        """Keep what a frozen encoder gives for the pictures of products below `features_dir`, as `dtype`."""
        if self.encoder.frozen and not isinstance(self.encoder, GivenRegions):
            if self._cache is None or self._cache.dtype != dtype:
                self._cache = FeatureCache(features_dir, encoder_identity(self.encoder), dtype)
            store_regions(products, self.encoder.eval(), self._cache)

    def pictures(self, products: Sequence[Product], rows: Sequence[int]) -> PictureBatch | None:
        """The pictures of rows, each of the product at its place in `rows`; None where no row has one."""
        if isinstance(self.encoder, GivenRegions):
            return self.encoder.batch(products, rows)
        return picture_batch(products, rows, self._size, self._cache)

    def count(self, train: Iterable[Product]) -> Counter[str]:
        """How many pictures of the train split could be read, and why others could not. Raises `DataError` for a
        product whose picture should have been given."""
        if isinstance(self.encoder, GivenRegions):
            return Counter(train_pictures_given=sum(self.encoder.row_of(product) >= 0 for product in train))
        counts = count_pictures(train, self._size)
        return Counter({f"train_{name}": number for name, number in counts.items()})

    def save(self, folder: Path) -> None:
        """Write what `load_regions` needs, but for the weights."""
        if not isinstance(self.encoder, GivenRegions):
            save_image_encoder(self.encoder, folder)
