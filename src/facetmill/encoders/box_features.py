"""What an image encoder sees in a box: the mean of its regions, each by the share of the box that it covers.

RoI pooling to one place, without rounding a box to whole regions. Pictures are stretched to a square before they are
encoded, so a box's shares of width and height are its places in the grid.

Shapes: P products, O boxes of one, K = n * n regions by row and column, E width of the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from torch import Tensor

from facetmill.records import Box

SMALLEST = 1e-4  # side of a box; a thinner one is taken for as wide


def box_features(region_PKE: Tensor, box_PO4: Tensor) -> Tensor:
    """[P,O,E] of boxes (left, top, right, bottom; 0..1)."""
    size = isqrt(region_PKE.shape[1])
    left_PO, top_PO, right_PO, bottom_PO = box_PO4.clamp(0, 1).unbind(-1)
    rows_POn, columns_POn = _covered(top_PO, bottom_PO, size), _covered(left_PO, right_PO, size)
    share_POK = (rows_POn[..., :, None] * columns_POn[..., None, :]).flatten(-2).to(region_PKE.dtype)
    return share_POK @ region_PKE


def _covered(low_PO: Tensor, high_PO: Tensor, size: int) -> Tensor:
    """The share of [low, high] that lies in each of `size` equal parts of [0, 1]. [P,O,size]"""
    low_PO = low_PO.clamp(max=1 - SMALLEST)
    high_PO = torch.maximum(high_PO, low_PO + SMALLEST)
    edge = torch.arange(size + 1, device=low_PO.device) / size
    overlap = torch.minimum(high_PO[..., None], edge[1:]) - torch.maximum(low_PO[..., None], edge[:-1])
    return overlap.clamp(min=0) / (high_PO - low_PO)[..., None]


def boxes_padded(boxes: Sequence[Sequence[Box | None]]) -> tuple[Tensor, Tensor]:
    """Boxes side by side [P,O,4], at least one column wide, and which are there (bool [P,O])."""
    width = max([1, *map(len, boxes)])
    box_PO4 = torch.zeros(len(boxes), width, 4)
    there_PO = torch.zeros(len(boxes), width, dtype=torch.bool)
    for row, own in enumerate(boxes):
        for column, box in enumerate(own):
            if box is not None:
                box_PO4[row, column] = torch.tensor([box.left, box.top, box.right, box.bottom])
                there_PO[row, column] = True
    return box_PO4, there_PO
