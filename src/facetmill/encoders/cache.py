"""What frozen encoders give, kept on disk: each distinct text and picture is encoded once, whatever asks for it.

A cache is a folder of parts, each one safetensors file that holds the vectors of some inputs and is never changed. A
part is named by the hash of what is in it, written beside its place, flushed, and moved there whole: a process killed
at any moment loses the part it was writing and nothing else, and one that a disk has damaged is made again. Any number
of processes may fill the same folder; what two of them encode is there twice. Parts are mapped into memory, so a cache
may be larger than it.

Vectors are found by the digest of exactly what was encoded, in a folder of exactly this encoder.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from facetmill.files import hash_json, replace_file

ABANDONED_AFTER = 24 * 3600.0  # seconds after which a half-written part is surely nobody's
FORMAT = 1  # to be raised when what is encoded for the same input changes, such as how pictures are scaled
_log = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "pillow")  # another version may give other digits


class Encoder(Protocol):
    def describe(self) -> dict[str, Any]: ...
    def state_dict(self) -> dict[str, Any]: ...


def encoder_identity(encoder: Encoder) -> str:
    """Hash over an encoder's shape, every one of its weights, and what else decides the last digits of what it gives:
    libraries, device, and how this process multiplies matrices now."""
    digest = hashlib.sha256()
    weights = encoder.state_dict()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    versions = {name: version(name) for name in LIBRARIES}
    devices = sorted({tensor.device.type for tensor in weights.values()})
    computing = [devices, torch.get_num_threads(), torch.get_float32_matmul_precision()]
    return hash_json([FORMAT, versions, computing, encoder.describe(), digest.hexdigest()])


def digest_of(*parts: bytes | memoryview) -> bytes:
    """SHA-256 of an encoder's input; parts that would be equal only when joined are not."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def in_working_precision(features: Tensor) -> Tensor:
    """Features in the precision of the network that reads them: bf16 ones stay so under autocast alone."""
    return features if torch.is_autocast_enabled(features.device.type) else features.float()


class FeatureCache:
    """Vectors of one encoder, some rows for each digest (none for an input that cannot be encoded).

    They are encoded in float32 and kept so or in bfloat16, which is half as large and needs no casting to train in.
    """

    def __init__(self, folder: Path, identity: str, dtype: torch.dtype = torch.float32) -> None:
        self.folder = folder / (identity[:32] if dtype == torch.float32 else f"{identity[:32]}-bfloat16")
        self.dtype = dtype
        self._places: dict[bytes, tuple[Any, int, int]] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(".part-*"):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                path.unlink(missing_ok=True)
        for path in sorted(self.folder.glob("part-*.safetensors")):
            self._open(path)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._places

    def get(self, digest: bytes) -> Tensor:
        """The rows of one input [rows,E]. Raises `KeyError` for one that was never filled in."""
        part, start, end = self._places[digest]
        rows = part.get_slice("rows")
        if start == end:  # which safetensors refuses to slice at the end of a file
            return torch.zeros(0, rows.get_shape()[1], dtype=self.dtype)
        found: Tensor = rows[start:end]
        return found

    def fill(self, inputs: Iterable[tuple[bytes, Callable[[], NDArray[np.float32]]]]) -> int:
        """Encode the inputs that are not here, and write them as one part. Returns how many those were.

        Each is encoded by a call of its own, so that its digits do not depend on what else was to be encoded.
        """
        fresh: dict[bytes, NDArray[np.float32]] = {}
        for digest, encode in inputs:
            if digest not in self and digest not in fresh:
                fresh[digest] = encode()
        if fresh:
            part = {
                "digests": torch.frombuffer(bytearray().join(fresh), dtype=torch.uint8).reshape(-1, 32),
                "ends": torch.tensor([len(rows) for rows in fresh.values()]).cumsum(0),
                # in the order of rows, for safetensors writes the memory as it lies
                "rows": torch.from_numpy(np.concatenate(list(fresh.values()))).contiguous().to(self.dtype),
            }
            path = self.folder / f"part-{_hash_of(part)}.safetensors"
            with replace_file(path) as temporary:
                save_file(part, temporary)
            self._open(path)
        return len(fresh)

    def _open(self, path: Path) -> None:
        """Take a part in; one that is not what it was is removed, for it can be made again."""
        status = path.stat()
        if not _is_whole(path, status.st_size, status.st_mtime_ns, status.st_ino):
            _log.warning("%s: damaged, so it was removed; what was in it is encoded again", path)
            path.unlink(missing_ok=True)
            return
        part = safe_open(path, framework="pt")
        digests, ends = part.get_tensor("digests"), part.get_tensor("ends").tolist()
        for digest, start, end in zip(digests.numpy(), [0, *ends], ends, strict=False):
            self._places.setdefault(bytes(digest), (part, start, end))


def _hash_of(part: Mapping[str, Tensor]) -> str:
    """SHA-256 of what is in a part, in hexadecimal."""
    flat = (part[name].reshape(-1).view(torch.uint8).numpy().data for name in ("digests", "ends", "rows"))
    return digest_of(*flat).hex()


@lru_cache(maxsize=1024)
def _is_whole(path: Path, *on_disk: int) -> bool:
    """Whether a part that is as the disk says (`on_disk`) holds what its name says; older names say nothing."""
    try:
        with safe_open(path, framework="pt") as opened:
            part = {name: opened.get_tensor(name) for name in ("digests", "ends", "rows")}
        fits = len(part["digests"]) == len(part["ends"]) and len(part["rows"]) == part["ends"][-1]
        name = path.stem.removeprefix("part-")
        return bool(fits) and (len(name) < 64 or _hash_of(part) == name)
    except (OSError, SafetensorError, IndexError):
        return False
