"""Other pictures of the same thing: mirrored, nearer or farther, off the middle, in another light.

What is beyond the edge of a moved picture is white, as around a shop's products.

Shapes: P pictures, S pixels a side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SCALE = (0.75, 1.25)  # of the picture's side; above 1 the thing is smaller, on white
SHIFT = 0.15  # of half the side, each way
LIGHT = 0.25  # by how much brightness, contrast and each colour vary


def augment(pixels_P3SS: Tensor, generator: torch.Generator) -> Tensor:
    """Float pixels (0..255) of the same shape, drawn anew for each picture from the generator."""
    num = len(pixels_P3SS)

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(num, *shape, generator=generator) * (high - low) + low

    scale_P, mirror_P = draw(*SCALE), draw(-1, 1).sign()
    affine_P23 = torch.zeros(num, 2, 3)
    affine_P23[:, 0, 0], affine_P23[:, 1, 1] = scale_P * mirror_P, scale_P
    affine_P23[:, :, 2] = draw(-SHIFT, SHIFT, 2)
    darkness_P3SS = 255 - pixels_P3SS.float()  # so that the zeros beyond the edge are white
    grid_PSS2 = functional.affine_grid(affine_P23, list(pixels_P3SS.shape), align_corners=False)
    moved_P3SS = 255 - functional.grid_sample(darkness_P3SS, grid_PSS2, align_corners=False)
    contrast_P111, colour_P311 = draw(1 - LIGHT, 1 + LIGHT, 1, 1, 1), draw(1 - LIGHT, 1 + LIGHT, 3, 1, 1)
    return (((moved_P3SS - 128) * contrast_P111 + 128) * colour_P311).clamp(0, 255)
