"""What is true of a dataset on disk, as small frames of counts that the data gate can state claims about.

Shards are counted one by one, by several processes (see `shards.py`), and added up in their order. What stays in memory
is the ids and group ids, and one counter over distinct (attribute, value) pairs: never texts, never `Product` objects.
A number that cannot be had is left out of its frame, never guessed: a claim about a column that is not there fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from facetmill.compute.pieces import map_pieces
from facetmill.files import read_json, scratch_beside
from facetmill.gates.counting import Examples, SplitCounts, short
from facetmill.gates.pictures import LOOK, LookCache, same_look
from facetmill.gates.scripts import SCRIPTS, letters_by_script, shares
from facetmill.gates.shards import UNREADABLE, Piece, cause_of, count_shard
from facetmill.gates.verdict import MAX_EXAMPLES
from facetmill.params.stages import STAGES
from facetmill.records import SPLITS, AttributeSchema, Split, shards

#: Of every stage; those that are switched off write none.
REPORTS = ("ingest", "match", "split", *(stage.name for stage in STAGES))

_NEED_ALL_SHARDS = (
    *("lost_products", "repeated_ids", "groups_in_two_splits", "facets_outside_schema"),
    *("explicit_share", "unseen_attribute_share", "unseen_value_share"),
    *("known_title_share", "known_picture_share", "script_shift", "attributes_of_single_values"),
)
_FEW_VALUES = 9  # of an attribute in train: that none of so few comes twice may be chance


@dataclass(frozen=True)
class Facts:
    """`frames` by name ("shards", "splits", "attributes", "dataset"); the rest by column, or frame, they speak of."""

    frames: Mapping[str, pd.DataFrame]
    examples: Mapping[str, tuple[str, ...]]
    obstacles: Mapping[str, str]
    counts: Mapping[str, int]


def measure(
    dataset_dir: Path,
    reports_dir: Path,
    looks_path: Path | None = None,
    reports: Sequence[str] = REPORTS,
    workers: int = 1,
) -> Facts:
    """Look at every shard, the attribute schema, the manifest and these `reports` of stages of a dataset.

    Never raises for what it finds there: what cannot be read is counted, and `obstacles` says why. How pictures look is
    kept in `looks_path`, if given; raises `PlatformError` where that cannot be used. `workers` counts processes of this
    machine, on which nothing of the answer depends.
    """
    survey = _Survey(dataset_dir.absolute())
    survey.read_schema()
    survey.read_shards(looks_path.absolute() if looks_path else None, workers)
    survey.read_manifest()
    survey.read_reports(reports_dir, reports)
    return survey.facts()


@dataclass
class _Survey:
    """The counts so far. One method a kind of file; each leaves its numbers in a frame, or its reason in obstacles."""

    dataset_dir: Path
    known: frozenset[str] | None = None
    shard_rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    shard_hashes: dict[str, str] = field(default_factory=dict)
    splits: dict[Split, SplitCounts] = field(default_factory=dict)
    dataset: dict[str, float] = field(default_factory=dict)
    examples: Examples = field(default_factory=Examples)
    obstacles: dict[str, str] = field(default_factory=dict)

    def read_schema(self) -> None:
        path = self.dataset_dir / "schema.json"
        try:
            self.known = frozenset(AttributeSchema.from_json(path.read_text(encoding="utf-8")).names)
        except UNREADABLE as error:
            self.examples.add("unreadable_schemas", f"schema.json: {cause_of(error)}")
            self.obstacles["facets_outside_schema"] = f"schema.json cannot be read: {cause_of(error)}"
        self.dataset["unreadable_schemas"] = int(self.known is None)

    def read_shards(self, looks_path: Path | None, workers: int) -> None:
        self.splits = {split: SplitCounts(None, self.examples) for split in SPLITS}
        paths = [(path, split) for split in SPLITS for path in shards(self.dataset_dir / split)]
        if paths:
            with scratch_beside(self.dataset_dir) as scratch:
                pieces = [Piece(*path, scratch / f"{number:05d}.parquet") for number, path in enumerate(paths)]
                with LookCache(looks_path):
                    pass  # what cannot be used is told before any process is started
                work = partial(count_shard, known=self.known, looks_path=looks_path)
                for piece, found in zip(pieces, map_pieces(work, pieces, workers), strict=True):
                    self.shard_rows[piece.name], self.shard_hashes[piece.name] = found.row, found.sha256
                    self.examples.add_all(found.examples)
                    if found.readable:
                        self.splits[piece.split].add_written(piece.target)
        unreadable = [name for name, row in self.shard_rows.items() if row["unreadable"] or row["wrong_columns"]]
        if unreadable:
            self.splits.clear()
            cause = f"shards that cannot be read: {len(unreadable)}, the first is {unreadable[0]}"
            self.obstacles |= dict.fromkeys(("splits", "attributes", *_NEED_ALL_SHARDS), cause)

    def read_manifest(self) -> None:
        """Every shard on disk must be in the manifest with its rows and hash, and the other way round."""
        try:
            listed = _listed_shards(read_json(self.dataset_dir / "manifest.json"))
        except UNREADABLE as error:
            self.obstacles["unlike_manifest"] = f"manifest.json cannot be read: {cause_of(error)}"
            return
        for name, row in self.shard_rows.items():
            if name not in listed:
                wrong = "is not in manifest.json"
            elif row["rows"] != listed[name][0] and not row["unreadable"] and not row["wrong_columns"]:
                wrong = f"has {row['rows']:,} rows, manifest.json says {listed[name][0]:,}"
            elif self.shard_hashes[name] != listed[name][1]:
                wrong = "has another SHA-256 than manifest.json says"
            else:
                wrong = ""
            row["unlike_manifest"] = int(bool(wrong))
            if wrong:
                self.examples.add("unlike_manifest", f"{name} {wrong}")
        for name in sorted(listed.keys() - self.shard_rows.keys()):
            self.shard_rows[name] = {"shard": name, "unreadable": 0, "wrong_columns": 0, "rows": 0}
            self.shard_rows[name]["unlike_manifest"] = 1
            self.examples.add("unlike_manifest", f"{name!r} is in manifest.json, but there is no such file")

    def read_reports(self, reports_dir: Path, reports: Sequence[str]) -> None:
        found: dict[str, Any] = {}
        for name in reports:
            try:
                found[name] = read_json(reports_dir / f"{name}.json")
            except UNREADABLE as error:
                self.examples.add("missing_reports", f"{name}.json: {cause_of(error)}")
        self.dataset["missing_reports"] = len(reports) - len(found)
        try:
            self.dataset |= _ingest_shares(found["ingest"], self.examples)
        except UNREADABLE as error:
            cause = f"ingest.json does not say: {cause_of(error)}" if "ingest" in found else "there is no ingest.json"
            self.obstacles |= dict.fromkeys(("dropped_share", "bad_image_share", "lost_products"), cause)

    def facts(self) -> Facts:
        counts: dict[str, int] = {}
        frames = {"shards": pd.DataFrame(list(self.shard_rows.values()))}
        if self.splits:
            frames["splits"] = pd.DataFrame([{"split": split, **c.numbers} for split, c in self.splits.items()])
            frames["attributes"] = _attributes(self.splits, self.examples)
            self.dataset |= _across_splits(self.splits, self.examples)
            if self.known is not None:
                self.dataset["facets_outside_schema"] = self.splits["train"].numbers["facets_outside_schema"]
            if "taken_products" in self.dataset:
                products = sum(c.numbers["products"] for c in self.splits.values())
                self.dataset["lost_products"] = abs(self.dataset["taken_products"] - products)
            counts = _totals(self.splits, len(frames["attributes"]))
        frames["dataset"] = pd.DataFrame([self.dataset])
        examples = {column: tuple(found) for column, found in self.examples.found.items()}
        return Facts(frames, examples, self.obstacles, counts)


def _of_single_values(train: SplitCounts) -> Counter[str]:
    """The attributes that have several values in train and none of them twice, with their number."""
    values, facets = Counter[str](), Counter[str]()
    for (attribute, _), num in train.pairs.items():
        values[attribute] += 1
        facets[attribute] += num
    return Counter({name: num for name, num in values.items() if _FEW_VALUES < num == facets[name]})


def _attributes(splits: Mapping[Split, SplitCounts], examples: Examples) -> pd.DataFrame:
    """One row an attribute of any split, the rarest first, with the number of train products that have it."""
    train = splits["train"].products_of
    names = set().union(*(counts.products_of for counts in splits.values()))
    rows = sorted((train[name], name) for name in names)
    examples.add("train_products", *(f"train products with attribute {short(name)}: {num:,}" for num, name in rows))
    return pd.DataFrame(rows, columns=["train_products", "attribute"])


def _across_splits(splits: Mapping[Split, SplitCounts], examples: Examples) -> dict[str, float]:
    """What only all splits together can tell: repeated ids, leaking groups, what was never seen in training."""
    train = splits["train"]
    held_out = splits["validation"].pairs + splits["test"].pairs
    unseen_values = Counter({pair: num for pair, num in held_out.items() if pair not in train.pairs})
    unseen_attributes: Counter[str] = Counter()
    for (attribute, _), num in unseen_values.items():
        if attribute not in train.products_of:
            unseen_attributes[attribute] += num
    for attribute, num in _most(unseen_attributes):
        examples.add("unseen_attribute_share", f"facets with attribute {short(attribute)}: {num:,}, none in train")
    for (attribute, value), num in _most(unseen_values):
        examples.add("unseen_value_share", f"facets {short(attribute)} = {short(value)}: {num:,}, none in train")
    num_facets, num_explicit = (
        sum(counts.numbers[name] for counts in splits.values()) for name in ("facets", "explicit_facets")
    )
    single = _of_single_values(train)
    for attribute, num in _most(single):
        examples.add(
            "attributes_of_single_values",
            f"attribute {short(attribute)}: {num:,} values, each once; dataset.ignore leaves a column out",
        )
    return {
        "attributes_of_single_values": len(single),
        "repeated_ids": _repeated(splits, "ids", examples),
        "groups_in_two_splits": _repeated(splits, "groups", examples),
        "explicit_share": _share(num_explicit, num_facets),
        "unseen_attribute_share": _share(unseen_attributes.total(), held_out.total()),
        "unseen_value_share": _share(unseen_values.total(), held_out.total()),
        "known_title_share": _known_title_share(splits, examples),
        "known_picture_share": _known_picture_share(splits, examples),
        "script_shift": _script_shift(splits, examples),
    }


def _known_title_share(splits: Mapping[Split, SplitCounts], examples: Examples) -> float:
    """The share of validation and test products with the words of a train title: a model has as good as seen them."""
    hashes = {split: np.frombuffer(b"".join(counts.titles), np.uint64) for split, counts in splits.items()}
    ids = {split: pa.chunked_array(counts.ids, pa.string()) for split, counts in splits.items()}
    order = np.argsort(hashes["train"], kind="stable")
    ordered = hashes["train"][order]
    known = total = 0
    for split in ("validation", "test"):
        place = np.searchsorted(ordered, hashes[split])
        same = ordered[np.minimum(place, max(len(ordered) - 1, 0))] == hashes[split] if len(ordered) else place < 0
        known, total = known + int(same.sum()), total + len(same)
        for at in np.flatnonzero(same)[:MAX_EXAMPLES].tolist():
            one, other = ids[split][at].as_py(), ids["train"][int(order[place[at]])].as_py()
            examples.add(
                "known_title_share", f"{split} product {short(one)}: its title has the words of {short(other)}'s"
            )
    return _share(known, total)


def _known_picture_share(splits: Mapping[Split, SplitCounts], examples: Examples) -> float:
    """The share of validation and test products whose first picture looks like that of a train product."""
    looks = {split: np.frombuffer(counts.looks, LOOK) for split, counts in splits.items()}
    ids = {split: pa.chunked_array(counts.ids, pa.string()) for split, counts in splits.items()}
    known = total = 0
    for split in ("validation", "test"):
        same = same_look(looks["train"], looks[split])
        known, total = known + int((same >= 0).sum()), total + splits[split].numbers["products"]
        for at in np.flatnonzero(same >= 0)[:MAX_EXAMPLES].tolist():
            one = ids[split][splits[split].pictured[at]].as_py()
            other = ids["train"][splits["train"].pictured[same[at]]].as_py()
            examples.add(
                "known_picture_share", f"{split} product {short(one)}: its picture looks like {short(other)}'s"
            )
    return _share(known, total)


def _script_shift(splits: Mapping[Split, SplitCounts], examples: Examples) -> float:
    """The most by which the share of any script in a held-out split differs from train's; 0 where either has no
    letters."""
    found = {split: shares(letters_by_script(counts.characters)) for split, counts in splits.items()}
    train = found["train"]
    held_out: tuple[Split, ...] = ("validation", "test")
    shifts = [
        (abs(share - train[script]), split, script)
        for split in held_out
        for script, share in found[split].items()
        if train
    ]
    for _, split, script in sorted(shifts, key=lambda shift: -shift[0])[:MAX_EXAMPLES]:
        shown = f"{found[split][script]:.3f}, of train {train[script]:.3f}"
        examples.add("script_shift", f"share of {script} letters of {split}: {shown}")
    return max((shift for shift, _, _ in shifts), default=0.0)


def _most(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """The greatest counts, equal ones in the order of their keys, so that the same data gives the same page."""
    return nsmallest(MAX_EXAMPLES, counts.items(), key=lambda item: (-item[1], item[0]))


def _repeated(splits: Mapping[Split, SplitCounts], kind: str, examples: Examples) -> int:
    """Ids held by two rows anywhere, or group ids held by two splits."""
    parts = []
    for split, counts in splits.items():
        keys = pa.chunked_array(getattr(counts, kind), pa.string())
        if kind == "groups":
            keys = pc.unique(keys)
        parts.append(pa.table({"key": keys, "split": pa.repeat(split, len(keys))}))
    counted = pa.concat_tables(parts).group_by("key").aggregate([([], "count_all"), ("split", "distinct")])
    repeated = counted.filter(pc.greater(counted["count_all"], 1))
    column, noun = ("repeated_ids", "product_id") if kind == "ids" else ("groups_in_two_splits", "group_id")
    for row in repeated.sort_by("key").slice(0, MAX_EXAMPLES).to_pylist():
        found = ", ".join(sorted(row["split_distinct"], key=SPLITS.index))
        examples.add(column, f"{noun} {short(row['key'])} stands in {found}")
    return int(repeated.num_rows)


def _totals(splits: Mapping[Split, SplitCounts], num_attributes: int) -> dict[str, int]:
    per_split = {f"{split} products": counts.numbers["products"] for split, counts in splits.items()}
    sums = {
        name: sum(counts.numbers[name] for counts in splits.values())
        for name in ("products", "facets", "explicit_facets", "spans", "images")
    }
    letters = sum((letters_by_script(counts.characters) for counts in splits.values()), Counter())
    return {
        **per_split,
        **{name.replace("_", " "): count for name, count in sums.items()},
        "attributes": num_attributes,
        **{f"{script} letters": letters[script] for script in SCRIPTS if letters[script]},
    }


def _listed_shards(manifest: Any) -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of every shard in a manifest, by path in the dataset."""
    return {
        f"{split}/{shard['name']}": (int(shard["num_rows"]), str(shard["sha256"]))
        for split in SPLITS
        for shard in manifest["splits"][split]["shards"]
    }


def _ingest_shares(report: Any, examples: Examples) -> dict[str, float]:
    """Shares (0..1) of rows and of pictures that ingest dropped, and how many products it passed on."""
    num_products, num_images = int(report["num_products"]), int(report["num_images"])
    dropped, lost = Counter({**report["dropped"]}), Counter({**report["images_dropped"]})
    for column, reasons, noun in (("dropped_share", dropped, "rows"), ("bad_image_share", lost, "pictures")):
        for reason, num in _most(reasons):
            seen = report.get("examples", {}).get(reason, ())[:1]
            examples.add(
                column, f"{noun} dropped, {reason}: {num:,}" + "".join(f"; the first is {each}" for each in seen)
            )
    return {
        "dropped_share": _share(dropped.total(), dropped.total() + num_products),
        "bad_image_share": _share(lost.total(), lost.total() + num_images),
        "taken_products": num_products,
    }


def _share(part: float, whole: float) -> float:
    """Part of whole, 0..1; nothing of nothing is 0."""
    return part / whole if whole else 0.0
