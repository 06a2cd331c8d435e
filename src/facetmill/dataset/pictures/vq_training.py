"""Training our own codebook. With the same pictures, parameters and number of threads it is the same to the last digit.

Shapes: P pictures, S pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from facetmill.compute.seeding import epoch_seed, seed_everything
from facetmill.params import VisualTokensParams
from facetmill.perception.vq_network import VqNetwork

CLIP_NORM = 1.0


def train_network(pixels_P3SS: NDArray[np.uint8], params: VisualTokensParams, log: Callable[[str], None]) -> VqNetwork:
    """A network that has seen each picture `params.epochs` times, in evaluation mode. `pixels_P3SS` are RGB (0..255).

    An epoch's order, and what dead vectors become, depend on the seed and its number alone. Raises `ParamsError` where
    `image_size` and `grid` do not fit.
    """
    seed_everything(params.seed)
    network = VqNetwork(params.image_size, params.grid, params.num_codes).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    steps = math.ceil(len(pixels_P3SS) / params.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, total_steps=steps * params.epochs)
    for epoch in range(1, params.epochs + 1):
        seed = epoch_seed(params.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        order = np.random.default_rng(seed).permutation(len(pixels_P3SS))
        total = 0.0
        for start in range(0, len(order), params.batch_size):
            batch = np.sort(order[start : start + params.batch_size])  # as they lie on disk
            loss = network.loss(torch.from_numpy(pixels_P3SS[batch]), generator)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        log(f"codebook: epoch {epoch} of {params.epochs}: loss {total / len(order):.5f}")
    return network.eval()
