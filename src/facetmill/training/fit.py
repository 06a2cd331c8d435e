"""Training a model: what the loop needs to know of products, of frozen features and of how good a model is.

The epoch with the best validation score by one metric is kept. Batches hold products of about the same length.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from facetmill.compute.device import compute_settings, pick_device, require_bf16
from facetmill.compute.seeding import seed_everything
from facetmill.files import hash_json
from facetmill.metrics.counted import METRICS, Metric
from facetmill.models.base import Model
from facetmill.models.calibration import Calibration, with_one_value
from facetmill.models.dictionary import Dictionary
from facetmill.models.fallback import Fallback
from facetmill.params import TrainingParams, to_mapping
from facetmill.records import Product, to_row
from facetmill.training.distributed import joined
from facetmill.training.evaluate import evaluate
from facetmill.training.loop import LoopSettings, train_network
from facetmill.training.precision import faster_precision
from facetmill.training.predict import text_length
from facetmill.training.progress import progress_bar
from facetmill.training.state import DTYPES, EpochResult, Precision, StateFolder

PREPARED_AT_ONCE = 256  # products whose frozen features are kept in one go: what a kill can lose
VALIDATED = (
    *METRICS,
    "predicted_attribute_f1",
)  # scores of every validation; a model may have no attributes to predict
BATCHES_SORTED = 16  # shuffled products of this many batches are sorted by length together, to compute less padding


@dataclass(frozen=True)
class FitResult:
    """The epochs run, and the one whose weights the model now has (0: nothing to train), with its validation scores by
    name (0..1). `score` is that of the metric that chose it. `precision` is the one that was trained in, also where the
    machine was asked."""

    epochs: tuple[EpochResult, ...]
    best_epoch: int
    scores: Mapping[str, float]
    metric: Metric
    precision: Precision

    @property
    def score(self) -> float:
        return self.scores[self.metric]


def fit(
    model: Model,
    train: Sequence[Product],
    validation: Sequence[Product],
    params: TrainingParams,
    *,
    metric: Metric = "pair_f1",
    state_dir: Path | None = None,
    features_dir: Path | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
    progress: bool = False,
) -> FitResult:
    """Train a model in place, phase by phase, and leave it with the best weights of its last one, by a metric.

    `on_epoch` hears of every epoch, those restored from `state_dir` too; what it raises ends the training and passes
    through. `state_dir` is used only if it holds a training with the same model, products and params; otherwise it is
    overwritten. What frozen encoders give is kept below `features_dir` and shared with every training that names the
    same folder. A model without trainable parameters is only validated.

    Raises `Diverged` when the loss or its gradient is not finite, naming epoch and step, and `ParamsError` for a
    learning rate of a group that the model does not have.
    """
    with compute_settings(params.threads), joined(pick_device(params.device)) as processes:
        if params.precision == "bf16":
            require_bf16(processes.device)
        seed_everything(params.seed)
        model.to(processes.device)
        if params.one_value:
            model.calibration = Calibration(one_value=with_one_value(train))
        if params.dictionary_fills is not None and model.answers == "tags" and not isinstance(model, Dictionary):
            model.fallback = Fallback.of(model.schema, train, params.dictionary_fills)
        validated = fair_sample(validation, params.validate_products)

        def validate() -> dict[str, float]:
            scores = evaluate(model, validated, batch_size=params.batch_size)
            return {name: getattr(scores, name) for name in VALIDATED if getattr(scores, name) is not None}

        phases = [phase for phase in model.phases(params) if phase.parameters]
        if not phases or not train:
            return FitResult((), 0, validate(), metric, "fp32")
        state = (
            None if state_dir is None else StateFolder(state_dir, _identity(model, train, validation, params, metric))
        )
        precision = params.precision
        if precision == "auto":
            begun = None if state is None else state.precision
            sample = fair_sample(train, params.batch_size)
            chosen = begun or faster_precision(model, phases[0], sample, features_dir, processes.device)
            precision = processes.from_main(chosen)
        if features_dir is not None:
            _prepare(model, [*train, *validated], features_dir, DTYPES[precision], progress and processes.is_main)
        trained = train_network(
            model,
            phases,
            train,
            LoopSettings(
                seed=params.seed,
                batch_size=params.batch_size,
                clip_norm=params.clip_norm,
                min_epoch_steps=params.min_epoch_steps,
                validate_every=params.validate_every,
                chosen_by=metric,
                precision=precision,
            ),
            processes,
            batching=bucketed,
            validate=validate,
            state=state,
            on_epoch=on_epoch,
            progress=progress,
        )
        return FitResult(trained.epochs, trained.kept, trained.epochs[trained.kept - 1].scores, metric, precision)


def bucketed(products: Sequence[Product], batch_size: int, draw: random.Random) -> list[list[int]]:
    """The places of all products in random batches of products of about the same length."""
    order = list(range(len(products)))
    draw.shuffle(order)
    batches = []
    for start in range(0, len(order), batch_size * BATCHES_SORTED):
        near = sorted(order[start : start + batch_size * BATCHES_SORTED], key=lambda at: text_length(products[at]))
        batches += [near[at : at + batch_size] for at in range(0, len(near), batch_size)]
    draw.shuffle(batches)
    return batches


def fair_sample(products: Sequence[Product], at_most: int | None) -> Sequence[Product]:
    """At most so many of the products, in their order: always the same ones, and few others as a catalogue grows."""
    if at_most is None or len(products) <= at_most:
        return products

    def drawn(place: int) -> bytes:
        return hashlib.sha256(products[place].product_id.encode("utf-8", "surrogatepass")).digest()

    return [products[place] for place in sorted(sorted(range(len(products)), key=drawn)[:at_most])]


def _prepare(model: Model, products: Sequence[Product], features_dir: Path, dtype: torch.dtype, progress: bool) -> None:
    with progress_bar("frozen features", len(products), progress) as advance:
        for start in range(0, len(products), PREPARED_AT_ONCE):
            chunk = products[start : start + PREPARED_AT_ONCE]
            model.prepare(chunk, features_dir, dtype)
            advance(len(chunk))


def _identity(
    model: Model, train: Sequence[Product], validation: Sequence[Product], params: TrainingParams, metric: Metric
) -> str:
    """Hash of all that decides how a training goes."""
    products = [hash_json([to_row(product) for product in split]) for split in (train, validation)]
    return hash_json([model.key, to_mapping(model.config), to_mapping(params), metric, *products])
