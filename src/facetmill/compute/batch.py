"""What every batch of tensors can do: go to a device as a whole."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance as Dataclass
else:
    Dataclass = object


class TensorBatch(Dataclass):
    """A frozen dataclass of tensors, of other such batches, and of what they are about."""

    def to(self, device: torch.device) -> Self:
        """The same with its tensors, and those of the batches in it, on `device`."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: part.to(device) for name, part in parts.items() if isinstance(part, Tensor | TensorBatch)}
        return replace(self, **moved)
