"""Whether losses and gradients are finite, without waiting for each of them on a device that runs behind."""

from __future__ import annotations

import torch
from torch import Tensor

from facetmill.errors import FacetmillError

LOOK_EVERY = 50  # steps, on a device that runs behind: looking waits for all that was asked of it


class Diverged(FacetmillError):
    """The loss or its gradient is not finite; nothing later could be trusted."""


class FiniteCheck:
    """Keeps, on the device, the first step whose loss or gradient was not finite."""

    def __init__(self, device: torch.device, look_every: int) -> None:
        self._first = torch.full((3,), -1.0, dtype=torch.float64, device=device)  # step, loss, gradient norm
        self._look_every = look_every
        self._since = 0

    def add(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Hear of a step, counted from 1."""
        here = torch.stack([torch.full_like(loss, step), loss, norm]).double()
        is_first = (self._first[0] < 0) & ~here.isfinite().all()
        self._first = torch.where(is_first, here, self._first)
        self._since += 1

    @property
    def is_due(self) -> bool:
        return self._since >= self._look_every

    def require(self, where: str, advice: str) -> None:
        """Raises `Diverged` naming the first such step; `where` says what the steps are counted in."""
        self._since = 0
        step, loss, norm = self._first.tolist()
        if step >= 0:
            raise Diverged(f"{where}, step {step:.0f}: loss {loss}, gradient norm {norm}; {advice}")
