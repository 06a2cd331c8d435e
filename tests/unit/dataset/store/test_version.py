"""A dataset's version is its records', and its gate fails closed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facetmill.dataset.labels.splitting import split_shards
from facetmill.dataset.store.diff import diff
from facetmill.dataset.store.version import Dataset
from facetmill.errors import DataError, GateFailed
from facetmill.records import SPLITS, Facet, Product, to_batch
from tests import small


def make(
    workspace: Path, value: str = "red", products: list[Product] | None = None, images: tuple[str, ...] = ()
) -> Path:
    facets = (Facet("colour", value),)
    products = products or [Product(f"p{i}", "s", "a red hat", images=images, facets=facets) for i in range(30)]
    (workspace / "matched").mkdir(parents=True)
    pq.write_table(pa.Table.from_batches([to_batch(products)]), workspace / "matched" / "part-00000.parquet")
    split_shards(workspace / "matched", workspace / "dataset", small.SPLIT)
    return workspace


def judge(workspace: Path, text: str) -> None:
    (workspace / "checked").mkdir(exist_ok=True)
    (workspace / "checked" / "verdict.json").write_text(text)


def test_version_is_of_the_records_not_of_the_place(tmp_path: Path) -> None:
    first = Dataset.open(make(tmp_path / "first"))
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = Dataset.open(tmp_path / "second")
    other = Dataset.open(make(tmp_path / "other", value="blue"))
    assert len(first.version) == 64
    assert first.version == second.version != other.version
    assert (first.name, second.name) == ("first", "second")
    assert first.schema.names == ("colour",)
    assert first.manifest["splits"]["test"]["num_products"] == 5


def test_reads_splits_and_nested_subsets(tmp_path: Path) -> None:
    dataset = Dataset.open(make(tmp_path / "ws"))
    everything = [product.product_id for product in dataset.read("train")]
    half = [product.product_id for product in dataset.read("train", share=0.5, seed=1)]
    assert len(everything) == 23
    assert 0 < len(half) < 23
    assert [product_id for product_id in everything if product_id in half] == half


def test_pictures_are_read_by_absolute_paths_wherever_the_reader_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "ws", images=("ingested/images/a.png", "/elsewhere/b.png"))
    monkeypatch.chdir(tmp_path)
    product = next(Dataset.open(Path("ws")).read("train"))
    assert product.images == (str(tmp_path / "ws" / "ingested/images/a.png"), "/elsewhere/b.png")
    make(tmp_path / "bad", images=("../../c.png",))
    with pytest.raises(DataError, match="leaves the dataset"):
        next(Dataset.open(tmp_path / "bad").read("train"))


def test_image_paths(tmp_path: Path) -> None:
    dataset = Dataset.open(make(tmp_path / "ws"))
    product = Product("p", "s", "t", images=("ingested/images/a.png", "/elsewhere/b.png", "../../c.png"))
    assert dataset.image_path(product, 0) == tmp_path / "ws" / "ingested/images/a.png"
    assert dataset.image_path(product, 1) == Path("/elsewhere/b.png")
    with pytest.raises(DataError, match=r"product p: image '\.\./\.\./c\.png' leaves the dataset"):
        dataset.image_path(product, 2)


def test_the_gate_passes_this_version_alone(tmp_path: Path) -> None:
    workspace = make(tmp_path / "ws")
    version = Dataset.open(workspace).version
    judge(workspace, json.dumps({"passed": True, "dataset_version": version}))
    dataset = Dataset.open(workspace)
    assert dataset.verdict == {"passed": True, "dataset_version": version}
    dataset.require_passed()


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        (None, "no verdict"),
        ("{half a fi", "cannot be read"),
        ("[true]", "not a JSON object"),
        ('{"passed": true}', "version None"),
        ('{"passed": true, "dataset_version": "0000"}', "version '0000'"),
        ('{"passed": false, "dataset_version": "VERSION"}', "did not pass"),
        ('{"passed": "true", "dataset_version": "VERSION"}', "did not pass"),
        ('{"dataset_version": "VERSION"}', "did not pass"),
    ],
)
def test_the_gate_fails_closed(tmp_path: Path, verdict: str | None, message: str) -> None:
    workspace = make(tmp_path / "ws")
    if verdict is not None:
        judge(workspace, verdict.replace("VERSION", Dataset.open(workspace).version))
    with pytest.raises(GateFailed, match=message):
        Dataset.open(workspace).require_passed()


def test_a_verdict_that_changed_since_opening_counts(tmp_path: Path) -> None:
    workspace = make(tmp_path / "ws")
    version = Dataset.open(workspace).version
    judge(workspace, json.dumps({"passed": True, "dataset_version": version}))
    dataset = Dataset.open(workspace)
    judge(workspace, json.dumps({"passed": False, "dataset_version": version}))
    with pytest.raises(GateFailed):
        dataset.require_passed()


def test_what_is_not_a_dataset_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a built dataset: no file .*manifest\.json"):
        Dataset.open(tmp_path)
    workspace = make(tmp_path / "ws")
    manifest = workspace / "dataset" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(DataError, match="schema version 9"):
        Dataset.open(workspace)
    manifest.write_text("{}")
    with pytest.raises(DataError, match=r"manifest\.json or schema\.json cannot be read"):
        Dataset.open(workspace)


def test_a_diff_tells_what_came_went_changed_and_moved(tmp_path: Path) -> None:
    def product(number: int, title: str = "a red hat", attribute: str = "colour") -> Product:
        return Product(f"p{number:02}", "s", title, facets=(Facet(attribute, "red"),))

    before = [product(number) for number in range(30)]
    after = [*before[2:29], product(29, title="a hat"), product(30, attribute="shade")]
    first, second = (
        Dataset.open(make(tmp_path / name, products=products)) for name, products in (("a", before), ("b", after))
    )
    found = diff(first, second)
    assert found["products"]["added"] == {"number": 1, "examples": ["p30"]}
    assert found["products"]["removed"] == {"number": 2, "examples": ["p00", "p01"]}
    assert found["products"]["changed"] == {"number": 1, "examples": ["p29"]}
    assert found["facets"] == {
        "colour": {"first": 30, "second": 28, "change": -2},
        "shade": {"first": 0, "second": 1, "change": 1},
    }
    assert sum(split["change"] for split in found["splits"].values()) == -1
    splits = [{p.product_id: name for name in SPLITS for p in d.read(name)} for d in (first, second)]
    moved = sorted(one for one in splits[0].keys() & splits[1].keys() if splits[0][one] != splits[1][one])
    assert found["products"]["moved_to_another_split"] == {"number": len(moved), "examples": moved[:5]}
    assert diff(first, first)["facets"] == {}
