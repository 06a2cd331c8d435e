"""Attention whose scores are w . tanh(Wq q + Ws s): OpenTag's, and that of slot filling.

Source: Bahdanau, Cho, Bengio. "Neural Machine Translation by Jointly Learning to Align and Translate." ICLR 2015, whose
weights are a softmax. Those of OpenTag (Zheng et al., KDD 2018, section 3.3) are a sigmoid each.

Shapes: B windows, Q askers, S places, H width of both, D attention size. Masks: 1 = real.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class AdditiveAttention(nn.Module):
    """What each asker gathers: a sum of all places, whose weights sum to 1 (`softmax`) or need not (`sigmoid`)."""

    def __init__(self, width: int, size: int, norm: Literal["softmax", "sigmoid"]) -> None:
        super().__init__()
        self.token = nn.Linear(width, size)  # Wq, with a bias
        self.place = nn.Linear(width, size, bias=False)  # Ws
        self.weight = nn.Linear(size, 1, bias=norm == "sigmoid")  # w; a softmax is the same with any bias
        self._norm = norm

    def forward(self, asking_BQH: Tensor, place_BSH: Tensor, mask_BS: Tensor) -> Tensor:
        """[B,Q,H]. With softmax each row has a real place."""
        both_BQSD = (self.token(asking_BQH)[:, :, None] + self.place(place_BSH)[:, None]).tanh()
        score_BQS: Tensor = self.weight(both_BQSD)[..., 0].masked_fill(~mask_BS[:, None], -torch.inf)
        weight_BQS = score_BQS.softmax(-1) if self._norm == "softmax" else score_BQS.sigmoid()
        place_BSH = place_BSH.masked_fill(~mask_BS[..., None], 0)  # what stands under padding is undefined
        return torch.bmm(weight_BQS, place_BSH)
