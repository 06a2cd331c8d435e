"""What columns of shops' files are taken for."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from facetmill.catalogues.columns import look
from facetmill.catalogues.proposal import Proposal, propose
from facetmill.errors import DataError
from tests.office import xlsx

NUM_ROWS = 30


def written(path: Path, columns: dict[str, Sequence[str]], delimiter: str = ",") -> Path:
    """A CSV of `NUM_ROWS` rows, the cells of each column taken in turn."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows([cells[row % len(cells)] for cells in columns.values()] for row in range(NUM_ROWS))
    return path


def numbered(pattern: str) -> list[str]:
    return [pattern.format(number) for number in range(NUM_ROWS)]


def proposed(path: Path, said: dict[str, str] | None = None, **more: Sequence[str]) -> Proposal:
    return propose(look(path), said or {}, **more)


def test_a_german_shop_is_understood(tmp_path: Path) -> None:
    columns = {
        "Artikelnummer": numbered("A-{:03}"),
        "Bezeichnung": numbered("Hemd blau aus Leinen {}"),
        "Beschreibung": ["Schön."],
        "Kategorie": ["Hemden", "Hosen"],
        "Preis": ["19,90 €", "1.249,00 €"],
        "Farbe": ["blau", "rot", "grün"],
        "Größe": ["S", "M"],
        "EAN": numbered("40123456789{:02}"),
        "Link": numbered("https://shop.example/p/{}"),
        "Angelegt am": ["03.01.2026", "04.01.2026"],
        "Lagerbestand": numbered("{}"),
        "Bild": numbered("bild{}.JPG"),
        "Leer": [""],
    }
    found = proposed(written(tmp_path / "k.csv", columns, ";"))
    assert found.columns == {
        "product_id": "Artikelnummer",
        "title": "Bezeichnung",
        "text": "Beschreibung",
        "category": "Kategorie",
        "images": "Bild",
    }
    assert found.attributes == {"Farbe": 3, "Größe": 2}
    assert list(found.ignored) == ["Preis", "EAN", "Link", "Angelegt am", "Lagerbestand", "Leer"]
    assert "'19,90 €'" in found.ignored["Preis"], "a person sees why"


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("Amount", ["USD 12.50", "EUR 3"], "prices"),
        ("price", ["12.50", "3"], "prices"),
        ("Last change", ["2026-01-02T10:00:00Z"], "dates"),
        (
            "notes",
            ["It is a fine thing that was made by hand in a small town near the sea, and it lasts."],
            "free text",
        ),
        ("slogan", numbered("For the {} best days"), "free text"),
        ("code", numbered("X{:04}"), "ids"),
        ("photo on our page", ["http://shop.example/1.jpg"], "links"),
        ("Brand", ["Acme"], "the same in every row"),
    ],
)
def test_what_nobody_filters_by_is_ignored(tmp_path: Path, name: str, cells: list[str], why: str) -> None:
    columns = {"id": numbered("{}"), "title": numbered("Red hat {}"), name: cells, "Color": ["red", "blue"]}
    found = proposed(written(tmp_path / "c.csv", columns))
    assert found.ignored[name].startswith(why)
    assert list(found.attributes) == ["Color"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("Size", ["38", "40", "42"]),
        ("Weight", ["1.5 kg", "2 kg"]),
        ("Released", ["2024", "2025"]),
        ("Idea", ["modern", "classic"]),
        ("Water resistant", ["yes", "no"]),
    ],
)
def test_what_people_filter_by_is_kept(tmp_path: Path, name: str, cells: list[str]) -> None:
    columns = {"id": numbered("{}"), "title": numbered("Red hat {}"), name: cells}
    assert name in proposed(written(tmp_path / "c.csv", columns)).attributes


def test_without_names_the_cells_tell_id_and_title(tmp_path: Path) -> None:
    columns = {"Colour": ["red", "blue"], "Nr": numbered("N{:03}"), "Ware": numbered("Red hat of wool {}")}
    found = proposed(written(tmp_path / "c.csv", columns))
    assert found.columns == {"product_id": "Nr", "title": "Ware"}


def test_a_column_called_id_that_repeats_is_no_id(tmp_path: Path) -> None:
    columns = {"ID": ["1", "2"], "SKU": numbered("S{}"), "Name": numbered("Red hat {}")}
    assert proposed(written(tmp_path / "c.csv", columns)).columns["product_id"] == "SKU"


def test_pictures_on_the_web_are_told(tmp_path: Path) -> None:
    columns = {"id": numbered("{}"), "title": numbered("Hat {}"), "image_link": numbered("https://cdn.example/{}.jpg")}
    found = proposed(written(tmp_path / "c.csv", columns))
    assert found.pictures_on_the_web == "image_link"
    assert "images" not in found.columns


def test_what_a_person_says_stands(tmp_path: Path) -> None:
    columns = {
        "id": numbered("{}"),
        "title": numbered("Hat {}"),
        "Kind": ["a", "b"],
        "price": ["1.50"],
        "Fit": ["x", "y"],
    }
    found = proposed(written(tmp_path / "c.csv", columns), {"category": "Kind"}, keep=["price"], ignore=["Fit"])
    assert found.columns["category"] == "Kind"
    assert list(found.attributes) == ["price"]
    assert found.ignored == {"Fit": "you said so"}


def test_wrong_names_are_told_with_those_that_are_near(tmp_path: Path) -> None:
    path = written(tmp_path / "c.csv", {"id": numbered("{}"), "title": numbered("Hat {}"), "Color": ["red"]})
    with pytest.raises(DataError, match=r"no field 'titel' \(did you mean 'title'\?\)"):
        proposed(path, {"titel": "Color"})
    with pytest.raises(DataError, match=r"no column 'Colr' \(did you mean 'Color'\?\)"):
        proposed(path, keep=["Colr"])
    with pytest.raises(DataError, match=r"no column looks like the product_id of a product; say which: --column prod"):
        proposed(written(tmp_path / "d.csv", {"Color": ["red"], "title": numbered("Hat {}")}))


def test_whatever_a_build_reads_is_looked_at(tmp_path: Path) -> None:
    table = [["id", "title", "Color"], [1, "Hat", "#N/A"], ["2", "Cap", "red"]]
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "about.pdf").write_bytes(b"%PDF")
    xlsx(tmp_path / "shop" / "shop.xlsx", table)
    (tmp_path / "shop.txt").write_bytes("\n".join("|".join(map(str, row)) for row in table).encode("utf-16"))
    for path in (tmp_path / "shop", tmp_path / "shop.txt"):
        looked = look(path)
        assert (list(looked.columns), looked.num_rows) == (["id", "title", "Color"], 2)
        assert looked.columns["Color"].cells == ["red"]
