"""Which candidates are written on the pack: how much of a value's name stands among the words read off the pictures.

Shapes: P products, S slots, V candidates of the slot that has the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from facetmill.encoders.folding import fold_value
from facetmill.models.parts.candidates import Candidates
from facetmill.records import Product

PIECE = 3  # letters


def written(products: Sequence[Product], candidates: Candidates) -> Tensor:
    """The share (0..1) of each candidate's name that stands among the words on its product's pack, by pieces of three
    letters: an engine that misreads one letter of "Teriyaki" leaves it five of eight. 0 of "no value". [P,S,V]
    """
    share_PSV = torch.zeros(len(products), len(candidates.slots), candidates.most)
    for row, product in enumerate(products):
        stand = {piece for token in product.ocr for piece in _pieces(token.text)}
        if not stand:
            continue
        for slot, values in enumerate(candidates.values):
            for number, value in enumerate(values, start=1):
                name = _pieces(value)
                share_PSV[row, slot, number] = len(name & stand) / len(name)
    return share_PSV


@lru_cache(maxsize=100_000)
def _pieces(text: str) -> frozenset[str]:
    """The pieces of each word, between spaces, so that its ends count too."""
    words = [f" {word} " for word in fold_value(text).split()]
    return frozenset(word[at : at + PIECE] for word in words for at in range(len(word) - PIECE + 1)) or frozenset(
        (text,)
    )
