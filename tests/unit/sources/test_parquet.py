"""Parquet files that others write: what of them is read, how much at a time, and what is said of the rest."""

from __future__ import annotations

import datetime
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facetmill.errors import DataError
from facetmill.sources import parquet
from facetmill.sources.base import BadRow, Reason
from facetmill.sources.parquet import ParquetTable
from facetmill.sources.parquet_pages import column_chunks, column_pages
from facetmill.sources.rows import Row


def written(tmp_path: Path, table: pa.Table | dict[str, object], **options: object) -> Path:
    path = tmp_path / "c.parquet"
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path, **options)
    return path


def rows(path: Path) -> list[Row | BadRow]:
    table = ParquetTable(path)
    return list(table.rows(table.header))


WORDS = [None, "", "帽子", "red " * 500, *map(str, range(3000))]
SHAPES = {
    "text": pa.array(WORDS),
    "large": pa.array(WORDS, pa.large_string()),
    "category": pa.array(WORDS).dictionary_encode(),
    "number": pa.array([None, *range(len(WORDS) - 1)]),
    "list": pa.array([None, [], ["a", None, "b"]] + [[word] * 3 for word in WORDS[3:]]),
    "map": pa.array([None, []] + [[("k", word), ("l", None)] for word in WORDS[2:]], pa.map_(pa.string(), pa.string())),
    "map of lists": pa.array(
        [None, []] + [[("k", [word, "x"])] for word in WORDS[2:]], pa.map_(pa.string(), pa.list_(pa.string()))
    ),
    "nothing": pa.nulls(len(WORDS)),
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zstd", "data_page_version": "2.0", "data_page_size": 200},
        {"use_dictionary": False, "row_group_size": 700},
        {"dictionary_pagesize_limit": 500, "data_page_size": 1000, "write_page_index": True},
    ],
    ids=str,
)
def test_all_that_writers_do_is_read(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table(SHAPES)
    path = written(tmp_path, table, **options)
    expected = [Row(n, fields) for n, fields in enumerate(table.to_pylist(maps_as_pydicts="strict"), start=1)]
    assert rows(path) == expected
    monkeypatch.setattr(parquet, "MAX_BATCH_BYTES", 3 * 2**19)  # a few rows at a time
    assert rows(path) == expected


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_the_headers_of_pages_add_up_to_what_an_honest_footer_says(version: str, codec: str, tmp_path: Path) -> None:
    options = {
        "data_page_version": version,
        "compression": codec,
        "data_page_size": 300,
        "row_group_size": 1500,
        "write_statistics": False,
    }
    path = written(tmp_path, pa.table(SHAPES), **options)
    with path.open("rb") as stream:
        metadata = pq.read_metadata(path)
        for group, chunks in enumerate(column_chunks(path)):
            for number, place in enumerate(chunks):
                chunk = metadata.row_group(group).column(number)
                pages = list(column_pages(path, stream, place))
                assert sum(page.num_values for page in pages if not page.is_dictionary) == chunk.num_values
                unpacked = sum(page.num_bytes for page in pages)
                assert 0 <= chunk.total_uncompressed_size - unpacked <= 100 * len(pages)  # the headers themselves


def test_what_no_field_can_be_is_named_before_a_row_is_read(tmp_path: Path) -> None:
    made = pa.array([2**62], pa.timestamp("ms"))  # a year that no calendar has
    path = written(tmp_path, {"id": [1], "title": ["Hat"], "made": made})
    with pytest.raises(DataError, match=r"c\.parquet: column 'made' holds timestamp\[.*dataset\.ignore"):
        rows(path)
    assert list(ParquetTable(path).rows(["id", "title"])) == [Row(1, {"id": 1, "title": "Hat"})]
    price = written(tmp_path, {"id": [1], "sold": [datetime.date(2020, 1, 1)]})
    with pytest.raises(DataError, match="column 'sold' holds date32"):
        rows(price)


def test_columns_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table([[1], ["a"], ["b"]], ["id", "Color", "Color"]))
    with pytest.raises(DataError, match=r"c\.parquet: header column 3 repeats 'Color'"):
        ParquetTable(path)


def test_a_column_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"id": [1], "Colour": ["red"]}, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"Colour", b"Colou\xff"))
    with pytest.raises(DataError, match=r"c\.parquet: .*"):
        ParquetTable(path)


def test_a_map_that_names_a_key_twice_costs_its_row(tmp_path: Path) -> None:
    maps = pa.array([[("a", "1"), ("a", "2")], [("a", "3")]], pa.map_(pa.string(), pa.string()))
    path = written(tmp_path, {"id": [1, 2], "facets": maps})
    bad, good = rows(path)
    assert isinstance(bad, BadRow)
    assert (bad.row, bad.reason) == (1, Reason.DUPLICATE_KEY)
    assert good == Row(2, {"id": 2, "facets": {"a": "3"}})


def test_a_row_that_is_too_large_costs_only_itself(tmp_path: Path) -> None:
    path = written(tmp_path, {"id": [1, 2], "title": ["x" * (parquet.MAX_ROW_BYTES + 1), "Hat"]})
    bad, good = rows(path)
    assert isinstance(bad, BadRow)
    assert (bad.row, bad.reason) == (1, Reason.ROW_TOO_LARGE)
    assert good == Row(2, {"id": 2, "title": "Hat"})


def test_a_file_cut_or_changed_anywhere_is_told(tmp_path: Path) -> None:
    """Also where Arrow would end the process: in what the footer says of lists."""
    path = written(tmp_path, {"id": [1], "images": [["a", "b"]]}, compression="none", store_schema=False)
    whole = path.read_bytes()
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            with suppress(DataError):  # a changed value may still be one
                rows(path)
