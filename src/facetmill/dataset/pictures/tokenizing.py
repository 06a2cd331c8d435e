"""From a frozen dataset to the codes of its pictures, in a folder beside it; the dataset itself is never changed.

A product's picture is its first one. A picture that is missing or broken has no codes and is counted. Our own codebook
learns from pictures of the train split alone; how well it does is measured on the pictures of validation and test that
train has not.

Shapes: P pictures, S pixels a side, G grid.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetmill.compute.device import compute_settings
from facetmill.dataset.pictures.picture_cache import digest_of
from facetmill.dataset.pictures.vq_training import train_codebook
from facetmill.encoders.pictures import Fault, decode_picture, picture_bytes, picture_path
from facetmill.errors import DataError
from facetmill.files import replace_folder, write_json
from facetmill.params import VisualTokensParams
from facetmill.perception.codebooks import Codebook, FlavaCodebook, VqCodebook
from facetmill.perception.visual_tokens import FORMAT_VERSION, TOKEN_SCHEMA
from facetmill.records import SPLITS, require_schema, shards

_BATCH = 64  # pictures encoded at once
_BATCH_ROWS = 4096  # products whose paths are read at once


@dataclass
class _SquaredError:
    """Of pictures made of codes, and of the mean train picture in place of every one; per channel of a pixel, 0..1."""

    num_pictures: int = 0
    codes: float = 0.0
    mean_picture: float = 0.0

    def add(self, pixels_PCSS: Tensor, made_PCSS: Tensor, mean_CSS: Tensor) -> None:
        true_PCSS = pixels_PCSS.float() / 255
        self.num_pictures += len(true_PCSS)
        self.codes += float((made_PCSS - true_PCSS).square().mean((1, 2, 3)).sum())
        self.mean_picture += float((mean_CSS - true_PCSS).square().mean((1, 2, 3)).sum())

    def to_json(self) -> dict[str, Any]:
        of = max(self.num_pictures, 1)
        return {
            "num_pictures": self.num_pictures,
            "codes": round(self.codes / of, 6),
            "mean_picture": round(self.mean_picture / of, 6),
        }


@dataclass
class _Counts:
    """What became of products' first pictures; `used` says how often each code stands in distinct pictures."""

    used: NDArray[np.int64]
    num_products: int = 0
    num_without_picture: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    train: _SquaredError = field(default_factory=_SquaredError)
    held_out: _SquaredError = field(default_factory=_SquaredError)


def tokenize(
    dataset_dir: Path, out_dir: Path, params: VisualTokensParams, log: Callable[[str], None]
) -> dict[str, Any]:
    """Write the codes of a dataset's pictures to `out_dir`, which is replaced as a whole, and return the report.

    Relative paths of pictures are taken from the folder that holds `dataset_dir`. Memory is that of some thousand
    products and the digests of pictures. Raises `ParamsError` for a codebook that cannot be loaded or does not fit, and
    `DataError` where no picture is left to learn from or a path leaves the dataset.
    """
    with compute_settings(params.threads), replace_folder(out_dir) as folder:
        codebook, mean_CSS = _codebook(dataset_dir, params, log)
        (folder / "codebook").mkdir()
        codebook.save(folder / "codebook")
        counts = _Counts(np.zeros(codebook.num_codes, np.int64))
        for split in SPLITS:
            (folder / split).mkdir()
            error = counts.train if split == "train" else counts.held_out
            for shard in shards(dataset_dir / split):
                _tokenize_shard(
                    shard, dataset_dir.parent, folder / split / shard.name, codebook, mean_CSS, counts, error
                )
        described = {"num_codes": codebook.num_codes, "grid": codebook.grid, "image_size": codebook.size}
        write_json(
            folder / "visual_tokens.json",
            {"format_version": FORMAT_VERSION, "codebook": params.codebook, **described},
        )
    judged = counts.held_out
    if judged.num_pictures and judged.codes >= judged.mean_picture:
        log("warning: the codes say no more of held-out pictures than their mean; more visual_tokens.epochs may help")
    return {
        "codebook": params.codebook,
        **described,
        "num_products": counts.num_products,
        "num_without_picture": counts.num_without_picture,
        "dropped": {fault.value: counts.dropped[fault.value] for fault in Fault},
        "num_pictures": len(counts.seen),
        "num_codes_used": int((counts.used > 0).sum()),
        "perplexity": round(perplexity(counts.used), 4),
        "squared_error": None
        if mean_CSS is None
        else {"train": counts.train.to_json(), "held_out": counts.held_out.to_json()},
    }


def perplexity(used_K: NDArray[np.int64]) -> float:
    """How many codes, evenly used, would be as hard to guess as these (exp of the entropy of their use); 0 for none."""
    total = used_K.sum()
    if not total:
        return 0.0
    share = used_K[used_K > 0] / total
    return float(np.exp(-(share * np.log(share)).sum()))


def _codebook(
    dataset_dir: Path, params: VisualTokensParams, log: Callable[[str], None]
) -> tuple[Codebook, Tensor | None]:
    """The codebook, and the mean of the pictures that it has learned from [3,S,S] (0..1) where it is ours."""
    assert params.codebook is not None
    if params.codebook != "train":
        return FlavaCodebook(params.codebook, params.image_size), None
    with tempfile.TemporaryDirectory() as scratch:
        pixels_P3SS = _train_pixels(dataset_dir, params, Path(scratch) / "pixels")
        if not len(pixels_P3SS):
            raise DataError(f"{dataset_dir / 'train'}: visual_tokens.codebook = 'train', but no picture can be read")
        log(f"codebook: {len(pixels_P3SS)} pictures of train")
        mean_CSS = torch.from_numpy(pixels_P3SS.mean(axis=0, dtype=np.float64) / 255).float()
        return VqCodebook(train_codebook(pixels_P3SS, params, log)), mean_CSS


def _train_pixels(dataset_dir: Path, params: VisualTokensParams, scratch: Path) -> NDArray[np.uint8]:
    """The distinct pictures of train in the order of their digests, at most `params.train_pictures`, on disk.

    Digests know nothing of what a picture shows, so the first ones are a fair sample, the same on every machine.
    """
    paths: dict[str, str] = {}
    for shard in shards(dataset_dir / "train"):
        for path in _first_pictures(shard, dataset_dir.parent):
            data = Fault.MISSING if path is None else picture_bytes(path)
            if path is not None and not isinstance(data, Fault):
                paths.setdefault(digest_of(data), path)
    num_pictures = 0
    with scratch.open("wb") as stream:
        for digest in sorted(paths):
            pixels = _pixels(paths[digest], params.image_size)
            if not isinstance(pixels, Fault):
                stream.write(pixels.tobytes())
                num_pictures += 1
            if num_pictures == params.train_pictures:
                break
    shape = (num_pictures, 3, params.image_size, params.image_size)
    return np.memmap(scratch, np.uint8, "r", shape=shape) if num_pictures else np.zeros(shape, np.uint8)


def _tokenize_shard(
    shard: Path,
    root: Path,
    target: Path,
    codebook: Codebook,
    mean_CSS: Tensor | None,
    counts: _Counts,
    error: _SquaredError,
) -> None:
    """The codes of the distinct first pictures of a shard, in the order of its products."""
    written: set[str] = set()
    waiting: dict[str, NDArray[np.uint8]] = {}
    with pq.ParquetWriter(target, TOKEN_SCHEMA, compression="zstd") as writer:

        def write() -> None:
            if waiting:
                writer.write_batch(_tokens(waiting, codebook, mean_CSS, counts, error))
            written.update(waiting)
            waiting.clear()

        for path in _first_pictures(shard, root):
            counts.num_products += 1
            if path is None:
                counts.num_without_picture += 1
                continue
            data = picture_bytes(path)
            if not isinstance(data, Fault):
                digest = digest_of(data)
                if digest in written or digest in waiting:
                    continue
            pixels = data if isinstance(data, Fault) else decode_picture(data, codebook.size)
            if isinstance(pixels, Fault):
                counts.dropped[pixels.value] += 1
                continue
            waiting[digest] = pixels
            if len(waiting) == _BATCH:
                write()
        write()


def _tokens(
    pictures: Mapping[str, NDArray[np.uint8]],
    codebook: Codebook,
    mean_CSS: Tensor | None,
    counts: _Counts,
    error: _SquaredError,
) -> pa.RecordBatch:
    """The rows of some pictures by digest. Those that no shard had before are counted and judged."""
    pixels_PCSS = torch.from_numpy(np.stack(list(pictures.values())))
    code_PGG = codebook.encode(pixels_PCSS)
    new = [number for number, digest in enumerate(pictures) if digest not in counts.seen]
    counts.seen.update(pictures)
    if new:
        counts.used += np.bincount(code_PGG[new].flatten().numpy(), minlength=len(counts.used))
        made_PCSS = codebook.decode(code_PGG[new])
        if made_PCSS is not None and mean_CSS is not None:
            error.add(pixels_PCSS[new], made_PCSS, mean_CSS)
    rows = code_PGG.flatten(1).numpy().astype(np.uint16)
    columns = [pa.array(list(pictures), pa.string()), pa.array(list(rows), TOKEN_SCHEMA.field("codes").type)]
    return pa.RecordBatch.from_arrays(columns, schema=TOKEN_SCHEMA)


def _pixels(path: str, size: int) -> NDArray[np.uint8] | Fault:
    data = picture_bytes(path)
    return data if isinstance(data, Fault) else decode_picture(data, size)


def _first_pictures(shard: Path, root: Path) -> Iterator[str | None]:
    """The path of each product's first picture, None where it has none. `DataError`: one leaves `root`."""
    with pq.ParquetFile(shard) as parquet:
        require_schema(shard, parquet.schema_arrow)
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=["product_id", "images"]):
            for product_id, images in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield str(picture_path(root, images[0], product_id)) if images else None
