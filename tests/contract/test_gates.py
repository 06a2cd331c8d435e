"""Every claim of the data gate: true of a clean dataset, and false as soon as the one thing it is about is broken."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from facetmill.dataset.labels.schema import build_schema
from facetmill.files import hash_file, read_json, write_json, write_text
from facetmill.gates.data import check_dataset, claims
from facetmill.gates.verdict import DataVerdict, shown
from facetmill.params import CheckParams, load_params
from facetmill.records import SCHEMA_VERSION, Facet, Product, Span, read_batches, to_batch

MAX_BAD_SHARE = 0.02
NUM_PRODUCTS = {"train": 18, "validation": 5, "test": 7}


def product(number: int, split: str) -> Product:
    """A shirt whose colour stands in its title and whose sleeve only the picture shows."""
    colour = ("blue", "red", "green")[number % 3]
    title = f"{colour.title()} shirt {'abcdefghijklmnopqrstuvwxyzäöüß'[number]}"  # no two of the same words
    facets = (
        Facet("Color", colour, (Span("title", 0, len(colour)),), "both", "matched"),
        Facet("Sleeve", "long", (), "image", "annotated"),
    )
    return Product(
        f"p{number}", "made", title, f"Shirt {number}", images=(f"{number}.png",), facets=facets, split=split
    )


class Workspace:
    """A small valid dataset on disk, as the stages leave it, and the ways to break one thing of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dataset, self.reports = folder, folder / "dataset", folder / "reports"
        number = 0
        self.products: dict[str, list[Product]] = {}
        for split, num in NUM_PRODUCTS.items():
            self.products[split] = [product(number + i, split) for i in range(num)]
            number += num
        for seed in range(number):
            self.draw(f"{seed}.png", seed)
        self.write()
        write_json(
            self.reports / "ingest.json",
            {"num_products": number, "dropped": {}, "num_images": number, "images_dropped": {}},
        )
        for stage in ("ocr", "regions", "match", "distant"):
            write_json(self.reports / f"{stage}.json", {"num_products": number})
        write_json(self.reports / "saliency.json", {"slots": []})
        write_json(self.reports / "visual_tokens.json", {"codebook": None})
        write_json(self.reports / "split.json", {"num_source_splits_replaced": 0})

    def draw(self, name: str, seed: int, size: int = 96) -> None:
        """A picture of 36 squares, whose colours follow from the seed."""
        squares = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(squares).resize((size, size), Image.Resampling.NEAREST).save(self.folder / name)

    def write(self) -> None:
        for split, products in self.products.items():
            self.write_shard(split, to_batch(products))
        write_text(self.dataset / "schema.json", json.dumps(self.schema()))
        self.write_manifest()

    def schema(self) -> dict[str, Any]:
        return json.loads(build_schema(read_batches(self.dataset / "train")).to_json())

    def write_shard(self, split: str, batch: pa.RecordBatch) -> None:
        (self.dataset / split).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_batches([batch]), self.shard(split))

    def shard(self, split: str) -> Path:
        return self.dataset / split / "part-00000.parquet"

    def write_manifest(self) -> None:
        splits = {}
        for split, products in self.products.items():
            path = self.shard(split)
            splits[split] = {"shards": [{"name": path.name, "num_rows": len(products), "sha256": hash_file(path)}]}
        write_json(self.dataset / "manifest.json", {"schema_version": SCHEMA_VERSION, "splits": splits})

    def change(self, split: str, number: int, **changes: Any) -> None:
        """Change fields of one product, and write all files so that they agree on it."""
        products = self.products[split]
        products[number] = dataclasses.replace(products[number], **changes)
        self.write()

    def change_facet(self, split: str, number: int, **changes: Any) -> None:
        first, *others = self.products[split][number].facets
        self.change(split, number, facets=(dataclasses.replace(first, **changes), *others))

    def check(self, **limits: Any) -> DataVerdict:
        params = load_params(Path(__file__).parents[2] / "params.yaml").check
        return check_dataset(self.dataset, self.reports, dataclasses.replace(params, **limits), MAX_BAD_SHARE)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def params(root: Path) -> CheckParams:
    return load_params(root / "params.yaml").check


def drop_column(work: Workspace) -> None:
    table = pq.read_table(work.shard("test"))
    pq.write_table(table.drop_columns(["text"]), work.shard("test"))
    work.write_manifest()


def retype_column(work: Workspace) -> None:
    table = pq.read_table(work.shard("test"))
    at = table.schema.get_field_index("title")
    pq.write_table(table.set_column(at, "title", table["title"].cast(pa.large_string())), work.shard("test"))
    work.write_manifest()


def numbered(work: Workspace) -> None:
    """Every train product has a Number of its own."""
    for at, given in enumerate(work.products["train"]):
        work.products["train"][at] = dataclasses.replace(given, facets=(*given.facets, Facet("Number", str(at))))
    work.write()


def null_title(work: Workspace) -> None:
    table = pq.read_table(work.shard("test"))
    at = table.schema.get_field_index("title")
    titles = pa.array([None, *table["title"].to_pylist()[1:]], pa.string())
    pq.write_table(table.set_column(at, pa.field("title", pa.string()), titles), work.shard("test"))
    work.write_manifest()


def other_schema_version(work: Workspace) -> None:
    table = pq.read_table(work.shard("train"))
    pq.write_table(table.replace_schema_metadata({"facetmill.schema_version": "99"}), work.shard("train"))
    work.write_manifest()


def truncated_shard(work: Workspace) -> None:
    work.shard("train").write_bytes(work.shard("train").read_bytes()[:100])


def damaged_page(work: Workspace) -> None:
    """Half way through the file lies data, not the footer: the shard opens and then cannot be read."""
    raw = bytearray(work.shard("train").read_bytes())
    raw[4:400] = b"\xff" * 396
    work.shard("train").write_bytes(raw)


def forge_manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Workspace], None]:
    def breaks(work: Workspace) -> None:
        manifest = read_json(work.dataset / "manifest.json")
        change(manifest["splits"])
        write_json(work.dataset / "manifest.json", manifest)

    return breaks


def empty_split(work: Workspace) -> None:
    work.products["validation"] = []
    work.write()
    report(work, "ingest", num_products=25)


def unlabelled_test(work: Workspace) -> None:
    work.products["test"] = [dataclasses.replace(each, facets=()) for each in work.products["test"]]
    work.write()


def implicit_only(work: Workspace) -> None:
    for split, products in work.products.items():
        work.products[split] = [dataclasses.replace(each, facets=each.facets[1:]) for each in products]
    work.write()


def report(work: Workspace, name: str, **changes: Any) -> None:
    path = work.reports / f"{name}.json"
    write_json(path, read_json(path) | changes)


def forget_attribute(work: Workspace) -> None:
    schema = work.schema()
    schema["attributes"] = [each for each in schema["attributes"] if each["name"] != "Sleeve"]
    write_json(work.dataset / "schema.json", schema)


def title_span(start: int, end: int, field: str = "title") -> Callable[[Workspace], None]:
    return lambda work: work.change_facet("train", 3, spans=(Span(field, start, end),))  # type: ignore[arg-type]


# One case breaks one thing. The title of train product 3 is "Blue shirt 3", and its colour is "blue" at [0:4].
BREAKS: list[tuple[str, str, Callable[[Workspace], object]]] = [
    ("shards_are_readable", "other schema version", other_schema_version),
    ("shards_are_readable", "truncated", truncated_shard),
    ("shards_are_readable", "damaged page", damaged_page),
    ("shards_are_readable", "not Parquet", lambda work: work.shard("test").write_text("hello")),
    ("columns_are_complete", "no text column", drop_column),
    ("columns_are_complete", "title of another type", retype_column),
    ("shards_match_manifest", "fewer rows", forge_manifest(lambda s: s["test"]["shards"][0].update(num_rows=6))),
    ("shards_match_manifest", "other hash", forge_manifest(lambda s: s["test"]["shards"][0].update(sha256="0" * 64))),
    ("shards_match_manifest", "shard not listed", forge_manifest(lambda s: s["test"].update(shards=[]))),
    ("shards_match_manifest", "shard gone", lambda work: work.shard("test").unlink()),
    ("shards_match_manifest", "no manifest", lambda work: (work.dataset / "manifest.json").unlink()),
    ("shards_match_manifest", "manifest is a list", lambda work: write_json(work.dataset / "manifest.json", [1])),
    ("attribute_schema_is_readable", "no schema", lambda work: (work.dataset / "schema.json").unlink()),
    ("attribute_schema_is_readable", "not JSON", lambda work: (work.dataset / "schema.json").write_text("{")),
    (
        "attribute_schema_is_readable",
        "other version",
        lambda work: write_json(work.dataset / "schema.json", {"schema_version": 99, "attributes": []}),
    ),
    ("every_stage_reported", "no split.json", lambda work: (work.reports / "split.json").unlink()),
    ("every_stage_reported", "match.json not JSON", lambda work: (work.reports / "match.json").write_text("?")),
    ("few_rows_are_dropped", "1 of 31", lambda work: report(work, "ingest", dropped={"empty_title": 1})),
    ("few_rows_are_dropped", "no ingest.json", lambda work: (work.reports / "ingest.json").unlink()),
    ("few_rows_are_dropped", "not counted", lambda work: report(work, "ingest", dropped=None)),
    ("no_product_is_lost", "ingest had one more", lambda work: report(work, "ingest", num_products=31)),
    ("enough_products", "30 of 31", lambda work: None),
    ("no_split_is_empty", "no validation products", empty_split),
    ("no_split_is_empty", "no test folder", lambda work: work.shard("test").rename(work.dataset / "aside")),
    ("every_split_has_facets", "test without labels", unlabelled_test),
    ("required_fields_are_filled", "blank title", lambda work: work.change("train", 2, title=" \u00a0", facets=())),
    ("required_fields_are_filled", "blank id", lambda work: work.change("train", 2, product_id="")),
    ("required_fields_are_filled", "null title", null_title),
    ("product_ids_are_unique", "in one split", lambda work: work.change("train", 2, product_id="p3")),
    ("product_ids_are_unique", "in two splits", lambda work: work.change("test", 2, product_id="p3")),
    ("no_group_in_two_splits", "leak", lambda work: work.change("test", 2, group_id="p3")),
    ("values_are_not_empty", "blank", lambda work: work.change_facet("train", 3, value="  ", spans=())),
    ("spans_read_as_their_value", "another word", title_span(5, 10)),
    ("spans_read_as_their_value", "past the end", title_span(0, 13)),
    ("spans_read_as_their_value", "negative", title_span(-12, -8)),
    ("spans_read_as_their_value", "empty", title_span(4, 4)),
    ("spans_read_as_their_value", "backwards", title_span(4, 0)),
    ("spans_read_as_their_value", "in no field", title_span(0, 4, "subtitle")),
    ("train_attributes_are_known", "not in schema.json", forget_attribute),
    ("modalities_are_known", "smell", lambda work: work.change_facet("train", 3, modality="smell")),
    ("provenances_are_known", "hearsay", lambda work: work.change_facet("train", 3, provenance="hearsay")),
    ("no_facet_is_a_prediction", "train", lambda work: work.change_facet("train", 3, provenance="predicted")),
    ("no_facet_is_a_prediction", "test", lambda work: work.change_facet("test", 3, provenance="predicted")),
    ("enough_facets_are_explicit", "none", implicit_only),
    ("every_attribute_is_frequent", "Fit once", lambda work: work.change_facet("train", 3, attribute="Fit")),
    ("values_come_more_than_once", "row number", numbered),
    ("held_out_attributes_are_trained", "Fit only in test", lambda work: work.change_facet("test", 3, attribute="Fit")),
    ("held_out_values_are_trained", "1 of 24", lambda work: work.change_facet("test", 3, value="teal", spans=())),
    (
        "held_out_titles_are_new",
        "1 of 12 is another size of a train product",
        lambda work: work.change("test", 2, title="Red: SHIRT (b), 44"),
    ),
    (
        "held_out_pictures_are_new",
        "1 of 12 has the picture of a train product, smaller and in another format",
        lambda work: (work.draw("small.jpg", 3, 60), work.change("test", 2, images=("small.jpg",))),
    ),
    (
        "splits_are_in_the_same_scripts",
        "one test product with a Russian text",
        lambda work: work.change("test", 2, text="Красная рубашка с длинными рукавами"),
    ),
    ("images_are_readable", "4 of 34", lambda work: report(work, "ingest", images_dropped={"corrupt_image": 4})),
]

#: Limits that a case needs because the usual ones leave room in a dataset of 30 products.
LIMITS: dict[str, dict[str, Any]] = {
    "enough_products": {"min_products": 31},
    "held_out_values_are_trained": {"max_validation_unknown_share": 0.04},
}


def test_a_clean_dataset_passes_every_claim(workspace: Workspace, params: CheckParams) -> None:
    verdict = workspace.check()
    assert [each.reason for each in verdict.verdicts if not each.passed] == []
    assert [each.gate for each in verdict.verdicts] == [claim.gate for claim in claims(params, MAX_BAD_SHARE)]
    assert verdict.passed
    assert verdict.counts["products"] == 30
    assert verdict.counts["validation products"] == 5
    assert verdict.counts["facets"] == 60
    assert verdict.counts["explicit facets"] == 30


@pytest.mark.parametrize(("gate", "case", "breaks"), BREAKS, ids=[f"{gate}-{case}" for gate, case, _ in BREAKS])
def test_a_broken_dataset_fails_its_claim(
    workspace: Workspace, params: CheckParams, gate: str, case: str, breaks: Callable[[Workspace], object]
) -> None:
    breaks(workspace)
    verdict = workspace.check(**LIMITS.get(gate, {}))
    found = {each.gate: each for each in verdict.verdicts}[gate]
    assert not found.passed
    assert shown(found.observed) in found.reason
    assert found.required in found.reason
    (claim,) = (each for each in claims(params, MAX_BAD_SHARE) if each.gate == gate)
    if claim.severity == "critical":
        assert not verdict.passed
    else:
        assert found.severity == claim.severity
        assert verdict.passed, [each.reason for each in verdict.blockers]
        assert found in verdict.warnings


def test_every_claim_has_a_case_that_breaks_it(params: CheckParams) -> None:
    untested = {claim.gate for claim in claims(params, MAX_BAD_SHARE)} - {gate for gate, _, _ in BREAKS}
    assert not untested, f"add a case to BREAKS for {sorted(untested)}"


def test_claims_have_names_of_their_own(params: CheckParams) -> None:
    names = [claim.gate for claim in claims(params, MAX_BAD_SHARE)]
    assert len(names) == len(set(names))
