"""Additive attention by hand, with either kind of weight."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch

from facetmill.models.parts.additive_attention import AdditiveAttention


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("norm", ["softmax", "sigmoid"])
def test_weights_by_hand(norm: Literal["softmax", "sigmoid"]) -> None:
    """Places 1 and 2, and padding that is no number, asked by 1 and 2. Wq = 1 with bias 0.5, Ws = -1, w = 2 with bias
    0.1."""
    attention = AdditiveAttention(1, 1, norm)
    values = {"token.weight": [[1.0]], "token.bias": [0.5], "place.weight": [[-1.0]], "weight.weight": [[2.0]]}
    bias = {"weight.bias": [0.1]} if norm == "sigmoid" else {}
    attention.load_state_dict({name: torch.tensor(v) for name, v in (values | bias).items()})
    place, mask = torch.tensor([[[1.0], [2.0], [torch.nan]]]), torch.tensor([[True, True, False]])
    expected = []
    for asking in (1.0, 2.0):
        scores = [2 * math.tanh(asking + 0.5 - each) for each in (1.0, 2.0)]
        if norm == "sigmoid":
            weights = [sigmoid(score + 0.1) for score in scores]
        else:
            weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
        expected.append(weights[0] * 1 + weights[1] * 2)
    torch.testing.assert_close(attention(torch.tensor([[[1.0], [2.0]]]), place, mask)[0, :, 0], torch.tensor(expected))
