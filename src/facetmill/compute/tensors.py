"""Named tensors as safetensors files, which are never unpickled."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from facetmill.errors import DataError


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write named tensors; those that share memory are written each on its own."""
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Raises `DataError` where the file is not safetensors."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: {error}") from error
