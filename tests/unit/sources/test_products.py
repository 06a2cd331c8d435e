"""A user's own catalogue: three kinds of file, two ways to write facets, and columns by any name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facetmill.errors import DataError
from facetmill.records import Facet, Product
from facetmill.sources.base import BadRow, Reason, SourceOptions
from facetmill.sources.products import cut, read
from tests import small
from tests.office import xlsx

DEMO = small.DEMO


def rows(path: Path, **columns: str) -> list[Product | BadRow]:
    return list(read(path, SourceOptions(demo=DEMO, columns=columns)))


def product(path: Path, **columns: str) -> Product:
    [row] = rows(path, **columns)
    assert isinstance(row, Product), row
    return row


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.csv"
    path.write_text(text, encoding="utf-8")
    return path


def parquet(tmp_path: Path, **columns: object) -> Path:
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_a_spreadsheet_export_with_bom_and_crlf_is_read(tmp_path: Path) -> None:
    path = csv(tmp_path, "\ufeffid,title,Color\r\n1,Hat,red\r\n")
    assert product(path) == Product("1", "products", "Hat", facets=(Facet("Color", "red"),))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_header_as_people_write_it_is_understood(tmp_path: Path, delimiter: str) -> None:
    table = [["SKU", "Name", "Category", "Sleeve Length"], ["A1", "Blue shirt", "Shirts", "long"]]
    row = product(csv(tmp_path, "\n".join(delimiter.join(cells) for cells in table)))
    expected = Product("A1", "products", "Blue shirt", category="Shirts", facets=(Facet("Sleeve Length", "long"),))
    assert row == expected


def test_ignored_columns_are_no_attributes_whatever_the_kind_of_file(tmp_path: Path) -> None:
    lines = tmp_path / "c.jsonl"
    lines.write_text('{"id": "1", "title": "Hat", "Price": 9.5, "Color": "red"}\n', encoding="utf-8")
    table = csv(tmp_path, "id,title,Price,Color\n1,Hat,9.5,red\n")
    columns = parquet(tmp_path, id=["1"], title=["Hat"], Price=[9.5], Color=["red"])
    options = SourceOptions(demo=DEMO, ignore=["Price"])
    for path in (lines, table, columns):
        assert list(read(path, options)) == [Product("1", "products", "Hat", facets=(Facet("Color", "red"),))]
    for path in (table, columns):
        with pytest.raises(
            DataError, match=r"dataset\.ignore names 'price', but the columns are id, title, Price, Color"
        ):
            list(read(path, SourceOptions(demo=DEMO, ignore=["price"])))


def test_our_own_name_wins_over_a_usual_one_which_is_an_attribute_then(tmp_path: Path) -> None:
    row = product(csv(tmp_path, "id,title,Name\n1,Hat,Fedora\n"))
    assert (row.title, row.facets) == ("Hat", (Facet("Name", "Fedora"),))


def test_wide_cells_say_unknown_absent_and_several_values(tmp_path: Path) -> None:
    row = product(csv(tmp_path, "id,title,Color,Size,Material\n1,Hat,,n/a,wool|silk | \n"))
    assert row.facets == (Facet("Material", "wool"), Facet("Material", "silk"))
    assert row.absent == ("Size",)  # Color is unknown: in neither


def test_a_facets_column_turns_the_others_off(tmp_path: Path) -> None:
    cell = json.dumps({"Color": "red", "Material": ["wool", "a|b"], "Size": None, "Cut": "n/a"}).replace('"', '""')
    row = product(csv(tmp_path, f'id,title,Price,facets\n1,Hat,9.99,"{cell}"\n'))
    assert row.facets == (Facet("Color", "red"), Facet("Material", "wool"), Facet("Material", "a|b"))
    assert row.absent == ("Size", "Cut")


def test_an_empty_facets_cell_knows_nothing(tmp_path: Path) -> None:
    row = product(csv(tmp_path, "id,title,facets\n1,Hat,\n"))
    assert (row.facets, row.absent) == ((), ())


def test_columns_are_mapped_and_the_mapped_name_is_no_attribute(tmp_path: Path) -> None:
    path = csv(tmp_path, "sku,name,label,family\n1,Hat,Red hat,f1\n")
    row = product(path, product_id="sku", title="label", group_id="family")
    assert (row.product_id, row.title, row.group_id) == ("1", "Red hat", "f1")
    assert row.facets == (Facet("name", "Hat"),)


def test_a_column_taken_for_one_field_is_not_taken_for_another(tmp_path: Path) -> None:
    row = product(csv(tmp_path, "id,title,description\n1,Hat,Long hat\n"), title="description")
    assert (row.title, row.text) == ("Long hat", "")
    assert row.facets == (Facet("title", "Hat"),)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"colour": "c"}, "unknown field 'colour'"),
        ({"text": "body"}, "maps text to 'body', but the columns are article, title"),
        ({}, "no column for product_id.*The columns are article, title"),
    ],
)
def test_a_mapping_that_cannot_be_is_told_at_once(columns: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        rows(csv(tmp_path, "article,title\n1,Hat\n"), **columns)


def test_json_lines_may_hold_lists_numbers_and_objects(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(
        '{"id": 1, "name": "Hat", "images": ["a.png", "b.png"], "Color": ["red", "blue"], "Size": 7, "Warm": true}\n'
        '{"id": 2, "title": "Cap", "facets": {"Color": null}}\n'
    )
    hat, cap = rows(path)
    assert isinstance(hat, Product)
    assert isinstance(cap, Product)
    assert hat.images == (str(tmp_path / "a.png"), str(tmp_path / "b.png"))
    assert [(facet.attribute, facet.value) for facet in hat.facets] == [
        ("Color", "red"),
        ("Color", "blue"),
        ("Size", "7"),
        ("Warm", "true"),
    ]
    assert (cap.facets, cap.absent) == ((), ("Color",))


def test_parquet_numbers_read_as_a_person_writes_them(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=[1, 2], title=["Hat", "Cap"], Size=[42.0, float("nan")], Depth=[2.5, None])
    hat, cap = rows(path)
    assert isinstance(hat, Product)
    assert isinstance(cap, Product)
    assert hat.facets == (Facet("Size", "42"), Facet("Depth", "2.5"))
    assert (cap.facets, cap.absent) == ((), ())


def test_parquet_facets_may_be_a_map(tmp_path: Path) -> None:
    maps = pa.array([[("Color", "red"), ("Size", None)]], pa.map_(pa.string(), pa.string()))
    row = product(parquet(tmp_path, id=["1"], title=["Hat"], facets=maps))
    assert (row.facets, row.absent) == ((Facet("Color", "red"),), ("Size",))


def test_parquet_facets_may_not_be_a_struct(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'facets' is a struct"):
        rows(parquet(tmp_path, id=["1"], title=["Hat"], facets=[{"Color": "red"}]))


def test_parquet_with_a_broken_string_costs_one_row(tmp_path: Path) -> None:
    raw = pa.array([b"Hat", b"Ca\xe9", b"Bag"], pa.binary())
    titles = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    path = parquet(tmp_path, id=["1", "2", "3"], title=titles)
    hat, bad, bag = rows(path)
    assert isinstance(hat, Product)
    assert isinstance(bag, Product)
    assert bad == BadRow(str(path), 2, "row", "Ca\ufffd".encode().decode(), Reason.WRONG_ENCODING)


@pytest.mark.parametrize("content", [b"", b"PAR1 not really"])
def test_what_only_calls_itself_parquet_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"c\.parquet: not a Parquet file"):
        rows(path)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.docx").touch()
    with pytest.raises(DataError, match=r"is one of \.parquet, .*\.csv, .*, not '\.docx'"):
        rows(tmp_path / "c.docx")


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    csv(tmp_path, "id,title\n1,Hat\n")
    parquet(tmp_path, id=["3"], title=["Bag"])
    (tmp_path / "c.jsonl").write_text('{"id": 2, "title": "Cap"}\n')
    (tmp_path / "notes.txt").write_text("not data")
    assert [row.product_id for row in rows(tmp_path) if isinstance(row, Product)] == ["1", "2", "3"]


def test_a_split_is_taken_from_the_column_that_is_named_for_it(tmp_path: Path) -> None:
    path = csv(tmp_path, "id,title,Part,Split\n1,Hat,Dev,two\n2,Cap,,one\n3,Bag,holdout,one\n")
    first, second, bad = rows(path, split="Part")
    assert isinstance(first, Product)
    assert isinstance(second, Product)
    assert (first.split, second.split) == ("validation", None)
    assert first.facets == (Facet("Split", "two"),), "a column that only has the name is an attribute"
    assert bad == BadRow(str(path), 4, "Part", "holdout", Reason.UNKNOWN_SPLIT)


def test_cells_that_say_that_nothing_is_known_are_unknown_and_counted(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "id,title,category,text,images,Color,Size,Closure\n"
        "1,Hat,NULL,nan,-,#N/A,Err:502,None\n"
        "2,Cap,Caps,,, #REF! ,–,#FFFFFF\n"
        "3,Bag,,,,#¡VALOR!,\\N,-5\n"
        "4,NULL,,,,red,,\n",
    )
    found = rows(path)
    notes = [row for row in found if isinstance(row, BadRow) and row.reason is Reason.UNKNOWN_VALUE]
    assert [(note.row, note.field, note.value) for note in notes] == [
        *[
            (2, "category", "NULL"),
            (2, "text", "nan"),
            (2, "images", "-"),
            (2, "Color", "#N/A"),
            (2, "Size", "Err:502"),
        ],
        *[
            (3, "Color", " #REF! "),
            (3, "Size", "–"),
            (4, "Color", "#¡VALOR!"),
            (4, "Size", "\\N"),
            (5, "title", "NULL"),
        ],
    ]
    assert [row for row in found if row not in notes] == [
        Product("1", "products", "Hat", facets=(Facet("Closure", "None"),)),
        Product("2", "products", "Cap", category="Caps", facets=(Facet("Closure", "#FFFFFF"),)),
        Product("3", "products", "Bag", facets=(Facet("Closure", "-5"),)),
        BadRow(str(path), 5, "title", "", Reason.MISSING_FIELD),
    ]


def test_a_title_that_is_unknown_is_not_looked_for_under_another_name(tmp_path: Path) -> None:
    _, bad = rows(csv(tmp_path, "id,title,name\n1,#N/A,Hat\n"))
    assert isinstance(bad, BadRow)
    assert (bad.field, bad.reason) == ("title", Reason.MISSING_FIELD)


def test_nan_in_json_lines_is_unknown_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(
        '{"id": "1", "title": "Hat", "Color": NaN, "Size": ["S", NaN]}\n'
        '{"id": "2", "title": "Cap", "facets": {"Color": NaN, "Size": null, "Kind": "NULL"}}\n'
        '{"id": "3", "title": "Bag", "Depth": Infinity}\n'
    )
    found = rows(path)
    assert [row for row in found if isinstance(row, Product)] == [
        Product("1", "products", "Hat", facets=(Facet("Size", "S"),)),
        Product("2", "products", "Cap", absent=("Size",)),
    ]
    notes = [(row.row, row.field, row.reason) for row in found if isinstance(row, BadRow)]
    assert notes == [
        *[(1, "Color", Reason.UNKNOWN_VALUE), (1, "Size", Reason.UNKNOWN_VALUE)],
        *[(2, "facets", Reason.UNKNOWN_VALUE)] * 2,
        (3, "line", Reason.BROKEN_JSON),
    ]


def test_every_file_of_a_folder_is_read_or_named(tmp_path: Path) -> None:
    (tmp_path / "a.CSV").write_text("id,title\n1,Hat\n")
    (tmp_path / "b.tsv").write_text("id\ttitle\n2\tCap\n")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress("id;title\n3;Mütze\n".encode()))
    xlsx(tmp_path / "d.xlsx", [["id", "title"], [4, "Bag"]])
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b'{"id": 5, "title": "Belt"}\n'))
    (tmp_path / "f.txt").write_text("id|title\n6|Scarf\n")
    (tmp_path / "readme.txt").write_text("All hats of this year.\n")
    (tmp_path / "g.pdf").write_bytes(b"%PDF")
    (tmp_path / "h.parquet.gz").write_bytes(b"")
    for aside in ("__MACOSX/._a.csv", ".DS_Store", "~$d.xlsx", "hat.JPG", "Thumbs.db"):
        (tmp_path / aside).parent.mkdir(exist_ok=True)
        (tmp_path / aside).write_bytes(b"\0\5\x16\7")
    found = rows(tmp_path)
    products = {row.product_id: row.title for row in found if isinstance(row, Product)}
    assert products == {"1": "Hat", "2": "Cap", "3": "Mütze", "4": "Bag", "5": "Belt", "6": "Scarf"}
    told = [row for row in found if isinstance(row, BadRow)]
    assert [(Path(row.file).name, row.reason) for row in told] == [
        ("g.pdf", Reason.FILE_NOT_READ),
        ("h.parquet.gz", Reason.FILE_NOT_READ),
        ("readme.txt", Reason.FILE_NOT_READ),
    ]
    assert "no column for product_id" in told[2].value
    pieces = [row for only in cut(tmp_path) for row in read(tmp_path, SourceOptions(demo=DEMO, only=only))]
    assert pieces == found


def test_a_catalogue_of_a_folder_that_cannot_be_read_stops_as_it_does_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\n1,Hat\n")
    (tmp_path / "b.csv").write_text("price\n1\n")
    with pytest.raises(DataError, match=r"b\.csv: no column for product_id"):
        rows(tmp_path)


def test_windows_1252_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes("id;title;Farbe\n1;Grüner Schal;grün\n2;Größe M, weiß;weiß\n".encode("cp1252"))
    note, *found = rows(path)
    assert isinstance(note, BadRow)
    assert note.reason is Reason.READ_AS_WINDOWS_1252
    assert [row.title for row in found if isinstance(row, Product)] == ["Grüner Schal", "Größe M, weiß"]


@pytest.mark.parametrize(
    "around",
    ["{}", '{{"products": {}}}', '{{"total": 2, "next": "a]\\"b", "products": {}, "page": 1.5, "more": null}}\n'],
    ids=["a list", "an object", "an answer in pages"],
)
def test_what_an_api_answers_is_read(around: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(
        around.format('[{"id": 1, "title": "Hat", "Color": "red"}, {"id": 2, "title": "Cap", "Size": "-"}]')
    )
    hat, note, cap = rows(path)
    assert hat == Product("1", "products", "Hat", facets=(Facet("Color", "red"),))
    assert isinstance(note, BadRow)
    assert (note.row, note.reason) == (2, Reason.UNKNOWN_VALUE)
    assert cap == Product("2", "products", "Cap")


@pytest.mark.parametrize("content", ['{"a": 1}', '{"a": {"b": []}}', '{"a": "[', "null", ""])
def test_an_answer_that_is_no_list_is_refused_and_in_a_folder_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"c\.json: expected a JSON array"):
        rows(path)
    csv(tmp_path, "id,title\n1,Hat\n")
    hat, note = rows(tmp_path)
    assert isinstance(hat, Product)
    assert isinstance(note, BadRow)
    assert note.reason is Reason.FILE_NOT_READ


def test_what_stands_behind_the_list_of_an_answer_is_not_lost_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"new": [{"id": 1, "title": "Hat"}], "old": [{"id": 2, "title": "Cap"}]}')
    hat, bad = rows(path)
    assert isinstance(hat, Product)
    assert isinstance(bad, BadRow)
    assert bad.value.startswith('after the array: , "old"')
