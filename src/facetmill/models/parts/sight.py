"""What a text model is given so that it sees the main picture: an encoder, its cache, and JAVE's terms that use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from facetmill.encoders.cache import FeatureCache, encoder_identity
from facetmill.encoders.main_picture import PictureBatch, count_pictures, picture_batch, store_regions
from facetmill.encoders.vision import ImageEncoder, save_image_encoder
from facetmill.models.parts.joint import ImageTerms
from facetmill.records import Product


class Sight:
    """The network owns the encoder's weights; what is here reads pictures for it. `size` is in pixels a side."""

    def __init__(self, encoder: ImageEncoder, size: int, terms: ImageTerms | None = None) -> None:
        self.encoder = encoder
        self.terms = terms
        self._size = size
        self._cache: FeatureCache | None = None

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype) -> None:
        """Keep what a frozen encoder gives for the pictures of products below `features_dir`, as `dtype`."""
        if self.encoder.frozen:
            if self._cache is None or self._cache.dtype != dtype:
                self._cache = FeatureCache(features_dir, encoder_identity(self.encoder), dtype)
            store_regions(products, self.encoder.eval(), self._cache)

    def pictures(self, products: Sequence[Product], rows: Sequence[int]) -> PictureBatch | None:
        """The pictures of rows, each of the product at its place in `rows`; None where no row has one."""
        return picture_batch(products, rows, self._size, self._cache)

    def count(self, train: Iterable[Product]) -> Counter[str]:
        """How many pictures of the train split could be read, and why others could not."""
        counts = count_pictures(train, self._size)
        return Counter({f"train_{name}": number for name, number in counts.items()})

    def save(self, folder: Path) -> None:
        """Write what `load_image_encoder` needs, but for the weights."""
        save_image_encoder(self.encoder, folder)
