"""What the public formats hold beyond the contract: where pictures lie, who shares a group, odd markup."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.errors import DataError
from facetmill.metrics.counted import counted
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product, Span
from facetmill.sources import extractgpt, implicitave, mae, mepave
from facetmill.sources.base import BadRow, Reason, SourceOptions
from tests import small

OPTIONS = SourceOptions(demo=small.DEMO)
HEADER = "id\timages\tcategory\ttexts\tattribute_names\tattribute_values\n"
ROW = "B1\tB1.jpg\tMirrors\t[Title] Mirror\tShape\tOval\n"


def only(rows: object) -> Product:
    [row] = list(rows)  # type: ignore[call-overload]  # any iterator
    assert isinstance(row, Product), row
    return row


def test_mepave_text_may_hold_angle_brackets_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("c\ts\t长<3米红裙\t长<3米<颜色>红</颜色>裙\n", encoding="utf-8")
    assert only(mepave.read(path, OPTIONS)).facets == (Facet("颜色", "红", (Span("title", 4, 5),)),)


def test_mepave_nested_tags_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("c\ts\t红裙\t<a><b>红</b></a>裙\n", encoding="utf-8")
    [row] = mepave.read(path, OPTIONS)
    assert isinstance(row, BadRow)
    assert row.reason == Reason.UNCLOSED_TAG


def test_mepave_pictures_are_named_by_product(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("c_7\ts\t裙\t裙\n", encoding="utf-8")
    options = SourceOptions(demo=OPTIONS.demo, images=tmp_path / "pictures")
    assert only(mepave.read(path, options)).images == (str(tmp_path / "pictures" / "c_7.jpg"),)
    assert only(mepave.read(path, OPTIONS)).images == ()


def test_mepave_sentences_come_with_the_split_of_their_file(tmp_path: Path) -> None:
    for number, name in enumerate(("all.test", "all.train", "all.valid", "notes.txt")):
        (tmp_path / name).write_text(f"c{number}\ts\t裙\t裙\n", encoding="utf-8")
    found = [row for row in mepave.read(tmp_path, OPTIONS) if isinstance(row, Product)]
    assert [(row.group_id, row.split) for row in found] == [("c0", "test"), ("c1", "train"), ("c2", "validation")]
    again = [row for part in mepave.cut(tmp_path) for row in mepave.read(tmp_path, replace(OPTIONS, only=part))]
    assert again == found
    assert [row.split for row in mepave.read(tmp_path / "all.test", OPTIONS) if isinstance(row, Product)] == ["test"]


def test_extractgpt_titles_come_with_the_split_of_their_file(tmp_path: Path) -> None:
    for name in ("dev", "test", "train_1.0", "titles"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text('{"input": "Red Boots", "target_scores": {"Color": {"Red": 1}}}\n', encoding="utf-8")
    found = {row.product_id: row.split for row in extractgpt.read(tmp_path, OPTIONS) if isinstance(row, Product)}
    expected = {"dev": "validation", "test": "test", "titles": None, "train_1.0": "train"}
    assert found == {f"{tmp_path.name}/{name}/0": split for name, split in expected.items()}


def test_implicitave_rows_come_with_the_split_of_their_file(tmp_path: Path) -> None:
    for name in ("Home/val.tsv", "labelled.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(HEADER + ROW, encoding="utf-8")
    found = [row.split for row in implicitave.read(tmp_path, OPTIONS) if isinstance(row, Product)]
    assert found == ["validation", None]


def test_mepave_product_name_cannot_lead_to_another_folder(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("../c\ts\t裙\t裙\n", encoding="utf-8")
    options = SourceOptions(demo=OPTIONS.demo, images=tmp_path / "pictures")
    assert list(mepave.read(path, options)) == [
        BadRow(str(path), 1, "cid", "../c.jpg", Reason.PATH_LEAVES_FOLDER),
    ]


@pytest.mark.parametrize(
    ("file", "read_from", "images"),
    [
        ("labelled/Home.tsv", "labelled", "images"),  # beside
        ("labelled/Home.tsv", "labelled/Home.tsv", "images"),
        ("Home.tsv", ".", "images"),  # inside
        ("titles_only/Home/train.tsv", "titles_only", "images"),
    ],
)
def test_implicitave_finds_its_pictures(file: str, read_from: str, images: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + ROW)
    (tmp_path / images).mkdir()
    row = only(implicitave.read(tmp_path / read_from, OPTIONS))
    assert row.images == (str(tmp_path / images / "B1.jpg"),)


def test_implicitave_facets_are_left_to_the_match_stage_to_place(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(HEADER + ROW)
    [facet] = only(implicitave.read(tmp_path / "a.tsv", OPTIONS)).facets
    assert (facet.spans, facet.modality, facet.provenance) == ((), None, "annotated")


def test_implicitave_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("id\timages\ttexts\n")
    with pytest.raises(DataError, match="no column category, attribute_names, attribute_values"):
        list(implicitave.read(tmp_path / "a.tsv", OPTIONS))


def test_extractgpt_ids_say_folder_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.jsonl").write_text('\n{"input": "A", "target_scores": {}}\n')  # a blank line keeps its number
    assert only(extractgpt.read(Path("train.jsonl"), OPTIONS)).product_id == f"{tmp_path.name}/train/1"


def test_of_na_and_a_value_in_one_slot_the_first_decides(tmp_path: Path) -> None:
    scores = {"Size": {"n/a": 1, "XL": 1}, "Color": {"red": 1, "n/a": 1}}
    (tmp_path / "train.jsonl").write_text(json.dumps({"input": "Hat", "target_scores": scores}))
    product = only(extractgpt.read(tmp_path / "train.jsonl", OPTIONS))
    assert product.facets == (Facet("Size", "XL"), Facet("Color", "red"))
    assert product.absent == ("Size",)
    said = [Facet("Size", "XL"), Facet("Color", "red")]
    assert counted(product, said, "na_f1").tally == Tally(correct=1, predicted=2, gold=1)


def test_extractgpt_keeps_different_titles_in_different_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"input": "{title}", "target_scores": {{}}}}\n' for title in ("Red", "red", "Red 2")))
    groups = [row.group_id for row in extractgpt.read(path, OPTIONS) if isinstance(row, Product)]
    assert groups[0] == groups[1] != groups[2]


def test_mae_takes_pictures_from_the_folder_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    path.write_text('[{"diffbotUri": "a", "clean_title": "Pot", "images": ["p.jpg"], "specs": {"Lid": null}}]')
    options = SourceOptions(demo=OPTIONS.demo, images=tmp_path / "elsewhere")
    row = only(mae.read(path, options))
    assert row.images == (str(tmp_path / "elsewhere" / "p.jpg"),)
    assert row.absent == ("Lid",)
    assert only(mae.read(path, OPTIONS)).images == (str(tmp_path / "images" / "p.jpg"),)
