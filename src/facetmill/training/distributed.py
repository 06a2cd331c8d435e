"""One training in several processes, as `torchrun` starts them: each takes its part of every batch.

A batch, a loss and a gradient are those of all processes together, so a training is the same however many there are,
but for the last digits and for what dropout draws. All have the same products and parameters; the main one validates,
keeps the state and tells the others, and a `state_dir` must be seen by all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous


@dataclass(frozen=True)
class Processes:
    """The processes of a training; `device` and `rank` (from 0) are of this one."""

    device: torch.device
    world_size: int = 1
    rank: int = 0

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def part_of(self, places: Sequence[int]) -> tuple[list[int], float]:
        """This process's part of a batch, and what its mean loss weighs in the mean over processes: 1 where parts are
        equal. A process for which nothing is left takes what another has, and weighs 0."""
        part = list(places[self.rank :: self.world_size])
        return (part, len(part) * self.world_size / len(places)) if part else ([places[0]], 0.0)

    def sums(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Each value added up over the processes."""
        if self.world_size == 1:
            return {name: value.item() for name, value in values.items()}
        stacked = torch.stack([value.double() for value in values.values()])
        distributed.all_reduce(stacked)
        return dict(zip(values, stacked.tolist(), strict=True))

    def from_main(self, value: Any) -> Any:
        """What the main process has, a JSON value, in every process."""
        if self.world_size == 1:
            return value
        text = torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8, device=self.device)
        length = torch.tensor([len(text)], device=self.device)
        distributed.broadcast(length, 0)
        if not self.is_main:
            text = text.new_empty(int(length))
        distributed.broadcast(text, 0)
        return json.loads(bytes(text.tolist()))


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun has started with this one, or this one alone. Each has a GPU of its own, or none."""
    if not distributed.is_torchelastic_launched():
        yield Processes(device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    store, rank, world_size = next(rendezvous("env://"))
    # Each training meets under a key of its own: torch names the group of each alike, so those of a second one
    # would look for each other at the addresses which the first one has left in the store.
    training = PrefixStore(f"training {store.add(f'trainings of {rank}', 1)}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=training, rank=rank, world_size=world_size)
    try:
        yield Processes(device, world_size, rank)
    finally:
        distributed.destroy_process_group()
