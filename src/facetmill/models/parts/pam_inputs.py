"""What PAM reads: words on packs and objects as vectors of one width, and how steps are embedded that were written.

Source: PAM, sections 4.3 and 6.3, and M4C where it says nothing.

Shapes: P products, O words on packs or objects, F width of their vectors, E width of the image encoder, D width of the
transformer, Q questions, T steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from facetmill.encoders.word_vectors import WordVectors
from facetmill.models.parts.phoc import WIDTH as PHOC_WIDTH
from facetmill.models.parts.phoc import phoc


class PackWords(nn.Module):
    """A word by its vector, its letters, what the picture shows there (`seen_width` 0: nothing), and where it stands.
    All of it is added and normed `once`, as printed, or what it is and where it stands are normed each (`twice`)."""

    def __init__(self, vector_width: int, seen_width: int, width: int, norm: Literal["once", "twice"]) -> None:
        super().__init__()
        self.what = nn.Linear(vector_width + PHOC_WIDTH + seen_width, width)
        self.where = nn.Linear(4, width)
        self.norm = nn.LayerNorm(width)
        self.norm_where = nn.LayerNorm(width) if norm == "twice" else None

    def forward(self, word_POF: Tensor, seen_POE: Tensor | None, box_PO4: Tensor) -> Tensor:
        """[P,O,D]"""
        what_POF = word_POF if seen_POE is None else torch.cat([word_POF, seen_POE.to(word_POF.dtype)], dim=-1)
        what_POD, where_POD = self.what(what_POF), self.where(box_PO4)
        if self.norm_where is None:
            once_POD: Tensor = self.norm(what_POD + where_POD)
            return once_POD
        twice_POD: Tensor = self.norm(what_POD) + self.norm_where(where_POD)
        return twice_POD


class Objects(nn.Module):
    """LN(W_f f) + LN(W_b box)."""

    def __init__(self, seen_width: int, width: int) -> None:
        super().__init__()
        self.what, self.where = nn.Linear(seen_width, width), nn.Linear(4, width)
        self.norm_what, self.norm_where = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, seen_POE: Tensor, box_PO4: Tensor) -> Tensor:
        """[P,O,D]"""
        found_POD: Tensor = self.norm_what(self.what(seen_POE)) + self.norm_where(self.where(box_PO4))
        return found_POD


class Steps(nn.Module):
    """A step begins from the word before it: LN(word) + LN(its number + whether the word is a vocabulary's, of the text
    or of the pack). The first begins from what is asked for, a vector for each attribute."""

    def __init__(self, num_attributes: int, num_steps: int, width: int, num_sources: int) -> None:
        super().__init__()
        self.begin = nn.Embedding(max(1, num_attributes), width)
        self.number = nn.Embedding(num_steps, width)
        self.source = nn.Embedding(1 + num_sources, width)
        self.norm_word, self.norm_copied, self.norm_place = (nn.LayerNorm(width) for _ in range(3))

    def first(self, attribute_PQ: Tensor) -> Tensor:
        """[P,Q,1,D]"""
        begin_PQ1D: Tensor = self.begin(attribute_PQ)[:, :, None]
        return begin_PQ1D + self._place(0, torch.zeros_like(attribute_PQ)[:, :, None])

    def later(self, word_PQTD: Tensor, source_PQT: Tensor, number: int) -> Tensor:
        """Steps from `number` on, by the words before them; `source_PQT` is 0 of a vocabulary's. [P,Q,T,D]"""
        copied_PQT1 = (source_PQT > 0)[..., None]
        normed_PQTD = torch.where(copied_PQT1, self.norm_copied(word_PQTD), self.norm_word(word_PQTD))
        return normed_PQTD + self._place(number, source_PQT)

    def _place(self, number: int, source_PQT: Tensor) -> Tensor:
        number_T = number + torch.arange(source_PQT.shape[2], device=source_PQT.device)
        placed_PQTD: Tensor = self.norm_place(self.number(number_T) + self.source(source_PQT))
        return placed_PQTD


def described(words: Sequence[Sequence[str]], vectors: WordVectors) -> tuple[Tensor, Tensor]:
    """The vectors and letters of words, side by side [P,O,F], at least one column wide, and which are there (bool
    [P,O])."""
    distinct = [*dict.fromkeys(word for own in words for word in own)]
    letters = np.array([phoc(word) for word in distinct], dtype=np.float32).reshape(-1, PHOC_WIDTH)
    vector_NF = torch.cat([vectors.of(distinct), torch.from_numpy(letters)], dim=1)
    rows = {word: row for row, word in enumerate(distinct)}
    width = max([1, *map(len, words)])
    word_POF = torch.zeros(len(words), width, vectors.width + PHOC_WIDTH)
    there_PO = torch.zeros(len(words), width, dtype=torch.bool)
    for row, own in enumerate(words):
        if own:
            word_POF[row, : len(own)] = vector_NF[[rows[word] for word in own]]
            there_PO[row, : len(own)] = True
    return word_POF, there_PO
