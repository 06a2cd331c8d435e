"""Training our own codebook. With the same pictures, parameters and number of threads it is the same to the last digit.

Shapes: P pictures, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import ONE_CYCLE, Group, Losses, Optimizer, Phase
from facetmill.compute.seeding import seed_everything
from facetmill.params import VisualTokensParams
from facetmill.perception.vq_network import VqNetwork
from facetmill.training.distributed import Processes
from facetmill.training.loop import LoopSettings, train_network
from facetmill.training.state import EpochResult

CLIP_NORM = 1.0


@dataclass(frozen=True)
class Pictures(TensorBatch):
    """A batch of RGB pixels (uint8, 0..255)."""

    pixels_P3SS: Tensor


def train_codebook(pixels_P3SS: NDArray[np.uint8], params: VisualTokensParams, log: Callable[[str], None]) -> VqNetwork:
    """A network that has seen each picture `params.epochs` times, in evaluation mode. `pixels_P3SS` are RGB (0..255).

    Raises `ParamsError` where `image_size` and `grid` do not fit.
    """
    seed_everything(params.seed)
    network = VqNetwork(params.image_size, params.grid, params.num_codes)

    def collate(places: Sequence[int]) -> Pictures:
        return Pictures(torch.from_numpy(pixels_P3SS[np.sort(places)]))  # as they lie on disk

    def loss(batch: Pictures) -> Losses:
        # The loop seeds this generator for each epoch; it says what dead vectors become.
        return Losses(network.loss(batch.pixels_P3SS, torch.default_generator), {})

    def report(epoch: EpochResult) -> None:
        log(f"codebook: epoch {epoch.epoch} of {params.epochs}: loss {epoch.losses['total']:.5f}")

    everything = Group("all", list(network.parameters()), params.learning_rate)
    phase = Phase(
        name="codebook",
        epochs=params.epochs,
        optimizers=[Optimizer(kind="adam", groups=[everything], schedule=ONE_CYCLE)],
        collate=collate,
        loss=loss,
        keep="last",
    )
    settings = LoopSettings(seed=params.seed, batch_size=params.batch_size, clip_norm=CLIP_NORM)
    here = Processes(torch.device("cpu"))
    train_network(network, [phase], range(len(pixels_P3SS)), settings, here, on_epoch=report)
    return network
