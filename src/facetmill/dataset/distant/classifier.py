"""The classifier of pictures: a vision encoder and one linear head an attribute.

Source: MuJo-SF, section III-B2, which takes a Swin of one head for each task (`tasks: single`), or of several heads for
the tasks of UT-Zap50K (`tasks: multi`). Here any encoder of `encoders/vision.py` will do, read as the mean of its
regions.

Shapes: P pictures, A attributes of this classifier, V values of one of them, E width of the encoder, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from facetmill.encoders.vision import ImageEncoder


class PictureClassifier(nn.Module):
    """`num_values` has the number of values of each attribute."""

    def __init__(self, encoder: ImageEncoder, num_values: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.Linear(encoder.width, number) for number in num_values)

    def forward(self, pixels_P3SS: Tensor) -> list[Tensor]:
        """The logits [P,V] of each attribute, of RGB pixels (0..255, uint8 or float)."""
        pooled_PE = self.dropout(self.encoder(pixels_P3SS).mean(1))
        return [head(pooled_PE) for head in self.heads]

    def loss(self, pixels_P3SS: Tensor, value_PA: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Cross-entropy of the values (int64, -1 where no label says it), a mean over the pictures of each attribute
        and a sum over attributes: the encoder learns from every label there is. `weights` [V] are of values."""
        total = pixels_P3SS.new_zeros((), dtype=torch.float32)
        for logits_PV, value_P, weight_V in zip(self(pixels_P3SS), value_PA.unbind(1), weights, strict=True):
            if bool((value_P >= 0).any()):
                total = total + functional.cross_entropy(logits_PV, value_P, weight_V, ignore_index=-1)
        return total
