"""Vectors that somebody else's encoder gave, by the id of a text or a picture, in place of an encoder of ours.

`network: given:FOLDER` takes them from a folder as M-JAVE's authors lay it out (jd-aig/JAVE, data/embedded):

    sids_of_txts          the id of each text, one a line
    txts.embeddedG.npy    [n,E]   one vector of each, such as BERT's [CLS]
    txts.embedded.npy     [n,T,E] one of each token, without [CLS] and [SEP]; may be missing
    cids_of_imgs          the id of each picture
    imgs.embeddedG.npy    [n,E]   one vector of each; may be missing where the other is there
    imgs.embedded.npy     [n,K,E] one of each region, by row and column; may be missing

The files are read where they lie and mapped into memory, so that all of MEPAVE (26 GB) takes little of it. Nothing is
unpickled: an array of Python objects is refused.

Shapes: n vectors, P parts of what a vector is of (tokens, regions), E width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from facetmill.errors import DataError, ParamsError

PREFIX = "given:"
_NAMES = {"text": ("sids_of_txts", "txts"), "image": ("cids_of_imgs", "imgs")}


def given_folder(network: str) -> Path | None:
    """The folder of vectors that a setting names; None where it names an encoder."""
    return Path(network.removeprefix(PREFIX)) if network.startswith(PREFIX) else None


class Vectors:
    """The vectors of texts or pictures. `num_parts` is P, None where there is one vector of each alone."""

    def __init__(self, folder: Path, kind: Literal["text", "image"]) -> None:
        """Raises `ParamsError` for a folder without them, and `DataError` for files that are damaged or disagree."""
        ids, stem = _NAMES[kind]
        self.folder = folder
        self._ids_path = folder / ids
        whole_path, parts_path = folder / f"{stem}.embeddedG.npy", folder / f"{stem}.embedded.npy"
        needed = parts_path if kind == "image" and parts_path.exists() else whole_path
        for path in (self._ids_path, needed):
            if not path.is_file():
                raise ParamsError(f"network = '{PREFIX}{folder}': there is no file {path}")
        names = self._ids_path.read_text(encoding="utf-8", errors="replace").split()
        self._row_of = {name: row for row, name in enumerate(names)}
        self._wholes = _mapped(whole_path, 2, len(names)) if whole_path.exists() else None
        self._parts = _mapped(parts_path, 3, len(names)) if parts_path.exists() else None
        widths = {array.shape[-1] for array in (self._wholes, self._parts) if array is not None}
        if len(widths) > 1:
            raise DataError(f"{parts_path}: vectors of another width than those of {whole_path}")
        (self.width,) = widths
        self.num_parts = None if self._parts is None else int(self._parts.shape[1])

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # what is on disk is there once

    def row_of(self, product_id: str, *names: str) -> int:
        """The row of the first of some names that has vectors. Raises `DataError`, naming the product, if none has."""
        found = next((self._row_of[name] for name in names if name in self._row_of), None)
        if found is None:
            raise DataError(f"{self._ids_path}: no vectors for product {product_id!r}, looked for {', '.join(names)}")
        return found

    def whole(self, row: int) -> Tensor:
        """The one vector of a text or picture, float32. [E]"""
        assert self._wholes is not None
        return torch.from_numpy(np.array(self._wholes[row], dtype=np.float32))

    def parts(self, row: int) -> Tensor:
        """Its vectors, part by part, float32; where there are none, the one of the whole. [P,E]"""
        if self._parts is None:
            return self.whole(row)[None]
        return torch.from_numpy(np.array(self._parts[row], dtype=np.float32))


def _mapped(path: Path, num_axes: int, num_rows: int) -> np.memmap[Any, Any]:
    try:
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no array of vectors: {error}") from error
    if array.ndim != num_axes or array.dtype.kind != "f" or not array.size:
        raise DataError(f"{path}: {num_axes} axes of floats expected, found {array.dtype} of shape {array.shape}")
    if len(array) != num_rows:
        raise DataError(f"{path}: {len(array)} rows, but {num_rows} ids stand beside them")
    return array
