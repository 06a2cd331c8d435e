"""Readers of labelled picture sets: each published format on a small file of its shape, bad rows, hostile paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facetmill.dataset.distant.base import LabelledPicture
from facetmill.dataset.distant.label_sources import LABEL_SOURCES, parse_labels
from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason


def lines(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read(source: str, folder: Path) -> tuple[list[LabelledPicture], list[BadRow]]:
    rows = list(LABEL_SOURCES[source].read(folder))
    return (
        [row for row in rows if isinstance(row, LabelledPicture)],
        [row for row in rows if isinstance(row, BadRow)],
    )


def reasons(bad: list[BadRow]) -> list[tuple[int, str, str, Reason]]:
    return [(row.row, row.field, row.value, row.reason) for row in bad]


def test_clothing(tmp_path: Path) -> None:
    lines(
        tmp_path / "images.csv",
        "image,sender_id,label,kids",
        "aa,7,T-Shirt,False",
        "bb,7,Not sure,False",
        "cc,8,Polo,True",
        "../../etc/passwd,9,Polo,True",
        "/etc/passwd,9,Polo,True",
        ",9,Polo,True",
        "dd,9",
        "ee,9,Skip,True",
        "ff,9,Other,False",
    )
    good, bad = read("clothing", tmp_path)
    assert good == [
        LabelledPicture(f"{tmp_path}/images/aa.jpg", "7", {"label": ("T-Shirt",), "kids": ("False",)}),
        LabelledPicture(f"{tmp_path}/images/cc.jpg", "8", {"label": ("Polo",), "kids": ("True",)}),
    ]
    assert reasons(bad) == [
        (3, "label", "Not sure", Reason.NO_LABEL),
        (5, "image", "../../etc/passwd.jpg", Reason.PATH_LEAVES_FOLDER),
        (6, "image", "/etc/passwd.jpg", Reason.PATH_LEAVES_FOLDER),
        (7, "image", "", Reason.MISSING_FIELD),
        (8, "label", "dd\t9", Reason.MISSING_FIELD),
        (9, "label", "Skip", Reason.NO_LABEL),
        (10, "label", "Other", Reason.NO_LABEL),
    ]
    assert str(tmp_path / "images.csv") in str(bad[0])


def test_clothing_without_a_column(tmp_path: Path) -> None:
    lines(tmp_path / "images.csv", "image,label", "aa,Polo")
    with pytest.raises(DataError, match=r"images\.csv: no column sender_id, kids"):
        read("clothing", tmp_path)


def test_fashionai(tmp_path: Path) -> None:
    lines(
        tmp_path / "Annotations" / "label.csv",
        "Images/skirt_length_labels/a.jpg,skirt_length_labels,nnnynm",
        "Images/sleeve_length_labels/b.jpg,sleeve_length_labels,nynnnnnnn",
        "Images/skirt_length_labels/c.jpg,skirt_length_labels,nnnmnn",
        "Images/skirt_length_labels/d.jpg,skirt_length_labels,nnyn",
        "Images/skirt_length_labels/e.jpg,skirt_length_labels,ynnnny",
        "Images/hat_labels/f.jpg,hat_labels,yn",
        "../g.jpg,skirt_length_labels,ynnnnn",
        "Images/h.jpg,skirt_length_labels",
    )
    good, bad = read("fashionai", tmp_path)
    assert good == [
        LabelledPicture(f"{tmp_path}/Images/skirt_length_labels/a.jpg", "a", {"skirt_length_labels": ("Midi Length",)}),
        LabelledPicture(
            f"{tmp_path}/Images/sleeve_length_labels/b.jpg", "b", {"sleeve_length_labels": ("Sleeveless",)}
        ),
    ]
    assert [(row.row, row.field, row.reason) for row in bad] == [
        (3, "marks", Reason.NO_LABEL),
        (4, "marks", Reason.WRONG_TYPE),
        (5, "marks", Reason.WRONG_TYPE),
        (6, "task", Reason.WRONG_TYPE),
        (7, "image", Reason.PATH_LEAVES_FOLDER),
        (8, "line", Reason.BROKEN_TABLE_ROW),
    ]


def test_zap50k(tmp_path: Path) -> None:
    shoe = touch(tmp_path / "ut-zap50k-images" / "Shoes" / "Oxfords" / "Some Brand" / "100627.72.jpg")
    touch(tmp_path / "outside.jpg")
    (shoe.parent / "4.1.jpg").symlink_to(tmp_path / "outside.jpg")
    lines(
        tmp_path / "ut-zap50k-data" / "meta-data.csv",
        "CID,Category,HeelHeight,Closure,ToeStyle",
        "100627-72,Shoes,1in - 1 3/4in,Lace up;Velcro;Lace up,",
        "100627-73,Shoes,,,",
        "4-1,Shoes,,,",
        "5-1,,,,NaN",
    )
    good, bad = read("zap50k", tmp_path)
    labels = {"Category": ("Shoes",), "HeelHeight": ("1in - 1 3/4in",), "Closure": ("Lace up", "Velcro")}
    assert good == [LabelledPicture(str(shoe), "100627", labels)]
    assert reasons(bad) == [
        (3, "CID", "100627-73", Reason.MISSING_IMAGE),
        (4, "CID", "Shoes/Oxfords/Some Brand/4.1.jpg", Reason.PATH_LEAVES_FOLDER),
        (5, "CID", "5-1", Reason.NO_LABEL),
    ]


def write_ifashion(folder: Path, annotations: str) -> None:
    lines(
        folder / "iMat_fashion_2018_label_map_228.csv",
        "labelId,taskId,labelName,taskName",
        "1,4,Argyle,pattern",
        "14,1,Beige,color",
        "17,1,Black,color",
    )
    (folder / "train.json").write_text('{"info": {"year": 2018}, "annotations" : [' + annotations)


def test_ifashion(tmp_path: Path) -> None:
    rows = [
        {"labelId": ["17", "14", "1"], "imageId": "1"},
        {"imageId": "2", "labelId": ["17"]},
        {"imageId": "3", "labelId": []},
        {"imageId": "4", "labelId": ["999"]},
        {"imageId": "5", "labelId": "17"},
        {"labelId": ["17"]},
        {"imageId": "../6", "labelId": ["17"]},
    ]
    text = ",\n".join(json.dumps(row) for row in rows) + ', {"imageId": }], "license": {"name": "none"}}'
    write_ifashion(tmp_path, text)
    good, bad = read("ifashion", tmp_path)
    assert good == [
        LabelledPicture(
            f"{tmp_path}/images/train/1.jpg", "train/1", {"color": ("Black", "Beige"), "pattern": ("Argyle",)}
        ),
        LabelledPicture(f"{tmp_path}/images/train/2.jpg", "train/2", {"color": ("Black",)}),
    ]
    assert [(row.row, row.field, row.reason) for row in bad] == [
        (3, "labelId", Reason.NO_LABEL),
        (4, "labelId", Reason.WRONG_TYPE),
        (5, "labelId", Reason.WRONG_TYPE),
        (6, "imageId", Reason.MISSING_FIELD),
        (7, "imageId", Reason.PATH_LEAVES_FOLDER),
        (8, "annotations", Reason.BROKEN_JSON),
    ]


def test_ifashion_is_read_a_chunk_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facetmill.dataset.distant.ifashion._CHUNK", 7)
    write_ifashion(tmp_path, ", ".join(json.dumps({"imageId": str(i), "labelId": ["17"]}) for i in range(30)) + "]}")
    good, bad = read("ifashion", tmp_path)
    assert [picture.group for picture in good] == [f"train/{i}" for i in range(30)]
    assert bad == []


@pytest.mark.parametrize(
    "rest", ['{"imageId": "1", "labelId": ["17"]}, {"imageId"', '{"imageId": "1", "labelId": ["17"]} 5']
)
def test_ifashion_cut_off(tmp_path: Path, rest: str) -> None:
    write_ifashion(tmp_path, rest)
    good, bad = read("ifashion", tmp_path)
    assert (len(good), [row.reason for row in bad]) == (1, [Reason.BROKEN_JSON])


def test_folder(tmp_path: Path) -> None:
    touch(tmp_path / "upper height" / "high" / "b.jpg", b"same")
    touch(tmp_path / "upper height" / "low" / "a.jpg", b"same")
    touch(tmp_path / "upper height" / "low" / ".hidden.jpg")
    touch(tmp_path / "readme.txt")
    (tmp_path / "upper height" / "low" / "away.jpg").symlink_to("/etc/hostname")
    good, bad = read("folder", tmp_path)
    assert [(Path(picture.path).name, picture.labels) for picture in good] == [
        ("b.jpg", {"upper height": ("high",)}),
        ("a.jpg", {"upper height": ("low",)}),
    ]
    assert good[0].group == good[1].group  # one picture under two names
    assert reasons(bad) == [(3, "picture", "upper height/low/away.jpg", Reason.PATH_LEAVES_FOLDER)]


@pytest.mark.parametrize("source", LABEL_SOURCES)
def test_nothing_to_read(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        read(source, tmp_path)


@pytest.mark.parametrize(("text", "said"), [("clothing", "expected format:folder"), ("shoes:x", "known are clothing")])
def test_a_name_that_names_nothing(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_labels(text)


def test_the_real_clothing_set_is_read_whole(shared_data: Path) -> None:
    """5,403 rows are published, 307 of them without a label; the pictures of some more are not there."""
    good, bad = read("clothing", shared_data / "clothing")
    assert (len(good), {row.reason for row in bad}) == (5403 - 307, {Reason.NO_LABEL})
    assert len({picture.group for picture in good}) == 344
