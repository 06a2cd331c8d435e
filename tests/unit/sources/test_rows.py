"""Lines, arrays, tables and checked fields, as bytes that real and hostile files hold."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from facetmill.errors import DataError
from facetmill.records import Facet
from facetmill.sources.base import BadRow, Reason, RowError
from facetmill.sources.json_arrays import read_json_array
from facetmill.sources.rows import (
    MAX_ROW_BYTES,
    ImageFolder,
    Row,
    collect_facets,
    input_files,
    optional_identifier,
    read_json_lines,
    read_lines,
)


def test_lines_lose_their_ends_and_bom_and_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("\ufefffirst\r\n\n  \nfourth\tcell \nlast".encode())
    assert list(read_lines(path)) == [(1, "first"), (4, "fourth\tcell "), (5, "last")]


def test_a_line_over_the_cap_is_reported_without_being_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as stream:
        stream.write(b"good\n")
        for _ in range(4):
            stream.write(b"x" * MAX_ROW_BYTES)
        stream.write(b"\nalso good\n")
    tracemalloc.start()
    rows = list(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == [(1, "good"), BadRow(str(path), 2, "line", "x" * 80, Reason.LINE_TOO_LONG), (3, "also good")]
    assert peak < 2.5 * MAX_ROW_BYTES  # the line is four times the cap


def test_json_lines_refuse_what_is_not_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('{"a": NaN}\n{"a": "\\ud800"}\n{"a": 1}\n')
    first, second, third = read_json_lines(path)
    assert isinstance(first, BadRow)
    assert isinstance(second, BadRow)
    assert (first.reason, second.reason) == (Reason.BROKEN_JSON, Reason.BROKEN_JSON)
    assert third == Row(3, {"a": 1})


def test_an_array_is_streamed_across_chunks(tmp_path: Path) -> None:
    path = tmp_path / "f"
    names = [str(number) + "é" * 1000 for number in range(1500)]  # about 3 MB, several chunks
    path.write_text("[" + ",\n".join(f'{{"n": "{name}"}}' for name in names) + "]\n")
    assert list(read_json_array(path)) == [Row(i + 1, {"n": name}) for i, name in enumerate(names)]


def test_a_truncated_array_says_so_even_between_elements(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('[{"a": 1}, {"a": 2}')
    assert list(read_json_array(path)) == [
        Row(1, {"a": 1}),
        Row(2, {"a": 2}),
        BadRow(str(path), 3, "element", "", Reason.BROKEN_JSON),
    ]


def test_what_follows_an_array_is_not_lost_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('[{"a": 1}]\n[{"a": 2}]')
    assert list(read_json_array(path)) == [
        Row(1, {"a": 1}),
        BadRow(str(path), 2, "file", 'after the array: [{"a": 2}]', Reason.BROKEN_JSON),
    ]


def test_a_broken_element_costs_only_itself_in_a_file_with_indents_too(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('[\n {\n  "a": 1\n },\n {\n  "a": \n },\n {\n  "a": 3\n }\n]')
    assert list(read_json_array(path)) == [
        Row(1, {"a": 1}),
        BadRow(str(path), 2, "element", '{\n  "a": \n },\n {\n  "a": 3\n }\n]', Reason.BROKEN_JSON),
        Row(3, {"a": 3}),
    ]


@pytest.mark.parametrize("content", ["", '{"a": 1}', "null"])
def test_a_file_that_is_no_array_is_refused_as_a_whole(content: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"f\.json: expected a JSON array"):
        list(read_json_array(path))


def test_a_file_whose_name_no_report_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"shop\xff.csv")
    path.write_text("id,title\n1,Hat\n")
    for place in (path, tmp_path):
        with pytest.raises(DataError, match=r"shop\\xff\.csv': the name of the file is no UTF-8; rename it"):
            input_files(place, ".csv")


def test_files_of_a_folder_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.json", "a.JSON", "c.txt"):
        (tmp_path / name).touch()
    assert input_files(tmp_path, ".json") == [tmp_path / "a.JSON", tmp_path / "b.json"]
    with pytest.raises(DataError, match=r"no file ending in \.csv"):
        input_files(tmp_path, ".csv")


def test_a_picture_is_found_however_its_letters_are_put_together(tmp_path: Path) -> None:
    composed, decomposed = "M\u00fctze.png", "Mu\u0308tze.png"
    for there, asked in ((composed, decomposed), (decomposed, composed)):
        folder = tmp_path / str(len(there))
        folder.mkdir()
        (folder / there).touch()
        assert ImageFolder(folder).paths("images", [asked]) == (str(folder / there),)
        assert ImageFolder(folder).paths("images", ["gone-ü.png"]) == (str(folder / "gone-ü.png"),)


@pytest.mark.parametrize(("value", "text"), [("a ", "a"), (7, "7"), (7.0, "7"), (None, ""), ("", "")])
def test_identifiers_are_text(value: object, text: str) -> None:
    assert optional_identifier({"id": value}, "id") == text


@pytest.mark.parametrize("value", [True, 7.5, ["a"], float("inf"), 2.0**53, -1e300])
def test_identifiers_are_not_just_anything(value: object) -> None:
    with pytest.raises(RowError):
        optional_identifier({"id": value}, "id")


def test_facets_are_merged_and_a_value_outweighs_absent() -> None:
    pairs = [("Color", " red "), ("Color", "red"), ("Size", None), ("Cut", "N/A"), ("Cut", "slim"), ("Fit", "  ")]
    assert collect_facets(pairs) == ((Facet("Color", "red"), Facet("Cut", "slim")), ("Size",))


@pytest.mark.parametrize("name", ["..", "../x.png", "a/../../x", "/etc/hostname", "link.png", "folder/x.png"])
def test_a_picture_may_not_lie_outside_its_folder(name: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "x.png").touch()
    (home / "link.png").symlink_to(tmp_path / "x.png")
    (home / "folder").symlink_to(tmp_path)
    with pytest.raises(RowError) as error:
        ImageFolder(home).paths("images", [name])
    assert (error.value.value, error.value.reason) == (name, Reason.PATH_LEAVES_FOLDER)


def test_a_picture_may_lie_deeper_and_the_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "home" / "sub").mkdir(parents=True)
    (tmp_path / "home" / "inner.png").symlink_to(tmp_path / "home" / "sub" / "x.png")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    home = tmp_path / "home"
    assert ImageFolder(tmp_path / "link").paths("images", ["sub/x.png", "sub/../y.png", "inner.png"]) == (
        str(home / "sub/x.png"),
        str(home / "sub/../y.png"),
        str(home / "inner.png"),
    )
