"""Train, validation and test by product group, so that no listing of a trained product is ever tested.

Each group gets a 64-bit number from a keyed hash of its id. The lowest numbers are the test split, the next ones
validation, the rest train; the two limits are quantiles over the groups that exist, so the shares are exact (to one
group) in a small catalogue too. The numbers do not depend on the order of the data, and a group keeps its number
when others come or go.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facetmill.dataset.schema import build_schema
from facetmill.errors import ParamsError
from facetmill.files import hash_file, replace_folder, write_json, write_text
from facetmill.params import SplitParams
from facetmill.records import PRODUCT_SCHEMA, SCHEMA_VERSION, SPLITS, Split, read_batches

_SHARD_ROWS = 50_000
_Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class SplitLimits:
    """Groups hashed below `test` are the test split, others below `validation` the validation split."""

    test: int
    validation: int

    def of(self, hashes: _Hashes) -> npt.NDArray[np.intp]:
        """The split of each hash, as its place in `SPLITS`."""
        limits = [self.test, self.validation]  # 2**64, "above all", does not fit in a uint64
        below_test, below_validation = (hashes < limit if limit < 2**64 else hashes == hashes for limit in limits)
        places = [SPLITS.index("test"), SPLITS.index("validation")]
        return np.select([below_test, below_validation], places, default=SPLITS.index("train"))


@dataclass
class _SplitCounts:
    num_products: int = 0
    num_groups: int = 0
    num_facets: int = 0
    num_explicit: int = 0
    num_implicit: int = 0
    num_distant: int = 0
    num_distant_dropped: int = 0


def split_shards(source_dir: Path, out_dir: Path, params: SplitParams) -> dict[str, Any]:
    """Write the frozen dataset to `out_dir`, replacing it as a whole, and return the report.

    `out_dir` gets `train/`, `validation/` and `test/` with shards `part-*.parquet` whose `split` is set, `schema.json`
    (an `AttributeSchema`, from train alone) and `manifest.json`: counts, and each shard's name, rows and SHA-256.
    Distant facets stay in train alone: what a picture classifier says must not be what quality is measured by, so
    validation and test lose theirs, counted (`num_distant_dropped`). The hash decides also where a source came with
    splits of its own; the report counts those products (`num_source_splits_replaced`). Raises `ParamsError` when the
    shares leave nothing to train on.
    """
    hashes, num_replaced = _distinct_hashes(source_dir, params.seed)
    limits = split_limits(hashes, params)
    num_groups = np.bincount(limits.of(hashes), minlength=len(SPLITS))
    counts = {split: _SplitCounts(num_groups=int(num)) for split, num in zip(SPLITS, num_groups, strict=True)}
    with replace_folder(out_dir) as folder:
        with ExitStack() as stack:
            writers = {split: stack.enter_context(_ShardWriter(folder / split)) for split in SPLITS}
            for batch in read_batches(source_dir):
                places = limits.of(_hash_column(batch.column("group_id"), params.seed))
                for place, split in enumerate(SPLITS):
                    part = _with_split(batch.filter(pa.array(places == place)), split)
                    if split != "train":
                        part, num_dropped = _without_distant(part)
                        counts[split].num_distant_dropped += num_dropped
                    writers[split].write(part)
                    _count(counts[split], part)
        write_text(folder / "schema.json", build_schema(read_batches(folder / "train")).to_json() + "\n")
        splits = {split: {**asdict(counts[split]), "shards": writers[split].describe()} for split in SPLITS}
        write_json(folder / "manifest.json", {"schema_version": SCHEMA_VERSION, "splits": splits})
    return {
        "num_source_splits_replaced": num_replaced,
        **{split: asdict(counts[split]) for split in SPLITS},
    }


def split_limits(hashes: _Hashes, params: SplitParams) -> SplitLimits:
    """Limits that give each split its share of the groups, whose distinct hashes are sorted.

    Shares are rounded to whole groups. From three groups on, a split whose share is above 0 gets at least one group;
    train always keeps one. Raises `ParamsError` where validation and test together are 1 or more.
    """
    if params.validation + params.test >= 1:
        raise ParamsError(
            f"split.validation = {params.validation} and split.test = {params.test}: together they leave no share "
            "for training"
        )
    total = len(hashes)
    at_least = 1 if total >= 3 else 0
    num_test, num_validation = (
        max(round(total * share), at_least) if share else 0 for share in (params.test, params.validation)
    )
    while num_test + num_validation >= max(total, 1):  # only rounding up in a tiny catalogue can take the last group
        num_test, num_validation = (
            (num_test - 1, num_validation) if num_test > num_validation else (num_test, num_validation - 1)
        )
    return SplitLimits(_limit(hashes, num_test), _limit(hashes, num_test + num_validation))


def hash_group(group_id: str, seed: int) -> int:
    """A number in 0..2**64 - 1 that decides the split of a group."""
    return int.from_bytes(_digest(group_id, seed, b"split"))


def in_subset(group_id: str, share: float, seed: int) -> bool:
    """Whether a group belongs to the low-resource subset of `share` (0..1) of all groups.

    Subsets of one seed are nested: who is in the share 0.2 is in the share 0.5. They say nothing of the split.
    """
    return int.from_bytes(_digest(group_id, seed, b"subset")) < share * 2**64


def _digest(group_id: str, seed: int, purpose: bytes) -> bytes:
    return blake2b(group_id.encode(), digest_size=8, key=str(seed).encode()[:64], person=purpose).digest()


def _limit(hashes: _Hashes, num_below: int) -> int:
    """The number that exactly `num_below` of the sorted distinct hashes are below."""
    return int(hashes[num_below]) if num_below < len(hashes) else 2**64


def _hash_column(group_ids: pa.StringArray, seed: int) -> _Hashes:
    joined = b"".join(_digest(group_id, seed, b"split") for group_id in group_ids.to_pylist())
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64)


def _distinct_hashes(source_dir: Path, seed: int) -> tuple[_Hashes, int]:
    """The sorted hashes of all groups, 8 bytes each, and the number of products that came with a split."""
    distinct, waiting = np.empty(0, np.uint64), [np.empty(0, np.uint64)]
    num_given = 0
    for batch in read_batches(source_dir):
        waiting.append(np.unique(_hash_column(batch.column("group_id"), seed)))
        num_given += batch.num_rows - batch.column("split").null_count
        if sum(map(len, waiting)) > len(distinct) + 2**20:  # merge now and then: memory stays that of the groups
            distinct, waiting = np.unique(np.concatenate([distinct, *waiting])), []
    return np.unique(np.concatenate([distinct, *waiting])), num_given


def _with_split(batch: pa.RecordBatch, split: Split) -> pa.RecordBatch:
    place = PRODUCT_SCHEMA.names.index("split")
    return batch.set_column(place, PRODUCT_SCHEMA.field("split"), pa.repeat(split, batch.num_rows))


def _without_distant(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """The batch without its distant facets, and how many those were."""
    facets = batch.column("facets")
    distant = pc.equal(facets.flatten().field("provenance"), "distant")
    num_distant = pc.sum(distant).as_py() or 0
    if not num_distant:
        return batch, 0
    kept = pc.invert(distant)
    product_of = pc.list_parent_indices(facets).filter(kept).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(np.bincount(product_of, minlength=batch.num_rows))])
    field = PRODUCT_SCHEMA.field("facets")
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), facets.flatten().filter(kept), type=field.type)
    return batch.set_column(PRODUCT_SCHEMA.names.index("facets"), field, column), num_distant


def _count(counts: _SplitCounts, batch: pa.RecordBatch) -> None:
    facets = batch.column("facets").flatten()
    spans = facets.field("spans")
    num_explicit = pc.sum(pc.greater(pc.list_value_length(spans), 0)).as_py() or 0
    counts.num_products += batch.num_rows
    counts.num_facets += len(spans)
    counts.num_explicit += num_explicit
    counts.num_implicit += len(spans) - num_explicit
    counts.num_distant += pc.sum(pc.equal(facets.field("provenance"), "distant")).as_py() or 0


class _ShardWriter:
    """Writes batches to `part-00000.parquet`, `part-00001.parquet`, ... of a folder, at most so many rows in each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._rows: list[int] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        if self._writer is None or self._rows[-1] + batch.num_rows > _SHARD_ROWS:
            self.__exit__()
            self._writer = pq.ParquetWriter(self._path(len(self._rows)), PRODUCT_SCHEMA, compression="zstd")
            self._rows.append(0)
        self._writer.write_batch(batch)
        self._rows[-1] += batch.num_rows

    def describe(self) -> list[dict[str, Any]]:
        """Name, rows and SHA-256 of each shard, once closed."""
        paths = [self._path(number) for number in range(len(self._rows))]
        return [
            {"name": path.name, "num_rows": rows, "sha256": hash_file(path)}
            for path, rows in zip(paths, self._rows, strict=True)
        ]

    def _path(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}.parquet"
