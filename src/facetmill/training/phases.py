"""What a `Phase` comes to when it is run: torch's optimizers, their learning rates at each step, and who learns."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from facetmill.compute.phase import Optimizer, Phase, Schedule


def rate_at(schedule: Schedule, step: int, num_steps: int) -> float:
    """The share (0..1) of the full learning rate at a step, counted from 0, of a phase of `num_steps`."""
    warmup = math.ceil(schedule.warmup_share * num_steps)
    if step < warmup:
        return schedule.warmup_from + (1 - schedule.warmup_from) * (step + 1) / warmup
    match schedule.kind:
        case "linear":
            return max(0.0, (num_steps - step) / max(1, num_steps - warmup))
        case "cosine":
            return (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup))) / 2
        case "steps":
            return float(schedule.drop_to ** sum(step >= share * num_steps for share in schedule.drop_at))
        case "constant":
            return 1.0


@contextmanager
def only_learning(network: nn.Module, phase: Phase) -> Iterator[None]:
    """Within the block, what the phase names learns and nothing else: the rest costs no gradient."""
    learning = {id(parameter) for parameter in phase.parameters}
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    for parameter, _ in before:
        parameter.requires_grad_(id(parameter) in learning)
    try:
        yield
    finally:
        for parameter, learned in before:
            parameter.requires_grad_(learned)


class Descent:
    """The optimizers of a phase, which step together, by the gradients of one loss clipped to one norm."""

    def __init__(self, phase: Phase, num_steps: int, clip_norm: float) -> None:
        self._phase = phase
        self._num_steps = num_steps
        self._clip_norm = clip_norm
        self._optimizers = [_build(optimizer) for optimizer in phase.optimizers]

    def zero_grad(self) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def clip(self) -> Tensor:
        """Scale all gradients to at most `clip_norm` together, and return their norm of before."""
        return nn.utils.clip_grad_norm_(self._phase.parameters, self._clip_norm)

    def step(self, step: int) -> None:
        """Update what learns, at the learning rates of this step of the phase, counted from 0."""
        for described, optimizer in zip(self._phase.optimizers, self._optimizers, strict=True):
            rate = rate_at(described.schedule, step, self._num_steps)
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * rate
            optimizer.step()

    def learning_rates(self, step: int) -> dict[str, float]:
        """Those of a step, by the names of groups."""
        return {
            group.name: group.learning_rate * rate_at(optimizer.schedule, step, self._num_steps)
            for optimizer in self._phase.optimizers
            for group in optimizer.groups
        }

    def moments(self) -> dict[str, Tensor]:
        """All that the optimizers remember, as `optimizer.parameter.name`."""
        return {
            f"{place}.{number}.{name}": tensor
            for place, optimizer in enumerate(self._optimizers)
            for number, values in optimizer.state_dict()["state"].items()
            for name, tensor in values.items()
        }

    def load_moments(self, moments: Mapping[str, Tensor]) -> None:
        """Go on from what `moments` gave."""
        states: dict[int, dict[int, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
        for key, tensor in moments.items():
            which, number, name = key.split(".", 2)
            states[int(which)][int(number)][name] = tensor
        for place, optimizer in enumerate(self._optimizers):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": dict(states[place]), "param_groups": groups})


def _build(described: Optimizer) -> torch.optim.Optimizer:
    groups = []
    for group in described.groups:
        for decay, chosen in (
            (described.weight_decay, [p for p in group.parameters if p.ndim > 1]),
            (0.0, [p for p in group.parameters if p.ndim <= 1]),
        ):
            if chosen:
                rate = group.learning_rate
                groups.append({"params": chosen, "lr": rate, "full_lr": rate, "weight_decay": decay})
    match described.kind:
        case "adamw":
            return torch.optim.AdamW(groups, fused=True)
        case "adam":
            return torch.optim.Adam(groups, fused=True)
        case "adamax":
            return torch.optim.Adamax(groups)
