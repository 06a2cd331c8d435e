"""Learning to tell values from pictures: the epochs of one classifier, and how sure it may be afterwards.

Shapes: P pictures, A attributes of the classifier, V values of one of them, S pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional

from facetmill.compute.seeding import epoch_seed
from facetmill.dataset.distant.classifier import PictureClassifier
from facetmill.dataset.distant.samples import UNKNOWN, Samples
from facetmill.encoders.augment import augment
from facetmill.params import LabellerParams
from facetmill.records import Split

BATCH_READ = 256  # pictures told at once, without gradients
TEMPERATURES = (0.05, 20.0)


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
    after `params.patience` epochs without a better one no more are tried. An epoch's order and augmentation depend on
    the seed and its number alone.
    """
    value_PA = samples.value_PA[:, list(columns)]
    train = _known(samples, value_PA, "train")
    weights = [
        _value_weights(value_PA[train, a], len(samples.values[column]), params.balance)
        for a, column in enumerate(columns)
    ]
    device = next(classifier.parameters()).device
    weights = [weight_V.to(device) for weight_V in weights]
    steps = math.ceil(len(train) / params.batch_size)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in classifier.parameters() if parameter.requires_grad],
        lr=params.learning_rate,
        weight_decay=params.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, total_steps=steps * params.epochs)
    best, best_score, best_weights = 0, -1.0, dict[str, Tensor]()
    for epoch in range(1, params.epochs + 1):
        seed = epoch_seed(params.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        classifier.train()
        order = np.random.default_rng(seed).permutation(train)
        total = 0.0
        for start in range(0, len(order), params.batch_size):
            batch = np.sort(order[start : start + params.batch_size])  # as they lie on disk
            pixels_P3SS = torch.from_numpy(samples.pixels_P3SS[batch])
            if params.augment:
                pixels_P3SS = augment(pixels_P3SS, generator)
            known_PA = torch.from_numpy(value_PA[batch])
            loss = classifier.loss(pixels_P3SS.to(device), known_PA.to(device), weights)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(classifier.parameters(), params.clip_norm)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        score = _macro_accuracy(classifier, samples, value_PA, judged)
        log(f"epoch {epoch} of {params.epochs}: loss {total / len(train):.3f}, validation {score:.3f}")
        if score > best_score:
            best, best_score = epoch, score
            best_weights = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
        elif epoch - best >= params.patience:
            break
    classifier.load_state_dict(best_weights)
    classifier.eval()
    return best


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
