"""Train, validation and test by product group, so that no listing of a trained product is ever tested.

Each group gets a 64-bit number from a keyed hash of its id. Numbers in the lowest share of all 2^64 are the test split,
those in the next share validation, the rest train. So a group's split depends on nothing but its id, the seed and the
shares: it stays where it is when others come or go, and what one version of a catalogue trained on, no later version
tests. The price is that shares are those of fair draws: of 1,000 groups a test share of 0.2 gets 200 +- 13.

Two kinds of groups are exceptions (`split_exceptions.py`): those that come with a published split stay in it with
`split.keep_published`, and those that share a picture go to one split with `split.pictures_together`.

Only where so few groups exist that a split would be empty does it get the lowest of those that would be train, until
the catalogue has grown enough; growth then moves groups out of test, never into it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facetmill.compute.pieces import map_pieces
from facetmill.dataset.labels.schema import SchemaCounts
from facetmill.dataset.labels.split_exceptions import Exceptions, Hashes, Places, Survey, Surveyor, find_exceptions
from facetmill.dataset.pictures.listing import LISTING, join_parts, write_part
from facetmill.errors import ParamsError
from facetmill.files import hash_file, replace_folder, scratch_beside, write_json, write_text
from facetmill.params import SplitParams
from facetmill.records import PRODUCT_SCHEMA, SCHEMA_VERSION, SPLITS, Split, read_batches, read_shard, shards

_PIECE_ROWS = 50_000


@dataclass(frozen=True)
class SplitLimits:
    """Groups hashed below `test` are the test split, others below `validation` the validation split."""

    test: int
    validation: int

    def of(self, hashes: Hashes) -> Places:
        """The split of each hash, as its place in `SPLITS`."""
        limits = [self.test, self.validation]  # 2**64, "above all", does not fit in a uint64
        below_test, below_validation = (hashes < limit if limit < 2**64 else hashes == hashes for limit in limits)
        places = [SPLITS.index("test"), SPLITS.index("validation")]
        return np.select([below_test, below_validation], places, default=SPLITS.index("train"))


@dataclass(frozen=True)
class SplitRule:
    """Which split a group has: that of its hash, but for the `exceptions`."""

    limits: SplitLimits
    exceptions: Exceptions

    def of(self, hashes: Hashes) -> Places:
        """The split of each hash, as its place in `SPLITS`."""
        return self.exceptions.applied(hashes, self.limits.of(hashes))


@dataclass
class _SplitCounts:
    num_products: int = 0
    num_groups: int = 0
    num_facets: int = 0
    num_explicit: int = 0
    num_implicit: int = 0
    num_distant: int = 0
    num_distant_dropped: int = 0

    def __add__(self, other: _SplitCounts) -> _SplitCounts:
        return _SplitCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class _Piece:
    """Neighbouring shards of the source that one process splits at a time. Its shards of the splits and the listing of
    its pictures are written beside `target`, which gets the `SchemaCounts` of its part of train."""

    sources: tuple[Path, ...]
    target: Path


@dataclass
class _Part:
    """What a piece has of one split. Without products there is no shard."""

    shard: Path
    counts: _SplitCounts = field(default_factory=_SplitCounts)
    sha256: str = ""


@dataclass(frozen=True)
class _Parts:
    """What one try at a piece has written."""

    splits: dict[Split, _Part]
    pictures: Path


def split_shards(source_dir: Path, out_dir: Path, params: SplitParams) -> dict[str, Any]:
    """Write the frozen dataset to `out_dir`, replacing it as a whole, and return the report.

    `out_dir` gets `train/`, `validation/` and `test/` with shards `part-*.parquet` whose `split` is set, `schema.json`
    (an `AttributeSchema`, from train alone), `pictures.parquet` (see `listing.py`) where there are pictures, and
    `manifest.json`: counts, each shard's name, rows and SHA-256, and that of the listing.
    Distant facets stay in train alone: what a picture classifier says must not be what quality is measured by, so
    validation and test lose theirs, counted (`num_distant_dropped`). The report begins with the counts of
    `find_exceptions`. Raises `ParamsError` when the shares leave nothing to train on, or where splits are to be kept
    that the source lacks.

    Of every 50,000 products or so each split gets a shard, and any process may do that (see `engine.py`): of this
    machine `params.workers`. The output depends on none of that. Memory is that of a record batch a process and the
    paths of its pictures, 8 bytes for each group, and the distinct values.
    """
    survey = _survey(source_dir, params)
    hashes = survey.hashes
    limits = split_limits(hashes, validation=params.validation, test=params.test)
    exceptions, told = find_exceptions(survey, limits.of)
    if params.keep_published and not len(survey.given_hashes):
        raise ParamsError(
            "split.keep_published = true, but no product of this source comes with a split; set it to false"
        )
    rule = SplitRule(limits, exceptions)
    num_groups = np.bincount(rule.of(hashes), minlength=len(SPLITS))
    with replace_folder(out_dir) as folder, scratch_beside(out_dir) as scratch:
        pieces = _pieces(source_dir, scratch.absolute())
        root = source_dir.absolute().parent  # of the pictures that a source drew
        split_piece = partial(_split_piece, rule=rule, seed=params.seed, root=root)
        done = map_pieces(split_piece, pieces, params.workers)
        schema = SchemaCounts()
        for piece in pieces:
            schema.add_written(piece.target)
        write_text(folder / "schema.json", schema.schema().to_json() + "\n")
        splits: dict[str, Any] = {}
        manifest: dict[str, Any] = {}
        for place, split in enumerate(SPLITS):
            parts = [found.splits[split] for found in done]
            counts = sum((part.counts for part in parts), _SplitCounts(num_groups=int(num_groups[place])))
            splits[split] = asdict(counts)
            manifest[split] = {**splits[split], "shards": _gather(parts, folder / split)}
        num_pictures = join_parts([found.pictures for found in done], folder / LISTING)
        pictures = {"num_pictures": num_pictures, "sha256": hash_file(folder / LISTING)} if num_pictures else None
        listed = {"schema_version": SCHEMA_VERSION, "splits": manifest, "pictures": pictures}
        write_json(folder / "manifest.json", listed)
    return {**told, **splits}


def _pieces(source_dir: Path, scratch: Path) -> list[_Piece]:
    """Neighbouring shards together, as many as have at most `_PIECE_ROWS`."""
    together: list[list[Path]] = []
    num_rows = 0
    for path in shards(source_dir.absolute()):
        more = pq.read_metadata(path).num_rows
        if not together or num_rows + more > _PIECE_ROWS:
            together.append([])
            num_rows = 0
        together[-1].append(path)
        num_rows += more
    return [_Piece(tuple(paths), scratch / f"{number:05d}.json") for number, paths in enumerate(together)]


def _split_piece(piece: _Piece, rule: SplitRule, seed: int, root: Path) -> _Parts:
    # Two workers may be at one piece, if the first was given up: each has its own target, and so its own shards.
    parts = {split: _Part(piece.target.with_name(f"{piece.target.name}.{split}.parquet")) for split in SPLITS}
    writers: dict[Split, pq.ParquetWriter] = {}
    listing = piece.target.with_name(f"{piece.target.name}.{LISTING}")
    images: dict[str, None] = {}
    schema = SchemaCounts()
    with ExitStack() as stack:
        for batch in chain.from_iterable(map(read_shard, piece.sources)):
            images |= dict.fromkeys(batch.column("images").flatten().to_pylist())
            places = rule.of(_hash_column(batch.column("group_id"), seed))
            for place, split in enumerate(SPLITS):
                own = _with_split(batch.filter(pa.array(places == place)), split)
                if not own.num_rows:
                    continue
                if split == "train":
                    schema.count(own)
                else:
                    own, num_dropped = _without_distant(own)
                    parts[split].counts.num_distant_dropped += num_dropped
                _count(parts[split].counts, own)
                if split not in writers:
                    shard = pq.ParquetWriter(parts[split].shard, PRODUCT_SCHEMA, compression="zstd")
                    writers[split] = stack.enter_context(shard)
                writers[split].write_batch(own)
    for split in writers:
        parts[split].sha256 = hash_file(parts[split].shard)
    write_part(images, root, listing)
    schema.write(piece.target)
    return _Parts(parts, listing)


def _gather(parts: Sequence[_Part], folder: Path) -> list[dict[str, Any]]:
    """Move the shards of one split into their folder, in order; the name, rows and SHA-256 of each."""
    folder.mkdir()
    listed: list[dict[str, Any]] = []
    for part in parts:
        if part.counts.num_products:
            name = f"part-{len(listed):05d}.parquet"
            os.replace(part.shard, folder / name)
            listed.append({"name": name, "num_rows": part.counts.num_products, "sha256": part.sha256})
    return listed


def split_limits(hashes: Hashes, *, validation: float, test: float) -> SplitLimits:
    """Limits that give each split its share (0..1) of all hashes; those of the groups at hand are distinct and sorted.

    From three groups on, a split whose share is above 0 and that no group falls into gets the lowest of the others.
    Raises `ParamsError` where validation and test together are 1 or more.
    """
    if validation + test >= 1:
        raise ParamsError(
            f"split.validation = {validation} and split.test = {test}: together they leave no share for training"
        )
    at_least = 1 if len(hashes) >= 3 else 0
    below_test, below_both = (int(np.searchsorted(hashes, _part(share))) for share in (test, test + validation))
    num_test = max(below_test, at_least if test else 0)
    num_validation = max(below_both - num_test, at_least if validation else 0)
    return SplitLimits(_limit(hashes, num_test), _limit(hashes, num_test + num_validation))


def hash_group(group_id: str, seed: int) -> int:
    """A number in 0..2**64 - 1 that decides the split of a group."""
    return int.from_bytes(_digest(group_id, seed, b"split"))


def subset_of(group_ids: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """The low-resource subset of groups: exactly `share` (0..1) of them, rounded to whole ones, at least one of any.

    Subsets of one seed are nested: who is in the share 0.2 is in the share 0.5. They say nothing of the split.
    """
    ranked = sorted(set(group_ids), key=lambda group_id: (_digest(group_id, seed, b"subset"), group_id))
    wanted = max(round(share * len(ranked)), 1 if share > 0 else 0)
    return frozenset(ranked[:wanted])


def _digest(group_id: str, seed: int, purpose: bytes) -> bytes:
    return blake2b(group_id.encode(), digest_size=8, key=str(seed).encode()[:64], person=purpose).digest()


def _part(share: float) -> np.uint64:
    """The number that a share (0..1, less than 1) of all 64-bit numbers are below."""
    return np.uint64(int(share * 2**64))


def _limit(hashes: Hashes, num_below: int) -> int:
    """The number that exactly `num_below` of the sorted distinct hashes are below."""
    return int(hashes[num_below]) if num_below < len(hashes) else 2**64


def _hash_column(group_ids: pa.StringArray, seed: int) -> Hashes:
    joined = b"".join(_digest(group_id, seed, b"split") for group_id in group_ids.to_pylist())
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64)


def _survey(source_dir: Path, params: SplitParams) -> Survey:
    """One look at all groups, with the splits and pictures that `params` asks about; 8 bytes for each group and, where
    pictures keep groups together, 16 for each picture of each group."""
    surveyor = Surveyor(keep_published=params.keep_published, pictures_together=params.pictures_together)
    for batch in read_batches(source_dir, columns=("group_id", "split", "images")):
        surveyor.add(_hash_column(batch.column("group_id"), params.seed), batch)
    return surveyor.result()


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
