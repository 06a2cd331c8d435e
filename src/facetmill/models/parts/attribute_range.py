"""PAR: which attributes a text has, and its tokens as one of them sees them.

Source: "ULS-DRAM", equations (6) to (8), as SYSTEMS.md reconstructs them. The three policies are three ways to say what
an attribute is and how it guides the tokens:

    proto    a trained vector P_l; each token beside itself, weighed by its cosine to P_l
    dynet    a trained matrix W_l; each token beside what W_l makes of it
    bert     as proto, with the text encoder's state of the attribute's name for P_l

Shapes: B windows, T tokens, E width of the text encoder, A attributes, M pairs of a window and an attribute that it is
thought to have. So time and memory of all that follows grow with M, however many attributes there are.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.models.parts.pairs import Pairs

Policy = Literal["proto", "dynet", "bert"]


class RangeHead(nn.Module):
    """(6): how likely a window has each attribute, from its [CLS] in the last two layers side by side."""

    def __init__(self, width: int, num_attributes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, num_attributes))

    def forward(self, cls_B2E: Tensor) -> Tensor:
        """Logits [B,A]."""
        logit_BA: Tensor = self.layers(cls_B2E)
        return logit_BA


class Guidance(nn.Module):
    """(8): the tokens of a window as an attribute sees them, twice as wide."""

    def __init__(self, policy: Policy, width: int, num_attributes: int) -> None:
        super().__init__()
        self._policy = policy
        self.prototype: nn.Embedding | None = None
        self.matrix: nn.Embedding | None = None
        if policy == "proto":
            self.prototype = nn.Embedding(num_attributes, width)
        elif policy == "dynet":
            self.matrix = nn.Embedding(num_attributes, width * width)
            nn.init.normal_(self.matrix.weight, std=1 / sqrt(width))

    def forward(self, states_BTE: Tensor, pairs: Pairs, names: Callable[[Tensor], Tensor]) -> Tensor:
        """[M,T,2E]. `names` gives the states of the names of some attributes [M,E], for the policy that wants them."""
        states_MTE = states_BTE[pairs.row_M]
        if self.matrix is not None:
            matrix_MEE = self.matrix(pairs.attribute_M).unflatten(1, (states_MTE.shape[2], -1))
            return torch.cat([states_MTE, states_MTE @ matrix_MEE], dim=-1)
        guide_ME = names(pairs.attribute_M) if self.prototype is None else self.prototype(pairs.attribute_M)
        return beside_weighed(states_MTE, guide_ME)


def beside_weighed(states_MTE: Tensor, guide_ME: Tensor) -> Tensor:
    """Each token beside itself, weighed by its cosine to what guides it. [M,T,2E]"""
    cosine_MT = F.cosine_similarity(states_MTE, guide_ME[:, None], dim=-1)
    return torch.cat([states_MTE, cosine_MT[..., None] * states_MTE], dim=-1)
