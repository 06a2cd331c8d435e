"""The one training loop: it takes a network through its phases.

Learning rates go by step, gradients are clipped by their global norm, an epoch may end with a validation, and a phase
ends with its best epoch or its last, or when patience runs out. An epoch is one pass over what is learned from, or as
many as it takes to `min_epoch_steps`: a catalogue of twenty products would otherwise be done after five steps.

With a `StateFolder` a killed training goes on in the phase and after the epoch that was last kept, and ends exactly as
it would have. Started by torchrun, all its processes train one network together, see `distributed.py`.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facetmill.compute.phase import Losses, Movable, Phase
from facetmill.compute.seeding import epoch_seed, seed_everything
from facetmill.errors import PlatformError
from facetmill.records import Product
from facetmill.training.distributed import Processes
from facetmill.training.finite import LOOK_EVERY, FiniteCheck
from facetmill.training.phases import Descent, only_learning
from facetmill.training.progress import progress_bar
from facetmill.training.state import EpochResult, Precision, State, StateFolder, as_kept

Batching = Callable[[Sequence[Any], int, random.Random], list[list[int]]]
Validate = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What all phases share. `batch_size` is that of all processes together. The best epoch has the highest validation
    score of the name `chosen_by`. Every `validate_every`-th epoch of a phase is validated, and its last one."""

    seed: int
    batch_size: int
    clip_norm: float
    min_epoch_steps: int = 1
    validate_every: int = 1
    chosen_by: str = ""
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Trained:
    """All epochs that were run, and the number of the one whose weights the network now has."""

    epochs: tuple[EpochResult, ...]
    kept: int


def shuffled(items: Sequence[Any], batch_size: int, draw: random.Random) -> list[list[int]]:
    """The places of all items in random batches."""
    order = list(range(len(items)))
    draw.shuffle(order)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def has_spare_core() -> bool:
    """Whether this process may use more cores than torch computes with: a thread then costs the training nothing."""
    # macOS keeps no process to some of its cores
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > torch.get_num_threads()


def train_network(
    network: nn.Module,
    phases: Sequence[Phase],
    items: Sequence[Any],
    settings: LoopSettings,
    processes: Processes,
    *,
    batching: Batching = shuffled,
    validate: Validate | None = None,
    state: StateFolder | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
    progress: bool = False,
) -> Trained:
    """Train a network in place, on the device of `processes`, and leave it in evaluation mode.

    In each of the phases something learns, from at least one of the `items`: products, or whatever `collate` takes.
    `validate` gives scores by name; it may leave the network in any mode. Without it a phase keeps its last weights.
    `on_epoch` hears of every epoch, those restored from `state` too; what it raises ends the training and passes
    through.

    Raises `Diverged` when a loss or its gradient is not finite, naming epoch and step.
    """
    if len({phase.name for phase in phases}) < len(phases):
        raise ValueError(f"two phases have the same name: {', '.join(phase.name for phase in phases)}")
    training = _Training(network, settings, processes, batching, validate, state)
    restored = None if state is None else state.read()
    num_restored = 0 if restored is None else len(restored.epochs)
    if processes.from_main(num_restored) != num_restored:
        raise PlatformError("the processes of a training must share the folder of its state; they found different ones")
    if restored is not None:
        network.load_state_dict(restored.weights)
        training.epochs.extend(restored.epochs)
    hear = on_epoch or (lambda epoch: None)
    for result in training.epochs:
        hear(result)
    kept = 0
    for place, phase in enumerate(phases):
        if restored is not None and place < restored.phase:
            continue
        here = restored if restored is not None and place == restored.phase else None
        with only_learning(network, phase):
            kept = _PhaseRun(training, phase, place, items, here).to_the_end(hear, progress)
    network.eval()
    return Trained(tuple(training.epochs), kept)


@dataclass(frozen=True)
class _Training:
    """What all phases share; `epochs` are those run so far."""

    network: nn.Module
    settings: LoopSettings
    processes: Processes
    batching: Batching
    validate: Validate | None
    state: StateFolder | None
    epochs: list[EpochResult] = field(default_factory=list)


class _PhaseRun:
    """A phase that is being run."""

    def __init__(
        self, training: _Training, phase: Phase, place: int, items: Sequence[Any], restored: State | None
    ) -> None:
        self.training = training
        self.phase = phase
        self.place = place
        self.best = 0 if restored is None else restored.best
        self.best_weights: Mapping[str, Tensor] = {} if restored is None else restored.best_weights
        self.made = None if restored is None else restored.products
        if restored is None:
            self.made = self._begin(items)
        self.items = items if self.made is None else self.made
        settings = training.settings
        steps_per_pass = math.ceil(len(self.items) / settings.batch_size)
        self.passes = math.ceil(settings.min_epoch_steps / steps_per_pass)
        self.num_steps = phase.epochs * self.passes * steps_per_pass
        self.descent = Descent(phase, self.num_steps, settings.clip_norm)
        if restored is not None:
            self.descent.load_moments(restored.moments)
        elif self.made is not None:
            self._store()  # before the first epoch, for it may have taken long
        self.loss = self._loss()

    def _begin(self, items: Sequence[Any]) -> Sequence[Product] | None:
        """What the phase's beginning makes; None where it learns from what there is."""
        seed_everything(epoch_seed(self.training.settings.seed, len(self.training.epochs) + 1))
        made = self.phase.begin(items)
        return None if made is items else as_kept(made)

    def _loss(self) -> nn.Module:
        """The phase's loss, whose gradients are the means over all processes."""
        loss = _LossOf(self.training.network, self.phase)
        if self.training.processes.world_size == 1:
            return loss
        # A batch without pictures, say, gives an image encoder no gradient.
        return DistributedDataParallel(loss, find_unused_parameters=True)

    def to_the_end(self, on_epoch: Callable[[EpochResult], None], progress: bool) -> int:
        """Run what is left of the phase, and return the number of the epoch whose weights the network now has."""
        network, epochs = self.training.network, self.training.epochs
        while not self._is_done():
            result = self._run_epoch(len(epochs) + 1, progress)
            epochs.append(result)
            if self.phase.keep == "best" and result.scores and self._is_better(result):
                self.best = result.epoch
                self.best_weights = {name: t.detach().clone() for name, t in network.state_dict().items()}
            if self.training.state is not None and (self.training.state.is_due or self._is_done()):
                self._store()
            on_epoch(result)
        if self.best:
            network.load_state_dict(self.best_weights)
        return self.best or len(epochs)

    def _score(self, result: EpochResult) -> float:
        return result.scores[self.training.settings.chosen_by]

    def _is_better(self, result: EpochResult) -> bool:
        """While nothing is found, a later epoch is the better one."""
        best = self._score(self.training.epochs[self.best - 1]) if self.best else 0.0
        return best == 0 or self._score(result) > best

    def _is_done(self) -> bool:
        """Patience begins once something is found: a tagger may say nothing at first."""
        epochs, patience = self.training.epochs, self.phase.patience
        if self._num_epochs() >= self.phase.epochs:
            return True
        if patience is None or not self.best or self._score(epochs[self.best - 1]) == 0:
            return False
        return len(epochs) - self.best >= patience

    def _num_epochs(self) -> int:
        """Those of this phase so far."""
        return sum(result.phase == self.phase.name for result in self.training.epochs)

    def _run_epoch(self, epoch: int, progress: bool) -> EpochResult:
        settings, processes = self.training.settings, self.training.processes
        draw = random.Random(epoch_seed(settings.seed, epoch))
        batches = [
            batch for _ in range(self.passes) for batch in self.training.batching(self.items, settings.batch_size, draw)
        ]
        seed_everything(epoch_seed(settings.seed + processes.rank, epoch))  # dropout differs between processes
        started = time.perf_counter()
        losses = self._run_batches(epoch, batches, progress and processes.is_main)
        seconds = time.perf_counter() - started
        number = self._num_epochs() + 1
        last_step = number * len(batches) - 1
        num_items = self.passes * len(self.items)
        return EpochResult(
            epoch=epoch,
            phase=self.phase.name,
            losses={name: total / num_items for name, total in losses.items()},
            scores=self._scores(number),
            learning_rates=self.descent.learning_rates(last_step),
            items_per_second=num_items / seconds,
        )

    def _run_batches(self, epoch: int, batches: Sequence[Sequence[int]], progress: bool) -> dict[str, float]:
        """The losses of an epoch by name, added up over items and processes."""
        processes = self.training.processes
        check = FiniteCheck(processes.device, 1 if processes.device.type == "cpu" else LOOK_EVERY)
        where, first_step = f"epoch {epoch}", self._num_epochs() * len(batches)
        advice = f"try a lower learning_rate (now {self.descent.learning_rates(first_step)})"
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=processes.device))
        self.training.network.train()
        bar = progress_bar(where, self.passes * len(self.items), progress)
        with ThreadPoolExecutor(1, "collate") as ahead, bar as advance:
            collated = ahead.submit if has_spare_core() else _at_once
            coming = collated(self._collate, batches[0])
            for number, places in enumerate(batches):
                batch, weight = coming.result()
                losses = self._losses(batch)
                if number + 1 < len(batches):
                    # Made while autograd computes, which needs no Python: at any other time the two threads would wait
                    # for each other. Random numbers are drawn in the same order each time.
                    coming = collated(self._collate, batches[number + 1])
                self.descent.zero_grad()
                (losses.total if processes.world_size == 1 else losses.total * weight).backward()
                check.add(number + 1, losses.total.detach(), self.descent.clip())
                if check.is_due or number + 1 == len(batches):
                    check.require(where, advice)
                self.descent.step(first_step + number)
                for name, value in {"total": losses.total.detach(), **losses.parts}.items():
                    sums[name] += value * (weight * len(places) / processes.world_size)
                advance(len(places))
        return processes.sums(sums)

    def _collate(self, places: Sequence[int]) -> tuple[Movable, float]:
        """This process's part of a batch, and its weight."""
        part, weight = self.training.processes.part_of(places)
        return self.phase.collate([self.items[place] for place in part]), weight

    def _losses(self, batch: Movable) -> Losses:
        # Weights, moments and losses stay fp32; only large products of matrices are taken in bf16.
        device, precision = self.training.processes.device, self.training.settings.precision
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            total, parts = self.loss(batch.to(device))
        return Losses(total, parts)

    def _scores(self, number: int) -> dict[str, float]:
        """Of validation, after this many epochs of the phase; none where that is not due."""
        validate, every = self.training.validate, self.training.settings.validate_every
        if validate is None or (number % every and number < self.phase.epochs):
            return {}
        processes = self.training.processes
        scores: dict[str, float] = processes.from_main(dict(validate()) if processes.is_main else None)
        return scores

    def _store(self) -> None:
        training = self.training
        if training.state is not None and training.processes.is_main:
            training.state.write(
                State(
                    precision=training.settings.precision,
                    phase=self.place,
                    epochs=training.epochs,
                    best=self.best,
                    weights=training.network.state_dict(),
                    best_weights=self.best_weights,
                    moments=self.descent.moments(),
                    products=self.made,
                )
            )


def _at_once(work: Callable[[Sequence[int]], Any], places: Sequence[int]) -> Future[Any]:
    """What an executor's `submit` would give, done here and now."""
    done: Future[Any] = Future()
    done.set_result(work(places))
    return done


class _LossOf(nn.Module):
    """A phase's loss as the forward pass of a module, which is what torch's DDP takes."""

    def __init__(self, network: nn.Module, phase: Phase) -> None:
        super().__init__()
        self.network = network
        self.phase = phase

    def forward(self, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        losses = self.phase.loss(batch)
        return losses.total, losses.parts
