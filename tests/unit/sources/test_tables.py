"""Tables as spreadsheets write them, and as nobody should."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason
from facetmill.sources.rows import Row
from facetmill.sources.tables import MAX_COLUMNS, read_table, require_columns, require_distinct


def table(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "f.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_are_numbered_as_a_spreadsheet_numbers_them(tmp_path: Path) -> None:
    header, rows = read_table(table(tmp_path, 'a,b\n1,"two\nlines"\n\n3,four\n'), ",")
    assert header == ["a", "b"]
    assert list(rows) == [Row(2, {"a": "1", "b": "two\nlines"}), Row(4, {"a": "3", "b": "four"})]


def test_blank_lines_are_no_rows_but_belong_to_a_quoted_cell(tmp_path: Path) -> None:
    text = '\n \na,b\n\n1,"one\n\n \ntwo\r\n"\n\t\n\n"\n",x\n2,""\n'
    header, rows = read_table(table(tmp_path, text), ",")
    assert header == ["a", "b"]
    assert list(rows) == [
        Row(5, {"a": "1", "b": "one\n\n \ntwo\r\n"}),
        Row(8, {"a": "\n", "b": "x"}),
        Row(9, {"a": "2", "b": ""}),
    ]


def test_rows_and_columns_with_nothing_in_any_cell_are_none(tmp_path: Path) -> None:
    header, rows = read_table(table(tmp_path, 'a,,b,,\r\n1,,x,,\r\n,,,,\r\n"",, ,,\r\n2,,y\r\n3,,z,,,,\r\n'), ",")
    assert header == ["a", "b"]
    assert list(rows) == [Row(2, {"a": "1", "b": "x"}), Row(5, {"a": "2", "b": "y"}), Row(6, {"a": "3", "b": "z"})]


def test_a_cell_of_a_column_without_name_is_told_and_not_dropped(tmp_path: Path) -> None:
    path = table(tmp_path, "a,,b\n1,lost,x\n2,,y,lost\n")
    assert list(read_table(path, ",")[1]) == [
        BadRow(str(path), 2, "column 2", "lost", Reason.BROKEN_TABLE_ROW),
        BadRow(str(path), 3, "column 4", "lost", Reason.BROKEN_TABLE_ROW),
    ]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ('id;title;"Size (L, W, H)"\n1;Hat;10\n', ["id", "title", "Size (L, W, H)"]),
        ("id,title,Size; L; W; H\n1,Hat,1; 2; 3; 4\n", ["id", "title", "Size; L; W; H"]),
        ("id|title|Colour, outside\n1|Hat|red\n", ["id", "title", "Colour, outside"]),
        ("id\ttitle\tnote\n1\tHat, red\tx|y\n", ["id", "title", "note"]),
        ("sep=;\r\nid;title\r\n1;Hat\r\n", ["id", "title"]),
        ("sep=\t\nid\ttitle\n1\tHat\n", ["id", "title"]),
        ("sep=x\n1\n", ["sep=x"]),
        ('sep="\n1\n', ['sep="']),
        ("SEP=|\nid|title,x;y\n1|Hat\n", ["id", "title,x;y"]),
        (
            "Artikel;Bezeichnung;Preis, netto, EUR\n1;Hut;1,5\n2;Schal;2,5\n",
            ["Artikel", "Bezeichnung", "Preis, netto, EUR"],
        ),
        ("\ufeff\ufeffid,title\n1,Hat\n", ["id", "title"]),
        ("\u200bid\u200b,\u200etitle\n1,Hat\n", ["id", "title"]),
        ('id,"title\nof it"\r\n1,Hat\r\n', ["id", "title\nof it"]),
        ("title\nHat\n", ["title"]),
    ],
)
def test_how_a_table_is_delimited_is_told_by_its_content(content: str, header: list[str], tmp_path: Path) -> None:
    path = table(tmp_path, content)
    found, rows = read_table(path, looked_for=["id", "title"])
    assert found == header
    assert all(isinstance(row, Row) for row in rows)


def test_the_line_that_only_excel_reads_is_no_row(tmp_path: Path) -> None:
    assert [row.number for row in read_table(table(tmp_path, "sep=;\na;b\n1;2\n"))[1] if isinstance(row, Row)] == [2]


@pytest.mark.parametrize(("bad", "reason"), [(b"\xff", Reason.WRONG_ENCODING), (b"\0", Reason.NUL_BYTE)])
def test_a_bad_line_in_a_quoted_cell_costs_its_row_and_no_other(bad: bytes, reason: Reason, tmp_path: Path) -> None:
    path = table(tmp_path, b'a,b\n1,"one\n' + bad + b'\n2,x\n"\n3,y\n')
    assert list(read_table(path, ",")[1]) == [
        BadRow(str(path), 2, "line", bad.decode(errors="replace") + "\n", reason),
        Row(3, {"a": "3", "b": "y"}),
    ]


@given(rows=st.lists(st.tuples(*2 * [st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))])))
def test_whatever_is_written_is_read(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    assert list(read_table(path, ",")[1]) == [
        Row(number, dict(zip("ab", row, strict=True)))
        for number, row in enumerate(rows, start=2)
        if "".join(row).strip()  # a row with nothing in it is none
    ]


def test_an_unclosed_quote_does_not_become_one_giant_product(tmp_path: Path) -> None:
    path = table(tmp_path, 'a,b\n1,"open\n2,x\n3,y\n')
    assert list(read_table(path, ",")[1]) == [
        BadRow(str(path), 2, "line", "unexpected end of data", Reason.BROKEN_TABLE_ROW)
    ]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("", "no header"),
        ("\n\n", "no header"),
        ("a,b,a", "column 3 repeats 'a'"),
        ("a,b\ufffe,c\0", "header cannot be read"),
    ],
)
def test_a_header_that_cannot_name_columns_is_refused(header: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        read_table(table(tmp_path, header + ("\n1,2,3\n" if header.strip() else "")), ",")


def test_more_columns_than_anybody_has_are_refused_with_what_to_do(tmp_path: Path) -> None:
    header = [str(number) for number in range(MAX_COLUMNS + 1)]
    with pytest.raises(DataError, match=r"100,001 columns, and MAX_COLUMNS .* one column `facets`, as JSON"):
        require_distinct(tmp_path, header)
    with pytest.raises(DataError, match=r"no column x; the header has 0, 1, .*, 19 and 99,981 more$"):
        require_columns(tmp_path, header, "x")
