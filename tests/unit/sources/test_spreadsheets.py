"""Excel's and OpenDocument's files as rows, and those that ask for more memory than there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason
from facetmill.sources.rows import Row
from facetmill.sources.spreadsheets import read_sheet
from tests.office import ods, xlsx

ROWS = [["id", "title", "Size", None], [7, "Hat", 42.0], [], [8, "Cap & <b>", 2.5], [9, None, None, None]]
EXPECTED = [
    Row(2, {"id": "7", "title": "Hat", "Size": "42"}),
    Row(4, {"id": "8", "title": "Cap & <b>", "Size": "2.5"}),
    Row(5, {"id": "9", "title": "", "Size": ""}),
]


def test_cells_are_text_as_a_person_writes_it_and_rows_have_the_sheets_numbers(tmp_path: Path) -> None:
    for path in (xlsx(tmp_path / "c.xlsx", ROWS), ods(tmp_path / "c.ods", ROWS)):
        header, rows = read_sheet(path)
        assert header == ["id", "title", "Size"]
        assert list(rows) == EXPECTED


def test_a_table_may_begin_anywhere(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "c.xlsx", [[], [None, None], [None, "id", "title"], [None, "1", "Hat"]])
    header, rows = read_sheet(path)
    assert header == ["id", "title"]
    assert list(rows) == [Row(4, {"id": "1", "title": "Hat"})]


def test_the_first_visible_sheet_with_a_cell_is_read_and_others_are_named(tmp_path: Path) -> None:
    table = [["id", "title"], ["1", "Hat"]]
    path = xlsx(tmp_path / "c.xlsx", {"Lists": table, "Empty": [], "Shop": table, "Old": table}, hidden=["Lists"])
    assert list(read_sheet(path)[1]) == [
        Row(2, {"id": "1", "title": "Hat"}),
        BadRow(str(path), 1, "sheet", "Old", Reason.SHEET_NOT_READ),
    ]


def test_a_formula_is_its_last_result_and_nothing_where_that_is_an_error(tmp_path: Path) -> None:
    text = '<c r="{}" t="str"><v>{}</v></c>'
    raw = f'<row r="1">{text.format("A1", "id")}{text.format("B1", "Size")}</row><row r="2">'
    raw += '<c r="A2"><f>1+1</f><v>2</v></c><c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
    _, rows = read_sheet(xlsx(tmp_path / "c.xlsx", [], raw=raw))
    assert list(rows) == [Row(2, {"id": "2", "Size": ""})]


@pytest.mark.parametrize(
    "raw",
    [
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        '<row r="1"><c r="A1" t="str"><v>' + "x" * 400 * 2**20 + "</v></c></row>",
    ],
    ids=["a cell far away", "a text without end"],
)
def test_a_small_file_that_asks_for_gigabytes_is_refused(raw: str, tmp_path: Path) -> None:
    path = xlsx(tmp_path / "c.xlsx", [], raw=raw)
    assert path.stat().st_size < 2**20
    with pytest.raises(
        DataError, match=r"c\.xlsx: (this spreadsheet cannot be read|a row of more than 8,388,608 bytes)"
    ):
        list(read_sheet(path)[1])


@pytest.mark.parametrize("name", ["c.xlsx", "c.ods", "c.xls"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"id,title\n1,Hat\n"])
def test_what_only_calls_itself_a_spreadsheet_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: this spreadsheet cannot be read"):
        read_sheet(tmp_path / name)


def test_a_workbook_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "c.xlsx", ROWS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"c\.xlsx: this spreadsheet cannot be read"):
        read_sheet(path)
