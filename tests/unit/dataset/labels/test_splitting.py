"""Splits keep groups together, have their shares, and do not change when they should not: not by growth either."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facetmill.compute import pieces as engine
from facetmill.dataset.labels import splitting
from facetmill.dataset.labels.splitting import split_limits, split_shards, subset_of
from facetmill.errors import DataError, ParamsError
from facetmill.files import hash_file, hash_files
from facetmill.records import SPLITS, AttributeSchema, Facet, Product, Span, Split, read_products, shards, to_batch
from tests import small

PARAMS = small.SPLIT


def write(folder: Path, products: list[Product], shard_rows: int = 40) -> Path:
    folder.mkdir()
    for number, start in enumerate(range(0, len(products), shard_rows)):
        table = pa.Table.from_batches([to_batch(products[start : start + shard_rows])])
        pq.write_table(table, folder / f"part-{number:05d}.parquet")
    return folder


def catalogue(num_groups: int, listings: int = 1) -> list[Product]:
    return [
        Product(f"p{group}-{i}", "s", "red", group_id=f"g{group}", facets=(Facet("colour", f"v{group}"),))
        for i in range(listings)
        for group in range(num_groups)
    ]


def split_of(out_dir: Path) -> dict[str, str]:
    """Split of each product, as the folder and the record both say."""
    found = {}
    for split in SPLITS:
        for product in read_products(out_dir / split):
            assert product.split == split
            found[product.product_id] = split
    return found


def test_every_product_once_and_groups_together(tmp_path: Path) -> None:
    products = catalogue(num_groups=50, listings=3)
    report = split_shards(write(tmp_path / "in", products), tmp_path / "out", PARAMS)
    found = split_of(tmp_path / "out")
    assert set(found) == {product.product_id for product in products}
    by_group = {
        product.group_id: {found[f"{'p' + product.group_id[1:]}-{i}"] for i in range(3)} for product in products
    }
    assert all(len(splits) == 1 for splits in by_group.values())
    assert {split: report[split]["num_groups"] for split in SPLITS} == {"train": 32, "validation": 5, "test": 13}
    assert {split: report[split]["num_products"] for split in SPLITS} == {"train": 96, "validation": 15, "test": 39}


def test_order_and_sharding_of_the_source_do_not_matter(tmp_path: Path) -> None:
    products = catalogue(60)
    split_shards(write(tmp_path / "a", products), tmp_path / "out_a", PARAMS)
    split_shards(write(tmp_path / "b", products[::-1], shard_rows=7), tmp_path / "out_b", PARAMS)
    assert split_of(tmp_path / "out_a") == split_of(tmp_path / "out_b")


def test_another_seed_gives_another_split_and_the_same_seed_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "in", catalogue(60))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        split_shards(source, tmp_path / name, replace(PARAMS, seed=seed))
    manifests = [(tmp_path / name / "manifest.json").read_bytes() for name in "abc"]
    assert manifests[0] == manifests[1] != manifests[2]
    assert split_of(tmp_path / "a") != split_of(tmp_path / "c")


@pytest.mark.parametrize(
    ("hashed", "expected"),  # of ten parts: 0 and 1 are test, 2 is validation, the others train
    [
        ([0.0, 0.19, 0.2, 0.29, 0.31, 0.99], (2, 2, 2)),
        ([0.5, 0.6, 0.7, 0.8], (2, 1, 1)),  # none would be tested: the lowest are
        ([0.25, 0.5, 0.6, 0.7], (2, 1, 1)),
        ([0.1, 0.5, 0.6, 0.7], (2, 1, 1)),
        ([0.1, 0.12, 0.15], (0, 0, 3)),
        ([0.5, 0.6], (2, 0, 0)),
        ([0.1], (0, 0, 1)),
        ([], (0, 0, 0)),
    ],
)
def test_small_catalogues(hashed: list[float], expected: tuple[int, int, int]) -> None:
    hashes = np.array([int(share * 2**64) for share in hashed], np.uint64)
    limits = split_limits(hashes, validation=0.1, test=0.2)
    assert tuple(np.bincount(limits.of(hashes), minlength=3)) == expected


@pytest.mark.parametrize(("validation", "test", "held_out"), [(0.0, 0.2, {2}), (0.2, 0.0, {1}), (0.0, 0.0, set())])
def test_a_split_without_a_share_is_empty(validation: float, test: float, held_out: set[int]) -> None:
    hashes = np.arange(1, 10, dtype=np.uint64) * np.uint64(2**60)
    found = set(split_limits(hashes, validation=validation, test=test).of(hashes).tolist())
    assert found == {0} | held_out


def test_growth_moves_no_group_into_test() -> None:
    """Catalogues that grow group by group. A split that would be empty borrows the lowest of train; it may give them
    back, but no group that was in train, or in validation, is ever tested, and from some size on none moves at all."""
    train, validation, test = (SPLITS.index(name) for name in ("train", "validation", "test"))
    for seed in range(200):
        order = np.random.default_rng(seed).permutation(80)
        hashes = np.array([splitting.hash_group(f"g{i}", seed) for i in order], np.uint64)
        before = np.empty(0, np.intp)
        for size in range(1, 81):
            now = split_limits(np.sort(hashes[:size]), validation=0.1, test=0.2).of(hashes[:size])
            old = now[: len(before)]
            if size > 3:  # fewer than three are not split
                assert not ((before == train) & (old != train)).any()
                assert not ((before == validation) & (old == test)).any()
            if len(before) and {train, validation, test} <= set(_natural(hashes[: len(before)]).tolist()):
                assert (old == before).all()
            before = now


def _natural(hashes: Any) -> Any:
    """Splits by the shares of all numbers alone."""
    return splitting.SplitLimits(int(0.2 * 2**64), int((0.1 + 0.2) * 2**64)).of(hashes)


def test_what_is_trained_on_is_never_tested_in_a_later_version(tmp_path: Path) -> None:
    products = catalogue(300)
    report = split_shards(write(tmp_path / "small", products[:120]), tmp_path / "v1", PARAMS)
    split_shards(write(tmp_path / "large", products), tmp_path / "v2", PARAMS)
    first, second = split_of(tmp_path / "v1"), split_of(tmp_path / "v2")
    assert first == {name: second[name] for name in first}
    assert report["test"]["num_groups"] == pytest.approx(24, abs=3 * (120 * 0.2 * 0.8) ** 0.5)


def test_shares_that_leave_nothing_to_train_on() -> None:
    with pytest.raises(ParamsError, match=r"split\.validation = 0\.5 and split\.test = 0\.5"):
        split_limits(np.arange(9, dtype=np.uint64), validation=0.5, test=0.5)


def test_manifest_counts_and_hashes_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_PIECE_ROWS", 100)
    explicit = Facet("kind", "red", (Span("title", 0, 3),))
    products = [replace(product, facets=(*product.facets, explicit)) for product in catalogue(150, listings=2)]
    split_shards(write(tmp_path / "in", products), tmp_path / "out", PARAMS)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["schema_version"] == 1
    train = manifest["splits"]["train"]
    assert len(train["shards"]) > 1
    for split in SPLITS:
        entry = manifest["splits"][split]
        paths = shards(tmp_path / "out" / split)
        assert [shard["name"] for shard in entry["shards"]] == [path.name for path in paths]
        assert [shard["sha256"] for shard in entry["shards"]] == [hash_file(path) for path in paths]
        assert [shard["num_rows"] for shard in entry["shards"]] == [pq.read_metadata(path).num_rows for path in paths]
        assert entry["num_products"] == sum(shard["num_rows"] for shard in entry["shards"]) == 2 * entry["num_groups"]
        assert entry["num_facets"] == 2 * entry["num_products"]
        assert entry["num_explicit"] == entry["num_implicit"] == entry["num_products"]


def test_pieces_are_neighbouring_shards_of_so_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_PIECE_ROWS", 100)
    (tmp_path / "in").mkdir()
    for number, rows in enumerate((0, 40, 60, 0, 1, 250, 99, 1)):
        table = pa.Table.from_batches([to_batch(catalogue(rows))])
        pq.write_table(table, tmp_path / "in" / f"part-{number:05d}.parquet")
    pieces = splitting._pieces(tmp_path / "in", tmp_path)
    numbers = [[int(path.stem[-5:]) for path in piece.sources] for piece in pieces]
    assert numbers == [[0, 1, 2, 3], [4], [5], [6, 7]]


def test_pieces_without_a_product_of_a_split_leave_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_PIECE_ROWS", 7)
    products = catalogue(60)
    source = write(tmp_path / "in", products, shard_rows=7)
    whole = split_shards(source, tmp_path / "pieces", PARAMS)
    monkeypatch.undo()
    assert split_shards(source, tmp_path / "whole", PARAMS) == whole
    assert (tmp_path / "pieces/schema.json").read_bytes() == (tmp_path / "whole/schema.json").read_bytes()
    for split in SPLITS:
        paths = shards(tmp_path / "pieces" / split)
        assert [path.name for path in paths] == [f"part-{number:05d}.parquet" for number in range(len(paths))]
        assert list(read_products(tmp_path / "pieces" / split)) == list(read_products(tmp_path / "whole" / split))
    assert 1 < len(shards(tmp_path / "pieces" / "validation")) < 9
    assert {path.name for path in tmp_path.iterdir()} == {"in", "pieces", "whole"}, "nothing else is left"


def test_the_number_of_workers_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_PIECE_ROWS", 100)
    source = write(tmp_path / "in", catalogue(150, listings=2))
    reports = [split_shards(source, tmp_path / f"out{n}", replace(PARAMS, workers=n)) for n in (1, 3)]
    assert reports[0] == reports[1]
    assert hash_files(tmp_path / "out1") == hash_files(tmp_path / "out3")
    assert len(hash_files(tmp_path / "out1")) > 5


def test_a_piece_that_is_done_twice_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a cluster, where a worker that was given up may go on."""

    def twice(work: Callable[[Any], Any], pieces: Sequence[Any], workers: int) -> list[Any]:
        first, _ = ([engine._whole(work, piece) for piece in pieces] for _ in range(2))
        return first

    monkeypatch.setattr(splitting, "_PIECE_ROWS", 100)
    source = write(tmp_path / "in", catalogue(150))
    split_shards(source, tmp_path / "once", PARAMS)
    monkeypatch.setattr(splitting, "map_pieces", twice)
    split_shards(source, tmp_path / "twice", PARAMS)
    assert hash_files(tmp_path / "once") == hash_files(tmp_path / "twice")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "once", "twice"}


def test_what_one_piece_cannot_read_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_PIECE_ROWS", 100)
    source = write(tmp_path / "in", catalogue(150))
    split_shards(source, tmp_path / "out", PARAMS)
    before = hash_files(tmp_path / "out")
    damaged = source / "part-00002.parquet"
    table = pq.read_table(damaged).replace_schema_metadata({"facetmill.schema_version": "0"})
    pq.write_table(table, damaged)
    with pytest.raises(DataError, match=r"part-00002\.parquet: record schema version 0"):
        split_shards(source, tmp_path / "out", replace(PARAMS, workers=2))
    assert hash_files(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_schema_is_of_train_alone(tmp_path: Path) -> None:
    """Each group has a value of its own, so a value of another split in the schema would be a leak."""
    split_shards(write(tmp_path / "in", catalogue(40, listings=2)), tmp_path / "out", PARAMS)
    schema = AttributeSchema.from_json((tmp_path / "out" / "schema.json").read_text())
    in_train = {facet.value for product in read_products(tmp_path / "out" / "train") for facet in product.facets}
    assert 20 < len(in_train) < 36
    assert dict(schema.attributes[0].values) == dict.fromkeys(in_train, 2)


def test_splits_of_the_source_are_replaced_and_counted(tmp_path: Path) -> None:
    products = [replace(p, split="test") if i < 5 else p for i, p in enumerate(catalogue(20))]
    report = split_shards(write(tmp_path / "in", products), tmp_path / "out", PARAMS)
    assert report["num_source_splits_replaced"] == 5
    assert set(split_of(tmp_path / "out").values()) == set(SPLITS)


def test_no_products(tmp_path: Path) -> None:
    split_shards(write(tmp_path / "in", [], 1), tmp_path / "out", PARAMS)
    assert split_of(tmp_path / "out") == {}


def test_subsets_are_nested_exact_and_independent_of_the_split() -> None:
    groups = [f"g{i}" for i in range(4000)]
    small_share, large_share = subset_of(groups, 0.2, seed=3), subset_of(groups, 0.5, seed=3)
    assert small_share < large_share
    assert (len(small_share), len(large_share)) == (800, 2000)
    assert subset_of(groups, 1.0, seed=3) == set(groups)
    assert subset_of(groups, 0.0, seed=3) == set()
    assert len(subset_of(groups[:3], 0.1, seed=3)) == 1, "a share of a few groups is not none"
    assert small_share != subset_of(groups, 0.2, seed=4)
    low_half = {g for g in groups if splitting.hash_group(g, seed=3) < 2**63}
    assert 0.45 < len(large_share & low_half) / len(large_share) < 0.55


def test_published_splits_are_kept_and_those_without_one_are_drawn(tmp_path: Path) -> None:
    given: list[Split] = ["train", "validation", "test"]
    products = [replace(p, split=given[i % 3] if i < 30 else None) for i, p in enumerate(catalogue(60))]
    keeping = replace(PARAMS, keep_published=True)
    report = split_shards(write(tmp_path / "in", products), tmp_path / "out", keeping)
    found = split_of(tmp_path / "out")
    assert all(found[product.product_id] == product.split for product in products[:30])
    assert {found[product.product_id] for product in products[30:]} == set(SPLITS)
    assert (report["num_source_splits_kept"], report["num_source_splits_replaced"]) == (30, 0)
    assert sum(report[split]["num_groups"] for split in SPLITS) == 60


def test_a_group_in_several_published_splits_is_never_trained_on(tmp_path: Path) -> None:
    products = [replace(p, split="test" if p.product_id == "p0-1" else "train") for p in catalogue(4, listings=2)]
    report = split_shards(write(tmp_path / "in", products), tmp_path / "out", replace(PARAMS, keep_published=True))
    found = split_of(tmp_path / "out")
    assert {name for name, split in found.items() if split == "test"} == {"p0-0", "p0-1"}
    assert report["num_groups_torn"] == 1


def test_splits_that_the_source_lacks_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"split\.keep_published = true, but no product of this source comes with"):
        split_shards(write(tmp_path / "in", catalogue(9)), tmp_path / "out", replace(PARAMS, keep_published=True))


def chained(num_groups: int) -> list[Product]:
    """Groups of which every third shares a picture with the next one, and that one with the third."""
    return [
        replace(p, images=(f"{i // 3}-{i % 3}.jpg", f"{i // 3}-{i % 3 + 1}.jpg"))
        for i, p in enumerate(catalogue(num_groups))
    ]


def test_groups_that_share_a_picture_go_to_one_split(tmp_path: Path) -> None:
    source = write(tmp_path / "in", chained(90))
    report = split_shards(source, tmp_path / "together", PARAMS)
    found = split_of(tmp_path / "together")
    assert all(len({found[f"p{first + i}-0"] for i in range(3)}) == 1 for first in range(0, 90, 3))
    assert report["num_groups_joined"] > 10
    assert report["num_pictures_across"] == 0
    apart = split_shards(source, tmp_path / "apart", replace(PARAMS, pictures_together=False))
    assert apart["num_groups_joined"] == 0


def test_a_picture_that_joins_groups_later_moves_none_out_of_train(tmp_path: Path) -> None:
    alone = [replace(p, images=(f"{i}.jpg",)) for i, p in enumerate(catalogue(90))]
    split_shards(write(tmp_path / "in", alone), tmp_path / "first", PARAMS)
    split_shards(write(tmp_path / "more", chained(90)), tmp_path / "later", PARAMS)
    first, later = split_of(tmp_path / "first"), split_of(tmp_path / "later")
    assert {later[name] for name, split in first.items() if split == "train"} == {"train"}


def test_pictures_across_published_splits_are_counted(tmp_path: Path) -> None:
    products = [replace(p, split="train" if i % 3 else "test") for i, p in enumerate(chained(9))]
    report = split_shards(write(tmp_path / "in", products), tmp_path / "out", replace(PARAMS, keep_published=True))
    assert report["num_pictures_across"] == 3
    assert report["num_groups_joined"] == 0


def test_a_group_follows_the_published_split_of_those_it_shares_a_picture_with(tmp_path: Path) -> None:
    products = [replace(p, split="test" if i % 3 == 1 else None) for i, p in enumerate(chained(60))]
    report = split_shards(write(tmp_path / "in", products), tmp_path / "out", replace(PARAMS, keep_published=True))
    assert set(split_of(tmp_path / "out").values()) == {"test"}
    assert report["num_pictures_across"] == 0


def test_a_picture_that_shows_no_product_keeps_nothing_together(tmp_path: Path) -> None:
    products = [replace(p, images=("no-picture-yet.jpg",)) for p in catalogue(90)]
    report = split_shards(write(tmp_path / "in", products), tmp_path / "out", PARAMS)
    assert set(split_of(tmp_path / "out").values()) == set(SPLITS)
    assert (report["num_groups_joined"], report["num_pictures_across"]) == (0, 1)
