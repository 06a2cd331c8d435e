"""The one training loop.

AdamW with two learning rates, linear warm-up and decay by step, clipping by global norm, one validation an epoch, the
epoch with the best validation `value_f1` kept, early stopping. An epoch is one pass over the train products, or as many
as it takes to `min_epoch_steps`: a catalogue of twenty products would otherwise be done after five steps.

With a `state_dir` a killed training goes on from the last epoch whose state was kept and ends exactly as it would have:
shuffling and dropout of an epoch depend on the seed and the number of the epoch alone, so weights and optimizer moments
are all there is to restore.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from facetmill.compute.device import compute_settings, pick_device, require_bf16
from facetmill.compute.seeding import epoch_seed, seed_everything
from facetmill.errors import FacetmillError
from facetmill.files import hash_json, link_or_copy, read_json, replace_folder, write_json
from facetmill.metrics.score import Scores, score
from facetmill.models.base import Model
from facetmill.params import TrainingParams, to_mapping
from facetmill.records import Product, to_row
from facetmill.training.checkpoint import load_tensors, save_tensors
from facetmill.training.predict import predict, text_length

PREPARED_AT_ONCE = 256  # products whose frozen features are kept in one go: what a kill can lose
STORING_SHARE = 0.01  # of the time may go into keeping the state of a training; a kill loses at most 100 times a store
STORED_AT_ONCE = 0.1  # seconds; what takes less is kept after every epoch
BATCHES_SORTED = 16  # shuffled products of this many batches are sorted by length together, to compute less padding


class Diverged(FacetmillError):
    """The loss or its gradient is not finite; nothing later could be trusted."""


@dataclass(frozen=True)
class EpochResult:
    """One epoch, counted from 1. Losses are means over train products, scores are of validation (0..1), the speed is of
    training alone, the learning rate that of fresh parts at the last step."""

    epoch: int
    losses: dict[str, float]
    value_f1: float
    attribute_f1: float
    products_per_second: float
    learning_rate: float


@dataclass(frozen=True)
class FitResult:
    """The epochs run, and the best one, whose weights the model now has (0: nothing to train)."""

    epochs: tuple[EpochResult, ...]
    best_epoch: int
    value_f1: float
    attribute_f1: float


def fit(
    model: Model,
    train: Sequence[Product],
    validation: Sequence[Product],
    params: TrainingParams,
    *,
    state_dir: Path | None = None,
    features_dir: Path | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
    progress: bool = False,
) -> FitResult:
    """Train a model in place and leave it with its best weights.

    `on_epoch` hears of every epoch, those restored from `state_dir` too; what it raises ends the training and passes
    through. `state_dir` is used only if it holds a training with the same model, products and params; otherwise it is
    overwritten. What frozen encoders give is kept below `features_dir` and shared with every training that names the
    same folder. A model without trainable parameters is only validated.

    Raises `Diverged` when the loss or its gradient is not finite, naming epoch and step.
    """
    with compute_settings(params.threads):
        return _Fit(model, train, validation, params, state_dir, features_dir, on_epoch, progress).run()


class _Fit:
    """What a running training knows."""

    def __init__(
        self,
        model: Model,
        train: Sequence[Product],
        validation: Sequence[Product],
        params: TrainingParams,
        state_dir: Path | None,
        features_dir: Path | None,
        on_epoch: Callable[[EpochResult], None] | None,
        progress: bool,
    ) -> None:
        seed_everything(params.seed)
        self.device = pick_device(params.device)
        if params.precision == "bf16":
            require_bf16(self.device)
        self.dtype = torch.bfloat16 if params.precision == "bf16" else torch.float32
        self.model = model.to(self.device)
        self.train = train
        self.validation = validation
        self.params = params
        self.state_dir = state_dir
        self.features_dir = features_dir
        self.on_epoch = on_epoch or (lambda epoch: None)
        self.progress = progress
        self.parameters = [p for group in model.parameter_groups().values() for p in group]
        self.optimizer = _optimizer(model, params) if self.parameters else None
        steps_per_pass = max(1, math.ceil(len(train) / params.batch_size))
        self.passes = math.ceil(params.min_epoch_steps / steps_per_pass)
        self.num_steps = params.epochs * self.passes * steps_per_pass
        self.identity = "" if state_dir is None else _identity(model, train, validation, params)
        self.epochs: list[EpochResult] = []
        self.best: EpochResult | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.last_store = (0.0, 0.0)  # when it ended, and the seconds it took

    def run(self) -> FitResult:
        if self.optimizer is None or not self.train:
            scores = self.validate()
            return FitResult((), 0, scores.value_f1, scores.attribute_f1)
        self.prepare()
        self.restore()
        for result in self.epochs:
            self.on_epoch(result)
        while not self.done():
            result = self.run_epoch(len(self.epochs) + 1)
            self.epochs.append(result)
            if self.best is None or result.value_f1 > self.best.value_f1 or self.best.value_f1 == 0:
                self.best = result
                self.best_weights = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
            self.store()
            self.on_epoch(result)
        assert self.best is not None
        self.model.load_state_dict(self.best_weights)
        self.model.eval()
        return FitResult(tuple(self.epochs), self.best.epoch, self.best.value_f1, self.best.attribute_f1)

    def prepare(self) -> None:
        if self.features_dir is None:
            return
        products = [*self.train, *self.validation]
        with _bar("frozen features", len(products), self.progress) as advance:
            for start in range(0, len(products), PREPARED_AT_ONCE):
                chunk = products[start : start + PREPARED_AT_ONCE]
                self.model.prepare(chunk, self.features_dir, self.dtype)
                advance(len(chunk))

    def done(self) -> bool:
        return len(self.epochs) >= self.params.epochs or self.out_of_patience()

    def out_of_patience(self) -> bool:
        """Epochs count only once something is found: a tagger may say nothing at first."""
        if self.best is None or self.best.value_f1 == 0:
            return False
        return len(self.epochs) - self.best.epoch >= self.params.patience

    def run_epoch(self, epoch: int) -> EpochResult:
        seed = epoch_seed(self.params.seed, epoch)
        seed_everything(seed)
        self.model.train()
        draw = random.Random(seed)
        batches = [batch for _ in range(self.passes) for batch in bucketed(self.train, self.params.batch_size, draw)]
        num_products = self.passes * len(self.train)
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=self.device))
        started = time.perf_counter()
        with _bar(f"epoch {epoch}", num_products, self.progress) as advance:
            for number, places in enumerate(batches):
                step = (epoch - 1) * len(batches) + number
                losses = self.step(step, [self.train[place] for place in places], f"epoch {epoch}, step {number + 1}")
                for name, value in losses.items():
                    sums[name] += value * len(places)
                advance(len(places))
        seconds = time.perf_counter() - started
        scores = self.validate()
        return EpochResult(
            epoch=epoch,
            losses={name: total.item() / num_products for name, total in sums.items()},
            value_f1=scores.value_f1,
            attribute_f1=scores.attribute_f1,
            products_per_second=num_products / seconds,
            learning_rate=self.params.learning_rate * self.rate(epoch * len(batches) - 1),
        )

    def step(self, step: int, products: Sequence[Product], where: str) -> dict[str, Tensor]:
        """One update. Returns the detached losses, "total" among them."""
        assert self.optimizer is not None
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * self.rate(step)
        batch = self.model.collate(products).to(self.device)
        # Weights, moments and losses stay fp32; only large products of matrices are taken in bf16.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            losses = self.model.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.params.clip_norm)
        if not math.isfinite(losses.total.item()) or not math.isfinite(norm.item()):
            raise Diverged(
                f"{where}: loss {losses.total.item()}, gradient norm {norm.item()}; "
                f"try a lower training.learning_rate (is {self.params.learning_rate})"
            )
        self.optimizer.step()
        return {"total": losses.total.detach(), **losses.parts}

    def rate(self, step: int) -> float:
        """Share of the full learning rate at a step: up to 1 over the warm-up, then down to 0 at the last step."""
        warmup = math.ceil(self.params.warmup_share * self.num_steps)
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (self.num_steps - step) / max(1, self.num_steps - warmup))

    def validate(self) -> Scores:
        predicted = list(predict(self.model, self.validation, self.params.batch_size))
        return score(self.validation, predicted)

    def store(self) -> None:
        started = time.perf_counter()
        ended, took = self.last_store
        too_soon = took > STORED_AT_ONCE and (started - ended) * STORING_SHARE < took
        if self.state_dir is None or (too_soon and not self.done()):
            return
        assert self.optimizer is not None
        assert self.best is not None
        with replace_folder(self.state_dir) as folder:
            save_tensors(self.model.state_dict(), folder / "weights.safetensors")
            if self.best is self.epochs[-1]:
                link_or_copy(folder / "weights.safetensors", folder / "best.safetensors")
            else:
                save_tensors(self.best_weights, folder / "best.safetensors")
            moments = self.optimizer.state_dict()["state"]
            named = {f"{number}.{name}": t for number, values in moments.items() for name, t in values.items()}
            save_tensors(named, folder / "optimizer.safetensors")
            epochs = [asdict(result) for result in self.epochs]
            state = {"identity": self.identity, "best_epoch": self.best.epoch, "epochs": epochs}
            write_json(folder / "state.json", state)
        now = time.perf_counter()
        self.last_store = now, now - started

    def restore(self) -> None:
        if self.state_dir is None or not (self.state_dir / "state.json").exists():
            return
        state = read_json(self.state_dir / "state.json")
        if state["identity"] != self.identity:
            return
        assert self.optimizer is not None
        self.model.load_state_dict(load_tensors(self.state_dir / "weights.safetensors"))
        moments: dict[int, dict[str, Any]] = defaultdict(dict)
        for key, tensor in load_tensors(self.state_dir / "optimizer.safetensors").items():
            number, name = key.split(".", 1)
            moments[int(number)][name] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(moments), "param_groups": groups})
        self.epochs = [EpochResult(**result) for result in state["epochs"]]
        self.best = self.epochs[state["best_epoch"] - 1]
        self.best_weights = load_tensors(self.state_dir / "best.safetensors")


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


def _identity(model: Model, train: Sequence[Product], validation: Sequence[Product], params: TrainingParams) -> str:
    """Hash of all that decides how a training goes."""
    products = [hash_json([to_row(product) for product in split]) for split in (train, validation)]
    return hash_json([model.key, to_mapping(model.config), to_mapping(params), *products])


def _optimizer(model: Model, params: TrainingParams) -> torch.optim.AdamW:
    """AdamW; weight decay acts on matrices, not on biases and norms."""
    rates = {"encoder": params.encoder_learning_rate, "fresh": params.learning_rate}
    groups = []
    for name, parameters in model.parameter_groups().items():
        for decay, chosen in (
            (params.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rates[name], "full_lr": rates[name], "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)


@contextmanager
def _bar(what: str, num_products: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar over some products; without `shown` it does nothing."""
    speed = TextColumn("{task.fields[speed]:.0f} products/s")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    started = time.perf_counter()
    # On stderr, since stdout may be JSON that another program reads.
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as bar:
        task = bar.add_task(what, total=num_products, speed=0.0)

        def advance(count: int) -> None:
            done = bar.tasks[0].completed + count
            bar.update(task, advance=count, speed=done / (time.perf_counter() - started))

        yield advance
