"""The short way and the long way: whichever a row goes, it is the same product, or the same bad row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.dataset.intake.ingest import ingest
from facetmill.records import Product, to_batch
from facetmill.sources import SOURCES, json_arrays, mae
from facetmill.sources.base import BadRow, SourceOptions
from facetmill.sources.plain import PlainProducts, plain_batch
from tests import small
from tests.fuzzing import examples

OPTIONS = SourceOptions(demo=small.DEMO)


def listing(number: int = 0, **fields: object) -> dict[str, object]:
    row = {"diffbotUri": f"i{number}", "clean_title": f"Hat {number}", "clean_text": "A red hat.", "images": []}
    return row | {"specs": {"Color": "red", "Kind": "hat"}} | fields


#: Changes to a good listing, each of which a rule has something to say of, or might be thought to.
CHANGES: list[dict[str, object]] = [
    {},
    {"diffbotUri": " i "},
    {"diffbotUri": ""},
    {"diffbotUri": 7},
    {"diffbotUri": 7.0},
    {"diffbotUri": 123456789012345678901234567890},
    {"diffbotUri": None},
    {"diffbotUri": "a\0b"},
    {"clean_title": " spaces stay "},
    {"clean_title": "\u3000"},
    {"clean_title": ["Hat"]},
    {"clean_title": "\ud800"},
    {"clean_text": None},
    {"clean_text": 0},
    {"clean_text": ""},
    {"clean_text": '\U0001f452 帽子 \\ " \n \x7f'},
    {"clean_text": "a\0b"},
    {"clean_text": 'looks like an end},{"'},
    {"images": None},
    {"images": ["p.jpg"]},
    {"images": ["../p.jpg"]},
    {"images": "p.jpg"},
    {"images": 0},
    {"specs": {}},
    {"specs": None},
    {"specs": "red"},
    {"specs": ["red"]},
    {"specs": [{"Color": "red"}, {"Color": "blue"}]},
    {"specs": {"Color": " red "}},
    {"specs": {"Color": " "}},
    {"specs": {"Color": "N/a"}},
    {"specs": {"Color": None}},
    {"specs": {"Color": ["red", "blue", "red"]}},
    {"specs": {"Color": [["red"]]}},
    {"specs": {"Color": {"a": "b"}}},
    {"specs": {"Size": 4}},
    {"specs": {"Size": 123456789012345678901234567890}},
    {"specs": {"Size": float("nan")}},
    {"specs": {"Color": "red", "Color ": "red"}},
    {"specs": {" ": "red"}},
    {"specs": {"": "red"}},
    {"specs": {"n/a": "red"}},
    {"specs": {"Co\0lor": "red"}},
    {"specs": {"颜色": "红"}},
    {"specs": {f"attribute {number}": "x" for number in range(500)}},
    {"more": [1, {"deep": [[[{}, {"a": 1}, {"b": 2}]]]}, 1e300, float("inf")]},
]

#: Elements that no `json.dumps` writes.
ODD_ELEMENTS = [
    '"text"',
    "12",
    "null",
    "{}",
    "[]",
    '{"diffbotUri": "x", "clean_title"',
    '{"diffbotUri": "a", "diffbotUri": "b", "clean_title": "Hat", "clean_text": "", "specs": {"C": "r", "C": "s"}}',
    '{"diffbotUri": "a", "clean_title": "raw\ttab", "clean_text": "", "specs": {}}',
    '{"diffbotUri": "a", "clean_title": "Hat", "clean_text": "", "specs": {}, "more": 01}',
    '{"diffbotUri": "a", "clean_title": "Hat", "clean_text": "", "specs": {}, "more": ' + "[" * 2000 + "]" * 2000 + "}",
    '{"diffbotUri": "a", "clean_title": "\udcff", "clean_text": "", "specs": {}}',  # a byte that is not UTF-8
    "",
    "]",
    "}",
]


def read(path: Path, block: int, chunk: int) -> list[Product | BadRow]:
    rows: list[Product | BadRow] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_arrays, "_BLOCK", block)
        patch.setattr(json_arrays, "_CHUNK", chunk)
        for row in mae.read(path, OPTIONS):
            rows += row.products() if isinstance(row, PlainProducts) else [row]
    return rows


def read_the_long_way(path: Path, chunk: int) -> list[Product | BadRow]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mae, "plain_products", lambda *fields: None)
        return read(path, 1, chunk)


elements = st.one_of(
    st.sampled_from(CHANGES).map(lambda changes: json.dumps(listing() | changes)),
    st.sampled_from(CHANGES).map(lambda changes: json.dumps(listing() | changes, indent=1)),
    st.builds(lambda number: json.dumps(listing(number)), st.integers(0, 99)),
    st.sampled_from(ODD_ELEMENTS),
)


@examples(300)
@given(
    texts=st.lists(elements, max_size=12),
    between=st.sampled_from([",", ", ", ",\n", ",,"]),
    after=st.sampled_from(["]", "]\n", " ] \n", "", ",]", "]]", '] {"a": 1}']),
    before=st.sampled_from(["[", "\ufeff[", "\n[ "]),
    block=st.sampled_from([1, 100, 300, 2**16]),
    chunk=st.sampled_from([500, 2**20]),
)
def test_rows_are_the_same_whichever_way_they_go(
    texts: list[str], between: str, after: str, before: str, block: int, chunk: int, tmp_path: Path
) -> None:
    path = tmp_path / "0.json"
    path.write_bytes((before + between.join(texts) + after).encode(errors="surrogateescape"))
    assert read(path, block, chunk) == read_the_long_way(path, chunk)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_row_is_the_same_beside_good_ones(changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    path.write_text(json.dumps([listing(1), listing(2), listing() | changes, listing(3)]))
    rows = read(path, 2**16, 2**20)
    assert rows == read_the_long_way(path, 2**20)
    assert len(rows) == 4


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_good_rows_go_the_short_way_to_the_end_of_the_file(indent: int | None, ending: str, tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    listings = [listing(number, clean_text="red hat " * 100) for number in range(3000)]  # some chunks
    path.write_text(json.dumps(listings, indent=indent) + ending)
    parts = list(mae.read(path, OPTIONS))
    assert all(isinstance(part, PlainProducts) for part in parts)
    assert [product_id for part in parts for product_id in part.ids] == [f"i{n}" for n in range(3000)]  # type: ignore[union-attr]


def test_an_unusual_row_makes_only_its_neighbours_slow(tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    listings = [listing(number, clean_text="red hat " * 100) for number in range(3000)]
    listings[1500] |= {"specs": {"Color": "n/a"}}
    path.write_text(json.dumps(listings))
    rows = list(mae.read(path, OPTIONS))
    assert 0 < sum(isinstance(row, Product) for row in rows) < 200


@pytest.mark.parametrize("texts", [["", "a\nb", "帽子"], ["only ascii", "", "x"]], ids=["any", "ascii"])
def test_columns_are_the_batch_of_their_products(texts: list[str]) -> None:
    parts = [
        PlainProducts("mae", ["a", "b"], ["Hat", "Mütze"], texts[:2], ["Color", "Kind"], ["red", "红"], [0, 2]),
        PlainProducts("mae", ["c"], ["Cap"], texts[2:], ["Color"], ["blue"], [1]),
        PlainProducts("mae", ["d"], ["Bag"], [""], [], [], [0]),
    ]
    batch = plain_batch(parts)
    batch.validate(full=True)
    expected = to_batch([product for part in parts for product in part.products()])
    assert batch.equals(expected, check_metadata=True)


def test_shards_have_the_same_bytes_whichever_way_their_rows_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [listing(number, specs={f"a{number % 7}": f"v{number}"}) for number in range(5000)]
    good[3000] |= {"specs": {"Color": ["red", "blue"]}}
    good[4000] |= {"diffbotUri": "i3"}
    (tmp_path / "0.json").write_text(json.dumps(good))

    def built(folder: str) -> Any:
        out, report = tmp_path / folder / "out", tmp_path / folder / "report.json"
        ingest(SOURCES["mae"], tmp_path / "0.json", OPTIONS, out, report, max_bad_share=1.0)
        return {path.name: path.read_bytes() for path in [*out.iterdir(), report]}

    short = built("short")
    monkeypatch.setattr(mae, "plain_products", lambda *fields: None)
    assert built("long") == short
