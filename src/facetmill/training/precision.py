"""In which precision a training multiplies matrices, where it may choose.

bf16 is much faster than fp32 on a GPU and on a CPU with AMX; on one with AVX512_BF16 alone it was seen at 0.72 of
fp32, and no list of CPUs would say so of the next. So a few steps of the model itself are timed in both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from facetmill.compute.device import cpu_has_bf16
from facetmill.compute.phase import Phase
from facetmill.models.base import Model
from facetmill.records import Product
from facetmill.training.phases import only_learning
from facetmill.training.state import DTYPES, Precision

MIN_GAIN = 1.05  # times as fast as fp32 bf16 must be, for it has fewer digits
STEPS = 3  # timed, after one that warms up


def faster_precision(
    model: Model, phase: Phase, products: Sequence[Product], features_dir: Path | None, device: torch.device
) -> Precision:
    """The precision that this machine trains the model faster in, by some steps of a phase on a batch of products.

    Neither weights nor buffers change. What frozen encoders give for these products is kept below `features_dir`.
    """
    if device.type == "cpu" and not cpu_has_bf16():
        return "fp32"
    fp32, bf16 = (step_seconds(model, phase, products, features_dir, device, name) for name in DTYPES)
    return "bf16" if fp32 >= bf16 * MIN_GAIN else "fp32"


def step_seconds(
    model: Model,
    phase: Phase,
    products: Sequence[Product],
    features_dir: Path | None,
    device: torch.device,
    precision: Precision,
) -> float:
    """Median seconds of the forward and backward pass of a step."""
    if features_dir is not None:
        model.prepare(products, features_dir, DTYPES[precision])
    batch = phase.collate(products).to(device)
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    model.train()
    taken = []
    with only_learning(model, phase):
        for _ in range(1 + STEPS):
            started = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                total = phase.loss(batch).total
            total.backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - started)
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
    return statistics.median(taken[1:])
