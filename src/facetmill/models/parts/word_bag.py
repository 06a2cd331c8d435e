"""What the words of a product tell of its slots, whatever their order: words, pairs of words, and pieces of words.

A linear layer above TF-IDF, as fastText has it (Joulin et al., "Bag of Tricks for Efficient Text Classification", EACL
2017): what stands in a text is hashed into a fixed number of buckets, each of which has a weight for each candidate.
Names of brands and models that a small encoder knows nothing of tell much here, and a step costs no more for a long
text. Words, and pieces of 3 to 5 letters of a word, have buckets of their own; each kind is of unit length.

Shapes: P products, N buckets that stand in any of them, one after the other, S slots, V candidates of the one that has
the most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from facetmill.compute.batch import TensorBatch
from facetmill.models.parts.slot_filling import by_slot
from facetmill.records import Product

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

BUCKETS = 2**16  # of a kind
SCALE = 10.0  # of what is read: weights that begin at 0 then get where they must at the rates that other layers have

_KINDS: dict[str, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2)},
    "pieces": {"analyzer": "char_wb", "ngram_range": (3, 5)},
}


@dataclass(frozen=True)
class Words(TensorBatch):
    """The buckets of products and how often something of each stands there (float32, 1 or more). Those of kind k of
    product p begin at `start_B` [2P], in row 2p + k."""

    bucket_N: Tensor
    count_N: Tensor
    start_B: Tensor


def read_words(products: Sequence[Product], *, category: bool) -> Words:
    texts = [
        " ".join(filter(None, (product.category if category else "", product.title, product.text)))
        for product in products
    ]
    kinds = [reader.transform(texts) for reader in _readers()]
    rows = [(kind[row], number * BUCKETS) for row in range(len(texts)) for number, kind in enumerate(kinds)]
    buckets = [found.indices + first for found, first in rows]
    sizes = torch.tensor([0, *(len(found) for found in buckets)])
    return Words(
        torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *buckets]).astype(np.int64)),
        torch.from_numpy(np.concatenate([np.zeros(0, np.float32), *(found.data for found, _ in rows)])),
        sizes.cumsum(0)[:-1],
    )


@cache
def _readers() -> list[HashingVectorizer]:
    from sklearn.feature_extraction.text import HashingVectorizer  # slow to import, and few models read so

    hashed: dict[str, Any] = {"n_features": BUCKETS, "norm": None, "alternate_sign": False, "dtype": np.float32}
    return [HashingVectorizer(**hashed, **settings) for settings in _KINDS.values()]


class WordBag(nn.Module):
    """`rarity_N` is the inverse document frequency of each bucket."""

    rarity_N: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        """`sizes` are the numbers of each slot's candidates."""
        super().__init__()
        self.weights = nn.EmbeddingBag(len(_KINDS) * BUCKETS, sum(sizes), mode="sum")
        nn.init.zeros_(self.weights.weight)
        self.bias = nn.Parameter(torch.zeros(sum(sizes)))
        self.register_buffer("rarity_N", torch.ones(len(_KINDS) * BUCKETS))
        self._sizes = [*sizes]

    def settle(self, chunks: Iterable[Words]) -> None:
        """Count how rare what stands in the products of a train split is."""
        found_N, num_products = torch.zeros_like(self.rarity_N), 0
        for words in chunks:
            found_N += torch.bincount(words.bucket_N, minlength=len(found_N))
            num_products += len(words.start_B) // len(_KINDS)
        self.rarity_N.copy_(((1 + num_products) / (1 + found_N)).log() + 1)

    def forward(self, words: Words, most: int) -> Tensor:
        """Logits, float32. [P,S,V]"""
        tf_idf_N = (1 + words.count_N.log()) * self.rarity_N[words.bucket_N]
        row_N = torch.bucketize(torch.arange(len(tf_idf_N), device=tf_idf_N.device), words.start_B, right=True) - 1
        length_B = tf_idf_N.new_zeros(len(words.start_B)).index_add(0, row_N, tf_idf_N.square()).sqrt()
        share_N = SCALE * tf_idf_N / length_B[row_N]
        logit_PC = self.weights(words.bucket_N, words.start_B[:: len(_KINDS)], per_sample_weights=share_N) + self.bias
        return by_slot(logit_PC.float().split(self._sizes, dim=1), most)
