"""How likely each word is to be written next: those that may be copied, and those of a vocabulary.

Source: PAM, equations (1) to (3) and (5) to (7). Scores of words that may be copied are divided by the root of the
width, as in M4C's code; a factor that weights can learn, but without it these begin far too sure.

Shapes: P products, Q questions, T steps, S words that may be copied, V words of a vocabulary, U words that stand in any
vocabulary of a batch, W in any at all, F width of word vectors, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Pointer(nn.Module):
    """`vector_WF` are the words' vectors, of which the first `num_symbols` are learned; None where each word has a
    vector of its own that is (1). `copied` are the names of the sources that words are copied from."""

    vector_WF: Tensor

    def __init__(
        self, vector_WF: Tensor | None, num_words: int, num_symbols: int, width: int, copied: Sequence[str]
    ) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)  # Wdec
        self.key = nn.ModuleDict({name: nn.Linear(width, width) for name in copied})  # Wtxt, Wocr
        self.word: nn.Linear | None = None
        self.learned: nn.Embedding | None = None
        if vector_WF is None:
            self.learned, self.bias = nn.Embedding(num_words, width), nn.Embedding(num_words, 1)
            nn.init.normal_(self.learned.weight, std=width**-0.5)
            nn.init.zeros_(self.bias.weight)
        else:
            self.word = nn.Linear(vector_WF.shape[1], width)  # Wvoc
            self.symbol_XF = nn.Parameter(torch.randn(num_symbols, vector_WF.shape[1]))
            self.register_buffer("vector_WF", vector_WF)

    def words(self, number_U: Tensor) -> Tensor:
        """The vectors of words by their numbers: Wvoc e_l + bvoc, or w_l. [U,D]"""
        if self.learned is not None:
            own_UD: Tensor = self.learned(number_U)
            return own_UD
        assert self.word is not None
        table_WF = torch.cat([self.symbol_XF, self.vector_WF[len(self.symbol_XF) :]])
        word_UD: Tensor = self.word(table_WF[number_U])
        return word_UD

    def keys(self, sources: Sequence[tuple[str, Tensor]], like_PJD: Tensor) -> Tensor:
        """Of words that may be copied, source by source. [P,S,D]"""
        keys = [self.key[name](state_PSD) for name, state_PSD in sources]
        return torch.cat(keys, dim=1) if keys else like_PJD[:, :0]

    def scores(
        self,
        step_PQTD: Tensor,
        key_PSD: Tensor,
        near_PQS: Tensor,
        word_UD: Tensor,
        number_U: Tensor,
        vocabulary_PQV: Tensor,
    ) -> Tensor:
        """Logits of what may be copied, to which `near_PQS` is added, and then of the vocabulary, whose words are given
        by their rows of `word_UD`; float32. [P,Q,T,S+V]"""
        query_PQTD = self.query(step_PQTD)
        scale = float(query_PQTD.shape[-1]) ** -0.5
        copied_PQTS = (query_PQTD.flatten(1, 2) @ key_PSD.mT).unflatten(1, step_PQTD.shape[1:3]) * scale
        copied_PQTS = copied_PQTS.float() + near_PQS[:, :, None]
        if self.learned is not None:
            every_PQTU = step_PQTD @ word_UD.mT + self.bias(number_U)[:, 0]
        else:
            every_PQTU = query_PQTD @ word_UD.mT * scale
        place_PQTV = vocabulary_PQV[:, :, None].expand(-1, -1, step_PQTD.shape[2], -1)
        return torch.cat([copied_PQTS, every_PQTU.float().gather(3, place_PQTV)], dim=3)
