"""How the data gate answers: fail closed, both numbers, the same words for the same data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facetmill.errors import DataError
from facetmill.gates.counting import Examples, SplitCounts
from facetmill.gates.data import Claim, judge
from facetmill.gates.measure import Facts, measure
from facetmill.gates.verdict import NOT_MEASURED, DataVerdict, Verdict, shown
from facetmill.records import SPLITS, Facet, Product, Span, to_batch

FEW = Claim("few_defects", "warning", "dataset", "defects", "sum_at_most", 2, "defects")


def facts(**columns: list[float]) -> Facts:
    return Facts({"dataset": pd.DataFrame(columns)}, {"defects": ("row 1",)}, {}, {"products": 3})


def only(claim: Claim, found: Facts) -> Verdict:
    (verdict,) = judge([claim], found).verdicts
    return verdict


@pytest.mark.parametrize(("defects", "passed"), [([0, 0], True), ([1, 1], True), ([1, 2], False)])
def test_a_sum_may_reach_its_limit_and_not_pass_it(defects: list[float], passed: bool) -> None:
    verdict = only(FEW, facts(defects=defects))
    assert verdict.passed is passed
    assert verdict.observed == sum(defects)
    assert verdict.reason == f"defects: {sum(defects)}, must be at most 2"
    assert verdict.examples == (() if passed else ("row 1",))


@pytest.mark.parametrize(("sizes", "passed"), [([5, 2], True), ([5, 1], False)])
def test_each_row_must_reach_its_limit(sizes: list[float], passed: bool) -> None:
    claim = replace(FEW, column="sizes", rule="each_at_least")
    verdict = only(claim, facts(sizes=sizes))
    assert (verdict.passed, verdict.observed) == (passed, min(sizes))


@pytest.mark.parametrize(
    "found",
    [
        facts(other=[1]),
        facts(defects=[float("nan")]),
        facts(defects=[float("inf")]),
        Facts({}, {}, {}, {}),
        facts(defects=["many"]),  # type: ignore[list-item]
    ],
    ids=["no column", "nan", "infinite", "no frame", "not a number"],
)
def test_what_cannot_be_measured_blocks_even_as_a_warning(found: Facts) -> None:
    verdict = only(FEW, found)
    assert verdict.blocks
    assert verdict.observed == NOT_MEASURED
    assert "not measured, must be at most 2" in verdict.reason


def test_an_obstacle_is_the_reason_given() -> None:
    found = replace(facts(other=[1]), obstacles={"defects": "there is no ingest.json"})
    assert only(FEW, found).reason.endswith("; there is no ingest.json")


def test_verdicts_come_in_the_order_of_the_claims() -> None:
    asked = [replace(FEW, gate=gate, limit=limit) for gate, limit in (("a", 9), ("b", 0), ("c", 9))]
    assert [verdict.gate for verdict in judge(asked, facts(defects=[1])).verdicts] == ["a", "b", "c"]


def test_nothing_there_is_measured_without_an_error(tmp_path: Path) -> None:
    found = measure(tmp_path / "dataset", tmp_path / "reports")
    assert set(found.obstacles) >= {"unlike_manifest", "dropped_share", "facets_outside_schema"}
    assert found.counts["products"] == 0


def test_rows_are_counted_from_one_across_batches() -> None:
    counts = SplitCounts(None, Examples())
    good, bad = Product("p", "s", "title"), Product("q", "s", " ")
    counts.add(to_batch([good, good]), "train/part-00000.parquet", 0)
    counts.add(to_batch([good, bad]), "train/part-00000.parquet", 2)
    assert counts.examples.found["missing_fields"] == ["train/part-00000.parquet, row 4, field title: ' '"]


@pytest.mark.parametrize(
    ("title", "value", "span", "broken"),
    [
        ("STRAẞE red", "straße", (0, 6), 0),
        ("No\u00a0Iron", "no iron", (0, 7), 0),
        ("蓝色衬衫", "蓝色", (0, 2), 0),
        ("👕 blue", "blue", (2, 6), 0),
        ("👕 blue", "blue", (3, 7), 1),
        ("blue", "blue", (0, 5), 1),
        ("bluer", "blue", (0, 5), 1),
    ],
)
def test_spans_count_characters_and_ignore_case(title: str, value: str, span: tuple[int, int], broken: int) -> None:
    counts = SplitCounts(None, Examples())
    # The first product has no facets: rows of facets are not rows of products.
    products = [
        Product("o", "s", "none"),
        Product("p", "s", title, facets=(Facet("A", value, (Span("title", *span),)),)),
    ]
    counts.add(to_batch(products), "train/part-00000.parquet", 0)
    assert counts.numbers["broken_spans"] == broken
    if broken:
        assert counts.examples.found["broken_spans"][0].startswith(
            "train/part-00000.parquet, row 2, field facets.spans"
        )


def test_an_attribute_is_counted_once_a_product() -> None:
    counts = SplitCounts(None, Examples())
    twice = (Facet("Color", "red"), Facet("Color", "blue"), Facet("Fit", "slim"))
    counts.add(to_batch([Product("p", "s", "t", facets=twice), Product("q", "s", "t", facets=twice[:1])]), "x", 0)
    assert counts.products_of == {"Color": 2, "Fit": 1}
    assert counts.pairs == {("Color", "red"): 2, ("Color", "blue"): 1, ("Fit", "slim"): 1}


def looked_at(image: str) -> bytes | None:
    """A look that is told by the name of the picture."""
    return image.encode().ljust(28, b".") if image != "broken" else None


def some_batches() -> list[pa.RecordBatch]:
    """Three, with pictures that are missing here and there and more that is wrong than examples are kept of."""
    return [
        to_batch(
            Product(
                f"p{batch}-{row}",
                "s",
                f"red \u0448\u0430\u0440\u0444 {row}" if row % 4 else " ",
                group_id=f"g{row}",
                images=((), ("broken",), (f"{batch}-{row}", "second"))[row % 3],
                facets=(Facet("Color", "red", (Span("title", 0, 3),)), Facet("Size", f"{row % 5}"))[: row % 3],
            )
            for row in range(10 * batch)
        )
        for batch in range(3)
    ]


def test_counts_of_shards_add_up_to_those_of_one_process(tmp_path: Path) -> None:
    whole, added = (SplitCounts(frozenset({"Color"}), Examples(), looked_at) for _ in range(2))
    for number, batch in enumerate(some_batches()):
        whole.add(batch, f"shard {number}", 0)
        one = SplitCounts(frozenset({"Color"}), Examples(), looked_at)
        one.add(batch, f"shard {number}", 0)
        one.write(tmp_path / f"{number}.parquet")
        added.add_written(tmp_path / f"{number}.parquet")
        added.examples.add_all(one.examples)
    assert added.examples.found == whole.examples.found
    assert len(whole.examples.found["missing_fields"]) == 5
    for name in ("numbers", "pairs", "products_of", "looks", "pictured"):
        assert getattr(added, name) == getattr(whole, name), name
    for name in ("ids", "groups"):
        assert pa.chunked_array(getattr(added, name)).to_pylist() == pa.chunked_array(getattr(whole, name)).to_pylist()
    assert b"".join(added.titles) == b"".join(whole.titles)
    assert added.characters.tolist() == whole.characters.tolist()


def test_the_number_of_processes_does_not_matter(tmp_path: Path) -> None:
    """Nor that a shard in the middle cannot be read: what is said of it, and in which order, stays the same."""
    dataset = tmp_path / "dataset"
    for split in SPLITS:
        (dataset / split).mkdir(parents=True)
        for number, batch in enumerate(some_batches()):
            pq.write_table(pa.Table.from_batches([batch]), dataset / split / f"part-{number:05d}.parquet")
    for damaged in (False, True):
        if damaged:
            (dataset / "validation/part-00001.parquet").write_text("no Parquet")
        one, two = (measure(dataset, tmp_path, workers=workers) for workers in (1, 2))
        assert one.examples == two.examples
        assert (one.obstacles, one.counts) == (two.obstacles, two.counts)
        assert one.frames.keys() == two.frames.keys()
        for name, frame in one.frames.items():
            pd.testing.assert_frame_equal(frame, two.frames[name])
        assert ("splits" in one.frames) is not damaged
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"], "nothing else is left"


def test_a_name_that_is_not_utf_8_is_an_unreadable_shard(tmp_path: Path) -> None:
    batch = to_batch([Product("p", "s", "XYZ")])
    at = batch.schema.get_field_index("title")
    title = pa.StringArray.from_buffers(1, *pa.array([b"\xff\xfeZ"], pa.binary()).buffers()[1:])
    (tmp_path / "train").mkdir()
    table = pa.Table.from_batches([batch]).set_column(at, batch.schema.field(at), title)
    pq.write_table(table, tmp_path / "train" / "part-00000.parquet")
    found = measure(tmp_path, tmp_path)
    assert found.frames["shards"]["unreadable"].tolist() == [1]
    assert "splits" not in found.frames


def test_a_verdict_survives_json() -> None:
    verdict = DataVerdict(
        (Verdict("a", False, "critical", 1.5, "at most 1", "1.5, at most 1", ("x",)),), {"products": 3}
    )
    raw = json.loads(json.dumps(verdict.to_json()))
    assert raw["passed"] is False
    assert DataVerdict.from_json({**raw, "dataset_version": "0" * 64}) == verdict


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        {"passed": True},
        {"verdicts": [{"gate": "a"}], "counts": {}},
        {"verdicts": [], "counts": []},
        {
            "verdicts": [
                {
                    "gate": "a",
                    "passed": "yes",
                    "severity": "critical",
                    "observed": 0,
                    "required": "",
                    "reason": "",
                    "examples": [],
                }
            ],
            "counts": {},
        },
    ],
)
def test_a_broken_verdict_is_an_error(raw: object) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        DataVerdict.from_json(raw)


def test_a_forged_pass_is_worked_out_anew() -> None:
    verdict = DataVerdict((Verdict("a", False, "critical", 1.0, "at most 0", "1, at most 0"),), {})
    assert not DataVerdict.from_json(verdict.to_json() | {"passed": True}).passed


def test_no_claims_is_not_a_pass() -> None:
    assert not DataVerdict((), {}).passed


@pytest.mark.parametrize(
    ("number", "text"), [(1234567.0, "1,234,567"), (0.0, "0"), (0.12345, "0.1235"), ("none", "none")]
)
def test_numbers_read_as_a_person_writes_them(number: float | str, text: str) -> None:
    assert shown(number) == text
