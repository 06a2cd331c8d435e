"""The stage without a labeller: every shard as it is. Nothing here needs torch, for this is what most builds do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from facetmill.files import replace_folder
from facetmill.records import shards


def pass_shards(source_dir: Path, out_dir: Path) -> int:
    """Copy the shards of `source_dir` to `out_dir`, replacing it as a whole, and return the number of products.

    Copies, not links: DVC owns each folder apart, and may link either to its cache.
    """
    with replace_folder(out_dir) as folder:
        for path in shards(source_dir):
            shutil.copyfile(path, folder / path.name)
    return sum(pq.read_metadata(path).num_rows for path in shards(out_dir))
