"""A phase of training, as a network describes it: what learns, how fast, from which loss, and for how long.

`training/loop.py` runs phases. It stands above the models, and the classifiers and codebooks of datasets are no models;
so what all of them must know lies down here, and knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Losses:
    """`total` is the scalar to differentiate; `parts` are its detached terms by name, for the log."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Movable(Protocol):
    """A batch, as far as the loop knows it."""

    def to(self, device: torch.device) -> Self: ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a learning rate goes through a phase, as a share of the full one.

    Over the first `warmup_share` of all steps it rises in a line from `warmup_from` to 1. Then it goes down to 0 in a
    line or along half a cosine, stays, or (`steps`) is multiplied by `drop_to` at each of the shares `drop_at` of all
    steps.
    """

    kind: Literal["linear", "cosine", "steps", "constant"] = "linear"
    warmup_share: float = 0.0
    warmup_from: float = 0.0
    drop_at: Sequence[float] = ()
    drop_to: float = 0.1


#: The one-cycle policy, for small networks that learn from nothing. Source: Smith, Topin. "Super-Convergence." 2018.
ONE_CYCLE = Schedule(kind="cosine", warmup_share=0.3, warmup_from=0.04)


@dataclass(frozen=True)
class Group:
    """Parameters with a learning rate of their own, by a name that the log shows: text, image, fresh."""

    name: str
    parameters: Sequence[nn.Parameter]
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """One optimizer. Weight decay acts on matrices, not on biases and norms."""

    groups: Sequence[Group]
    kind: Literal["adamw", "adam", "adamax"] = "adamw"
    schedule: Schedule = Schedule()
    weight_decay: float = 0.0


def unchanged(items: Sequence[Any]) -> Sequence[Any]:
    """`Phase.begin` of a phase that learns from what the training is given."""
    return items


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase. All its optimizers step together, on the gradients of one loss; what is in none of their groups does
    not learn in it.

    `collate` makes a batch of what is learned from, `loss` is a mean over a batch. `patience` is for how many epochs
    to go on without a better validation score; None: to the end. A phase ends with its best weights, or its last
    (`keep`), and the next one begins with these.

    `begin` is called once, before the first epoch, with what the training is given. Where it returns anything else,
    that must be products: the phase learns from these, and they are kept with the state of the training. What more it
    makes must lie in the network's buffers or parameters, for a training that goes on after a kill does not call it
    again.
    """

    name: str
    epochs: int
    optimizers: Sequence[Optimizer]
    collate: Callable[[Sequence[Any]], Movable]
    loss: Callable[[Any], Losses]
    begin: Callable[[Sequence[Any]], Sequence[Any]] = unchanged
    patience: int | None = None
    keep: Literal["best", "last"] = "best"

    @property
    def groups(self) -> list[Group]:
        return [group for optimizer in self.optimizers for group in optimizer.groups]

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.groups for parameter in group.parameters]
