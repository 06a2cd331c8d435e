"""Learning to tell values from pictures: the epochs of one classifier, and how sure it may be afterwards.

Shapes: P pictures, A attributes of the classifier, V values of one of them, S pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import ONE_CYCLE, Group, Losses, Optimizer, Phase
from facetmill.dataset.distant.classifier import PictureClassifier
from facetmill.dataset.distant.samples import UNKNOWN, Samples
from facetmill.encoders.augment import augment
from facetmill.params import LabellerParams
from facetmill.records import Split
from facetmill.training.distributed import Processes
from facetmill.training.loop import LoopSettings, train_network
from facetmill.training.state import EpochResult

BATCH_READ = 256  # pictures told at once, without gradients
MACRO_ACCURACY = "macro_accuracy"
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Labelled(TensorBatch):
    """A batch: pixels (0..255; float where they are altered, else uint8) and values, `UNKNOWN` without a label."""

    pixels_P3SS: Tensor
    value_PA: Tensor


def fit(
    classifier: PictureClassifier,
    samples: Samples,
    columns: Sequence[int],
    judged: Sequence[int],
    params: LabellerParams,
    log: Callable[[str], None],
) -> int:
    """Train in place on the attributes `columns` of the samples, and leave the weights of the best epoch, counted from
    1, which is returned.

    The best has the highest validation macro accuracy, as a mean over the attributes `judged` (places in `columns`);
    after `params.patience` epochs without a better one no more are tried.
    """
    value_PA = samples.value_PA[:, list(columns)]
    train = _known(samples, value_PA, "train")
    device = next(classifier.parameters()).device
    weights = [
        _value_weights(value_PA[train, a], len(samples.values[column]), params.balance).to(device)
        for a, column in enumerate(columns)
    ]

    def collate(places: Sequence[int]) -> Labelled:
        batch = np.sort(places)  # as they lie on disk
        pixels_P3SS = torch.from_numpy(samples.pixels_P3SS[batch])
        if params.augment:
            pixels_P3SS = augment(pixels_P3SS, torch.default_generator)  # which the loop seeds for each epoch
        return Labelled(pixels_P3SS, torch.from_numpy(value_PA[batch]))

    def loss(batch: Labelled) -> Losses:
        return Losses(classifier.loss(batch.pixels_P3SS, batch.value_PA, weights), {})

    def report(epoch: EpochResult) -> None:
        of, score = f"epoch {epoch.epoch} of {params.epochs}", epoch.scores[MACRO_ACCURACY]
        log(f"{of}: loss {epoch.losses['total']:.3f}, validation {score:.3f}")

    learned = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    optimizer = Optimizer(
        groups=[Group("all", learned, params.learning_rate)], schedule=ONE_CYCLE, weight_decay=params.weight_decay
    )
    phase = Phase(
        name="all",
        epochs=params.epochs,
        optimizers=[optimizer],
        collate=collate,
        loss=loss,
        patience=params.patience,
    )
    return train_network(
        classifier,
        [phase],
        train.tolist(),
        LoopSettings(
            seed=params.seed, batch_size=params.batch_size, clip_norm=params.clip_norm, chosen_by=MACRO_ACCURACY
        ),
        Processes(device),
        validate=lambda: {MACRO_ACCURACY: _macro_accuracy(classifier, samples, value_PA, judged)},
        on_epoch=report,
    ).kept


@torch.inference_mode()
def logits_of(classifier: PictureClassifier, pixels_P3SS: NDArray[np.uint8]) -> list[Tensor]:
    """The logits [P,V] of each attribute, on the CPU; the classifier is in evaluation mode."""
    device = next(classifier.parameters()).device
    chunks: list[list[Tensor]] = []
    for start in range(0, len(pixels_P3SS), BATCH_READ):
        chunk_P3SS = torch.from_numpy(pixels_P3SS[start : start + BATCH_READ]).to(device)
        chunks.append([logits_PV.cpu() for logits_PV in classifier(chunk_P3SS)])
    return [torch.cat(parts) for parts in zip(*chunks, strict=True)]


def temperature(logits_PV: Tensor, value_P: Tensor) -> float:
    """The number to divide logits by for probabilities that are as good as they can be on these pictures.

    Source: Guo, Pleiss, Sun, Weinberger. "On Calibration of Modern Neural Networks." ICML 2017, section 4.2.
    """

    def surprise(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits_PV / math.exp(log_temperature), value_P))

    bounds = (math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1]))
    return math.exp(float(minimize_scalar(surprise, bounds=bounds, method="bounded").x))


def _known(samples: Samples, value_PA: NDArray[np.int64], split: Split) -> NDArray[np.int64]:
    """The pictures of a split of which some value is known."""
    chosen = samples.of(split)
    known: NDArray[np.int64] = chosen[(value_PA[chosen] != UNKNOWN).any(axis=1)]
    return known


def _value_weights(value_P: NDArray[np.int64], num_values: int, balance: bool) -> Tensor:
    """1 for each value; or so that every value counts alike, whatever the number of its pictures."""
    counts = np.bincount(value_P[value_P != UNKNOWN], minlength=num_values)
    if not balance:
        return torch.ones(num_values)
    return torch.tensor(counts.sum() / (num_values * np.maximum(counts, 1)), dtype=torch.float32)


def _macro_accuracy(
    classifier: PictureClassifier, samples: Samples, value_PA: NDArray[np.int64], judged: Sequence[int]
) -> float:
    classifier.eval()
    chosen = _known(samples, value_PA, "validation")
    predicted = [logits_PV.argmax(1).numpy() for logits_PV in logits_of(classifier, samples.pixels_P3SS[chosen])]
    means = []
    for a in judged:
        true_P = value_PA[chosen, a]
        means.append(np.mean([(predicted[a][true_P == v] == v).mean() for v in np.unique(true_P[true_P != UNKNOWN])]))
    return float(np.mean(means))
