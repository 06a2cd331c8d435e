"""Distant facets fill only what nobody said, only where they may, only when sure; and train alone keeps them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facetmill.dataset.distant.annotate import AnnotateCounts, annotate
from facetmill.dataset.distant.judge import judge
from facetmill.dataset.distant.labeller import Labeller, load_labeller
from facetmill.dataset.distant.train import train_labeller
from facetmill.dataset.labels.splitting import split_shards
from facetmill.errors import DataError
from facetmill.files import hash_folder, read_json
from facetmill.records import SPLITS, AttributeSchema, Facet, Product, Span, read_products, to_batch
from facetmill.stages import distant as stage
from tests import drawn_labels, small


@pytest.fixture(scope="module")
def labeller_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signs")
    signs = drawn_labels.draw_set(folder / "signs", 640)
    mapping = drawn_labels.write_mapping(folder)
    train_labeller([f"folder:{signs}"], mapping, folder / "labeller", small.LABELLER, lambda line: None)
    return folder / "labeller"


@pytest.fixture(scope="module")
def labeller(labeller_dir: Path) -> Labeller:
    return load_labeller(labeller_dir)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A folder with `matched/` (shards) and `ingested/images/`: eight signs, lying and standing in turn."""
    generator = np.random.default_rng(5)
    products = []
    for number in range(8):
        pixels = drawn_labels.sign(("wide", "tall")[number % 2], "dark", generator)
        drawn_labels.save(tmp_path / "ingested" / "images" / f"{number}.png", pixels)
        images = (f"ingested/images/{number}.png",)
        products.append(Product(f"p{number}", "s", "sign", category="Signs", images=images))
    write(tmp_path / "matched", products)
    return tmp_path


def write(folder: Path, products: list[Product]) -> None:
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, len(products), 5)):
        table = pa.Table.from_batches([to_batch(products[start : start + 5])])
        pq.write_table(table, folder / f"part-{number:05d}.parquet")


def values(product: Product, attribute: str) -> list[tuple[str, str]]:
    return [(facet.value, facet.provenance) for facet in product.facets if facet.attribute == attribute]


def test_what_the_picture_shows_is_added(catalogue: Path, labeller: Labeller) -> None:
    counts = AnnotateCounts()
    products = annotate(list(read_products(catalogue / "matched")), labeller, 0.0, catalogue, counts)
    assert [values(product, "Bar") for product in products] == [
        [(("Lying", "Standing")[number % 2], "distant")] for number in range(8)
    ]
    facet = products[0].facets[0]
    assert (facet.spans, facet.modality, facet.provenance) == ((), "image", "distant")
    assert facet.confidence is not None
    assert 0.5 < facet.confidence <= 1
    assert counts.to_json() == {
        "num_products": 8,
        "num_asked": 16,
        "num_added": 16,
        "num_abstained": 0,
        "num_no_picture": 0,
        "added": {"Bar": {"Lying": 4, "Standing": 4}, "Ground": {"Dark": 8}},
    }


def test_nothing_is_said_twice(catalogue: Path, labeller: Labeller) -> None:
    """Annotated, matched and absent outrank what a picture seems to show."""
    first = next(read_products(catalogue / "matched"))
    said = [
        replace(first, facets=(Facet("Bar", "Standing"),)),
        replace(first, facets=(Facet("Bar", "Standing", (Span("title", 0, 4),), "text", "matched"),)),
        replace(first, absent=("Bar",)),
    ]
    counts = AnnotateCounts()
    products = annotate(said, labeller, 0.0, catalogue, counts)
    assert [values(product, "Bar") for product in products] == [
        [("Standing", "annotated")],
        [("Standing", "matched")],
        [],
    ]
    assert counts.num_asked == counts.num_added == 3  # of Ground


def test_only_where_the_category_may_have_it(catalogue: Path, labeller: Labeller) -> None:
    first = next(read_products(catalogue / "matched"))
    others = [replace(first, category="Hats"), replace(first, category=None)]
    products = annotate(others, labeller, 0.0, catalogue, AnnotateCounts())
    assert [[facet.attribute for facet in product.facets] for product in products] == [["Ground"], ["Ground"]]


def test_nothing_is_said_unless_it_is_sure(catalogue: Path, labeller: Labeller) -> None:
    products = list(read_products(catalogue / "matched"))
    counts = AnnotateCounts()
    assert annotate(products, labeller, 1.01, catalogue, counts) == products
    assert (counts.num_asked, counts.num_added, counts.num_abstained) == (16, 0, 16)


def test_no_picture_no_facet(catalogue: Path, labeller: Labeller) -> None:
    first = next(read_products(catalogue / "matched"))
    (catalogue / "broken.png").write_bytes(b"no picture")
    blind = [replace(first, images=images) for images in ((), ("gone.png",), ("broken.png",))]
    counts = AnnotateCounts()
    assert annotate(blind, labeller, 0.0, catalogue, counts) == blind
    assert (counts.num_asked, counts.num_added, counts.num_no_picture) == (6, 0, 6)
    with pytest.raises(DataError, match=r"image '\.\./x\.png' leaves"):
        annotate([replace(first, images=("../x.png",))], labeller, 0.0, catalogue, counts)


def test_agreement_with_people(catalogue: Path, labeller: Labeller) -> None:
    manual = ("Lying", "Lying", "Lying", "Hanging", "Lying", "Standing", "Lying", "Standing")
    products = [
        replace(product, facets=(Facet("Bar", value),), images=(str(catalogue / product.images[0]),))
        for product, value in zip(read_products(catalogue / "matched"), manual, strict=True)
    ]
    products.append(replace(products[0], facets=(Facet("Bar", "Lying", (), "image", "distant", 0.9),)))
    products.append(replace(products[0], category="Hats"))
    found = judge(labeller, products, 0.0)
    bar = found["Bar"]
    assert (bar["num_manual"], bar["num_learnable"], bar["num_answered"], bar["coverage"]) == (8, 7, 8, 1.0)
    assert bar["answered"]["accuracy"]["value"] == pytest.approx(6 / 8)
    assert bar["answered"]["majority_accuracy"] == pytest.approx(5 / 8)
    assert bar["learnable"]["accuracy"]["value"] == pytest.approx(6 / 7)
    assert bar["confusion"] == {
        "Hanging": {"Standing": 1},
        "Lying": {"Lying": 4, "Standing": 1},
        "Standing": {"Standing": 2},
    }
    assert found["Ground"]["answered"] is None
    assert judge(labeller, products, 1.01)["Bar"]["coverage"] == 0.0
    nowhere = Labeller(labeller.networks, [replace(each, categories=()) for each in labeller.attributes])
    assert judge(nowhere, products, 0.0)["Bar"]["num_manual"] == 9  # the hat too
    unsaid = [replace(product, facets=()) for product in products]
    assert annotate(unsaid, nowhere, 0.0, catalogue, AnnotateCounts()) == unsaid


def set_labeller(root: Path, catalogue: Path, labeller: str, workers: int = 1) -> None:
    head, key, section = (root / "params.yaml").read_text().partition("\n  labeller: null ")
    assert key
    section = section.replace("workers: 2", f"workers: {workers}", 1)
    (catalogue / "params.yaml").write_text(f"{head}\n  labeller: {labeller} {section}")


def run_stage(catalogue: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(catalogue)
    arguments = ["--source", "matched", "--out", out, "--report", f"reports/{out}.json"]
    monkeypatch.setattr(sys, "argv", ["distant", *arguments])
    stage.main()


def test_the_stage_without_a_labeller_passes_every_byte_on(root: Path, catalogue: Path) -> None:
    """And needs no torch for it, which is why it has a process of its own here."""
    set_labeller(root, catalogue, "null")
    program = (
        "import sys; sys.argv[1:] = '--source matched --out supervised --report reports/distant.json'.split()\n"
        "from facetmill.stages.distant import main; main(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=catalogue, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert hash_folder(catalogue / "supervised") == hash_folder(catalogue / "matched")
    assert read_json(catalogue / "reports/distant.json") == {"num_products": 8, "num_added": 0}


def test_the_stage_with_a_labeller_in_one_process_and_in_two(
    root: Path, catalogue: Path, labeller_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workers, out in ((1, "one"), (2, "two")):
        set_labeller(root, catalogue, str(labeller_dir), workers)
        run_stage(catalogue, monkeypatch, out)
    assert read_json(catalogue / "reports/one.json") == read_json(catalogue / "reports/two.json")
    assert hash_folder(catalogue / "one") == hash_folder(catalogue / "two")
    report = read_json(catalogue / "reports/one.json")
    assert report["num_products"] == 8
    assert report["num_added"] + report["num_abstained"] == report["num_asked"] == 16
    products = list(read_products(catalogue / "one"))
    assert [product.product_id for product in products] == [f"p{number}" for number in range(8)]
    assert sum(len(product.facets) for product in products) == report["num_added"] > 0


def test_a_labeller_that_is_none_is_told_plainly(root: Path, catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_labeller(root, catalogue, "nowhere")
    with pytest.raises(SystemExit, match=r"nowhere/labeller\.json: not a labeller"):
        run_stage(catalogue, monkeypatch, "supervised")
    assert not (catalogue / "supervised").exists()


def test_distant_facets_are_in_train_alone(tmp_path: Path) -> None:
    predicted = Facet("Bar", "Lying", (), "image", "distant", 0.5)
    true = Facet("Colour", "red", (Span("title", 0, 3),), "text", "matched")
    sets = ((predicted, true), (true, predicted, true), (predicted,), ())
    products = [Product(f"p{i}", "s", "red sign", facets=sets[i % 4]) for i in range(80)]
    write(tmp_path / "supervised", products)
    params = replace(small.SPLIT, validation=0.2, test=0.2)
    report = split_shards(tmp_path / "supervised", tmp_path / "dataset", params)
    found = {split: list(read_products(tmp_path / "dataset" / split)) for split in SPLITS}
    given = {product.product_id: product.facets for product in products}
    for split in SPLITS:
        for product in found[split]:
            kept = [facet for facet in given[product.product_id] if split == "train" or facet.provenance != "distant"]
            assert list(product.facets) == kept
    num_distant = {split: sum(predicted in given[p.product_id] for p in found[split]) for split in SPLITS}
    assert {split: report[split]["num_distant_dropped"] for split in SPLITS} == {**num_distant, "train": 0}
    assert {split: report[split]["num_distant"] for split in SPLITS} == {
        "train": num_distant["train"], "validation": 0, "test": 0,
    }  # fmt: skip
    schema = AttributeSchema.from_json((tmp_path / "dataset" / "schema.json").read_text())
    assert schema.names == ("Bar", "Colour")
