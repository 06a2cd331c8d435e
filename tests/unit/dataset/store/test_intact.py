"""One flipped byte of a shard, of a picture or of what lists them is refused, with the file's name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facetmill.compute import pieces as engine
from facetmill.dataset.labels import splitting
from facetmill.dataset.labels.splitting import split_shards
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import find, read_split
from facetmill.errors import DataError
from facetmill.files import hash_file
from facetmill.records import SPLITS, Product, to_batch
from tests import small
from tests.damage import flip_byte

NUM_PRODUCTS = 30


def make(workspace: Path, pictures: Path | None = None) -> Dataset:
    """A dataset whose products have a picture each: of the workspace itself, or of a folder that is somebody's own."""
    folder = pictures or workspace / "ingested" / "images"
    folder.mkdir(parents=True)
    (workspace / "matched").mkdir(parents=True)
    products = []
    for number in range(NUM_PRODUCTS):
        (folder / f"{number}.png").write_bytes(b"picture %d" % number)
        path = folder / f"{number}.png" if pictures else f"ingested/images/{number}.png"
        products.append(Product(f"p{number}", "s", "a hat", images=(str(path),)))
    pq.write_table(pa.Table.from_batches([to_batch(products)]), workspace / "matched" / "part-00000.parquet")
    split_shards(workspace / "matched", workspace / "dataset", small.SPLIT)
    return Dataset.open(workspace)


def test_what_nobody_changed_is_intact(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data" / "ws")
    dataset.require_intact()
    assert sum(len(read_split(dataset, split)) for split in SPLITS) == NUM_PRODUCTS
    assert dataset.manifest["pictures"]["num_pictures"] == NUM_PRODUCTS


@pytest.mark.parametrize("split", SPLITS)
def test_a_flipped_byte_of_a_shard_is_refused_by_name_even_if_it_was_read_before(tmp_path: Path, split: str) -> None:
    dataset = make(tmp_path / "ws")
    dataset.require_intact()
    shard = tmp_path / "ws" / "dataset" / split / "part-00000.parquet"
    flip_byte(shard)
    with pytest.raises(DataError, match=rf"{shard}: changed since the dataset was built.*facetmill dataset checkout"):
        list(dataset.read(split))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=str(shard)):
        read_split(dataset, "train")  # what is judged was trained on the whole of it


def test_a_shard_that_is_gone_and_one_too_many_are_named(tmp_path: Path) -> None:
    dataset = make(tmp_path / "ws")
    shard = tmp_path / "ws" / "dataset" / "test" / "part-00000.parquet"
    more = shard.with_name("part-00001.parquet")
    more.write_bytes(shard.read_bytes())
    with pytest.raises(DataError, match=rf"{more}: is not in .*manifest\.json"):
        list(dataset.read("test"))
    more.unlink()
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard}: cannot be read \(No such file"):
        list(dataset.read("test"))


@pytest.mark.parametrize("own_folder", [False, True])
def test_a_changed_picture_is_named_wherever_it_lies(tmp_path: Path, own_folder: bool) -> None:
    pictures = tmp_path / "shop" if own_folder else tmp_path / "ws" / "ingested" / "images"
    dataset = make(tmp_path / "ws", tmp_path / "shop" if own_folder else None)
    read_split(dataset, "train")
    before = (pictures / "7.png").read_bytes()
    flip_byte(pictures / "7.png")
    for _ in range(2):
        with pytest.raises(DataError, match=rf"{pictures}/7\.png: picture of ws, changed since"):
            read_split(dataset, "train")
    (pictures / "7.png").unlink()
    with pytest.raises(DataError, match=rf"{pictures}/7\.png: picture of ws, missing"):
        dataset.require_intact()
    (pictures / "7.png").write_bytes(before)
    dataset.require_intact()


def test_a_picture_changed_under_its_old_date_is_found_too(tmp_path: Path) -> None:
    dataset = make(tmp_path / "ws")
    picture = tmp_path / "ws" / "ingested" / "images" / "3.png"
    dataset.require_intact()
    status = picture.stat()
    flip_byte(picture)
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=r"3\.png"):
        dataset.require_intact()


def test_what_was_no_picture_and_is_one_now_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    dataset = make(tmp_path / "ws")
    assert not dataset.changed_pictures()
    (tmp_path / "ws" / "ingested" / "images" / "3.png").unlink()
    split_shards(tmp_path / "ws" / "matched", tmp_path / "ws" / "dataset", small.SPLIT)
    without = Dataset.open(tmp_path / "ws")
    assert without.version != dataset.version
    assert not without.changed_pictures()
    (tmp_path / "ws" / "ingested" / "images" / "3.png").write_bytes(b"picture 3")
    assert without.changed_pictures() == ["ingested/images/3.png"]


def test_the_version_is_of_the_pictures_too_and_not_of_their_place(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    assert first.version == second.version
    flip_byte(tmp_path / "b" / "ingested" / "images" / "7.png")
    split_shards(tmp_path / "b" / "matched", tmp_path / "b" / "dataset", small.SPLIT)
    assert Dataset.open(tmp_path / "b").version != first.version


def test_a_changed_listing_is_refused(tmp_path: Path) -> None:
    dataset = make(tmp_path / "ws")
    listing = tmp_path / "ws" / "dataset" / "pictures.parquet"
    flip_byte(listing)
    with pytest.raises(DataError, match=rf"{listing}: changed since"):
        dataset.require_intact()


def test_an_old_dataset_opens_under_its_old_version_and_cannot_tell(tmp_path: Path) -> None:
    make(tmp_path / "ws")
    manifest = tmp_path / "ws" / "dataset" / "manifest.json"
    old = json.loads(manifest.read_text())
    del old["pictures"]
    manifest.write_text(json.dumps(old))
    (tmp_path / "ws" / "dataset" / "pictures.parquet").unlink()
    dataset = Dataset.open(tmp_path / "ws")
    flip_byte(tmp_path / "ws" / "ingested" / "images" / "7.png")
    dataset.require_intact()
    assert not dataset.lists_pictures
    old["pictures"] = None  # as one without pictures is written today
    manifest.write_text(json.dumps(old))
    assert Dataset.open(tmp_path / "ws").version == dataset.version


def test_the_listing_does_not_depend_on_who_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pieces of the source by two processes, and by one; a picture of both pieces is listed twice."""
    monkeypatch.setattr(splitting, "_PIECE_ROWS", 10)
    monkeypatch.delenv(engine.SCHEDULER, raising=False)
    make(tmp_path / "ws")
    shard = tmp_path / "ws" / "matched" / "part-00000.parquet"
    (tmp_path / "ws" / "matched" / "part-00001.parquet").write_bytes(shard.read_bytes())
    hashes = []
    for workers in (1, 2):
        params = small.SPLIT.__class__(**{**vars(small.SPLIT), "workers": workers})
        split_shards(tmp_path / "ws" / "matched", tmp_path / "ws" / "dataset", params)
        hashes.append(hash_file(tmp_path / "ws" / "dataset" / "pictures.parquet"))
    assert hashes[0] == hashes[1]
    assert Dataset.open(tmp_path / "ws").manifest["pictures"]["num_pictures"] == 2 * NUM_PRODUCTS


def test_one_broken_dataset_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "data" / "broken" / "dataset").mkdir(parents=True)
    (tmp_path / "data" / "broken" / "dataset" / "manifest.json").write_text("{half")
    dataset = make(tmp_path / "data" / "ws")
    assert find(tmp_path, dataset.version[:8]) == dataset
