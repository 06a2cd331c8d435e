"""A picture as a model that writes reads it in DEFLATE's paper: codes of a learned vocabulary, each with a vector.

Shapes: P products, B products that have a picture, G codes a side, K = (G / pooling)^2 places, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.batch import TensorBatch
from facetmill.encoders.vision import ImageStates
from facetmill.errors import ParamsError
from facetmill.records import Product

if TYPE_CHECKING:
    from facetmill.perception.reader import Reader


@dataclass(frozen=True)
class CodeBatch(TensorBatch):
    """The codes of each product's first picture, row by row (int64); 0 where `shown_P` says that it has none."""

    code_PGG: Tensor
    shown_P: Tensor


class PictureCodes(nn.Module):
    """(1): e_v = onehot(V) W. With `pooling` above 1, squares of so many codes a side are one place: their mean."""

    def __init__(self, num_codes: int, grid: int, pooling: int, width: int) -> None:
        """Raises `ParamsError` where the squares do not fit the grid."""
        super().__init__()
        if grid % pooling:
            raise ParamsError(f"code_pooling: {pooling} does not divide the {grid} codes of a picture's side")
        self.grid, self._pooling = grid, pooling
        self.vectors = nn.Embedding(num_codes, width)  # W

    @property
    def num_codes(self) -> int:
        return self.vectors.num_embeddings

    def forward(self, batch: CodeBatch) -> ImageStates:
        vector_PDGG = self.vectors(batch.code_PGG).permute(0, 3, 1, 2)
        pooled_PDK = F.avg_pool2d(vector_PDGG, self._pooling).flatten(2)
        return ImageStates(pooled_PDK.transpose(1, 2), batch.shown_P)


class CodeReader:
    """Codes of pictures by a model's reader; those of products that it has heard of are kept."""

    def __init__(self, reader: Reader, grid: int) -> None:
        self._reader = reader
        self._grid = grid
        self._known: dict[str, NDArray[np.uint16] | None] = {}

    def prepare(self, products: Sequence[Product]) -> None:
        """Hear of products that will be read again and again."""
        for product in products:
            if product.images and product.images[0] not in self._known:
                self._known[product.images[0]] = self._reader.codes_on(product.images)

    def batch(self, products: Sequence[Product]) -> CodeBatch | None:
        """None where no product has a picture that can be read."""
        found = [self._codes(product) for product in products]
        if all(codes is None for codes in found):
            return None
        nothing = np.zeros(self._grid**2, np.uint16)
        rows = np.stack([nothing if codes is None else codes for codes in found]).astype(np.int64)
        shown = torch.tensor([codes is not None for codes in found])
        return CodeBatch(torch.from_numpy(rows).reshape(len(products), self._grid, self._grid), shown)

    def _codes(self, product: Product) -> NDArray[np.uint16] | None:
        if not product.images:
            return None
        known = product.images[0] in self._known
        return self._known[product.images[0]] if known else self._reader.codes_on(product.images)
