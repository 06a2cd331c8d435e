"""Seeds: one call before anything random, and a seed of its own for each epoch."""

from __future__ import annotations

import random

import numpy as np
import torch

_LARGEST = 2**32  # numpy takes seeds below it


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (every device). 0 is a seed like any other."""
    random.seed(seed)
    np.random.seed(seed % _LARGEST)
    torch.manual_seed(seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch. An epoch run again after a crash so draws the same, with no generator to restore."""
    return (seed * 1_000_003 + epoch) % _LARGEST
