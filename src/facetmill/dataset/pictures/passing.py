"""What a stage does not change: every shard as it is. Nothing here needs torch, for this is what most builds do."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from facetmill.dataset.pictures.listing import LISTING
from facetmill.files import link_or_copy, replace_folder
from facetmill.records import SPLITS, shards


def pass_on(source_dir: Path, out_dir: Path) -> int:
    """Put the shards of `source_dir` into `out_dir`, which is replaced as a whole, and return the number of products.

    Links will do: nobody changes a shard once it is written.
    """
    with replace_folder(out_dir) as folder:
        return _link_shards(source_dir, folder)


def pass_on_dataset(source_dir: Path, folder: Path) -> int:
    """The same for a dataset that is split, into an empty folder, with its schema, manifest and listed pictures."""
    num_products = 0
    for split in SPLITS:
        (folder / split).mkdir()
        num_products += _link_shards(source_dir / split, folder / split)
    for name in ("schema.json", "manifest.json", LISTING):
        if (source_dir / name).exists():  # without pictures there is no listing
            link_or_copy(source_dir / name, folder / name)
    return num_products


def _link_shards(source_dir: Path, folder: Path) -> int:
    num_products = 0
    for path in shards(source_dir):
        num_products += pq.read_metadata(path).num_rows
        link_or_copy(path, folder / path.name)
    return num_products
