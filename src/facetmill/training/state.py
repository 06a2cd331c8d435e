"""The state of a running training as a folder, so that one killed at any moment goes on and ends as it would have.

Shuffling, dropout and what a phase begins with depend on the seed and the number of the epoch alone, so weights and
what the optimizers remember are all there is to restore.

state.json              what training it is, its epochs, which phase and best epoch it is at, hashes of the others
weights.safetensors     the network after the last epoch
best.safetensors        that of the phase's best epoch, where it has one
optimizers.safetensors  what the phase's optimizers remember; none before its first epoch
products/               what the phase learns from, where its beginning made it
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from facetmill.compute.tensors import load_tensors, save_tensors
from facetmill.errors import DataError, PlatformError
from facetmill.files import hash_files, hash_json, link_or_copy, read_json, replace_folder, require_hashes, write_json
from facetmill.records import PRODUCT_SCHEMA, Product, from_batch, read_products, to_batch

Precision: TypeAlias = Literal["fp32", "bf16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}

STORING_SHARE = 0.01  # of the time may go into keeping the state of a training; a kill loses at most 100 times a store
STORED_AT_ONCE = 0.1  # seconds; what takes less is kept after every epoch
ROWS = 1000  # products written at once


@dataclass(frozen=True)
class EpochResult:
    """One epoch, counted from 1 through all phases. Losses are means over what was learned from, `scores` are of
    validation (none where the epoch was not validated), the speed is of training alone, the learning rates are those of
    the last step by group."""

    epoch: int
    phase: str
    losses: dict[str, float]
    scores: dict[str, float]
    learning_rates: dict[str, float]
    items_per_second: float


@dataclass(frozen=True)
class State:
    """`precision` is what it is trained in, `phase` the place of the phase it is in, `best` the number of that phase's
    best epoch, 0 without one. `products` are None where the phase learns from the train products."""

    precision: Precision
    phase: int
    epochs: Sequence[EpochResult]
    best: int
    weights: Mapping[str, Tensor]
    best_weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    products: Sequence[Product] | None


def as_kept(products: Sequence[Product]) -> list[Product]:
    """Products as they will be when they are read again: confidences are kept in float32."""
    return [
        kept for start in range(0, len(products), ROWS) for kept in from_batch(to_batch(products[start : start + ROWS]))
    ]


class StateFolder:
    """Where the state of one training is kept. `identity` is a hash of all that decides how it goes: the state of
    another training is not read, and is replaced. One that is damaged is a `PlatformError` that names the file."""

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder
        self._identity = identity
        self._last = (0.0, 0.0)  # when the last store ended, and the seconds it took

    @property
    def precision(self) -> Precision | None:
        """What the training whose state this is was begun in; None where nothing is kept of it."""
        described = self._described()
        return None if described is None else described["precision"]

    def read(self) -> State | None:
        described = self._described()
        if described is None:
            return None
        products = self._folder / "products"
        try:
            require_hashes(self._folder, described.get("hashes", {}))  # older ones have none
            return State(
                precision=described["precision"],
                phase=described["phase"],
                epochs=[EpochResult(**result) for result in described["epochs"]],
                best=described["best"],
                weights=self._tensors("weights"),
                best_weights=self._tensors("best"),
                moments=self._tensors("optimizers"),
                products=list(read_products(products)) if products.exists() else None,
            )
        except (DataError, pa.ArrowException, OSError, KeyError, TypeError) as error:
            raise self._damaged(error) from error

    @property
    def is_due(self) -> bool:
        """Whether storing now keeps within its share of the time."""
        ended, took = self._last
        return took <= STORED_AT_ONCE or (time.perf_counter() - ended) * STORING_SHARE >= took

    def write(self, state: State) -> None:
        started = time.perf_counter()
        with replace_folder(self._folder) as folder:
            save_tensors(dict(state.weights), folder / "weights.safetensors")
            if state.best and state.best == state.epochs[-1].epoch:
                link_or_copy(folder / "weights.safetensors", folder / "best.safetensors")
            elif state.best:
                save_tensors(dict(state.best_weights), folder / "best.safetensors")
            save_tensors(dict(state.moments), folder / "optimizers.safetensors")
            if state.products is not None:
                self._write_products(state.products, folder / "products")
            described = {
                "identity": self._identity,
                "precision": state.precision,
                "phase": state.phase,
                "best": state.best,
                "epochs": [asdict(result) for result in state.epochs],
                "hashes": hash_files(folder),
            }
            write_json(folder / "state.json", described | {"sha256": hash_json(described)})
        now = time.perf_counter()
        self._last = now, now - started

    def _described(self) -> dict[str, Any] | None:
        path = self._folder / "state.json"
        if not self._folder.exists():
            return None
        try:
            described: dict[str, Any] = read_json(path)
            if described.pop("sha256", None) not in (None, hash_json(described)):  # older ones have none
                raise ValueError("changed since it was written")
            return described if described["identity"] == self._identity else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(f"{path}: {error}") from error

    def _damaged(self, wrong: object) -> PlatformError:
        return PlatformError(
            f"{wrong}; it is part of a training that was cut off, which cannot go on from there. Remove {self._folder} "
            "and the training begins anew"
        )

    def _tensors(self, name: str) -> dict[str, Tensor]:
        path = self._folder / f"{name}.safetensors"
        return load_tensors(path) if path.exists() else {}

    def _write_products(self, products: Sequence[Product], folder: Path) -> None:
        folder.mkdir()
        with pq.ParquetWriter(folder / "part-00000.parquet", PRODUCT_SCHEMA) as writer:
            for start in range(0, len(products), ROWS):
                writer.write_batch(to_batch(products[start : start + ROWS]))
