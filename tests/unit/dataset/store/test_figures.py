"""What the page of the data gate draws of a dataset."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from facetmill.dataset.store.figures import MAX_ROWS, figures
from facetmill.files import write_json
from facetmill.gates.verdict import DataVerdict
from facetmill.records import Attribute, AttributeSchema
from facetmill.report.gate_page import render

SLOTS = [
    {"attribute": "<b>Colour</b>", "questions": 40, "text": 0.1, "picture": 0.5, "dif": 0.4, "low": 0.3, "high": 0.5}
    | {"modality": "image"},
    {"attribute": "Fabric", "questions": 40, "text": 0.6, "picture": 0.58, "dif": -0.02, "low": -0.1, "high": 0.05}
    | {"modality": "text"},
]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The small files of a dataset that is built."""
    splits = {name: {"num_explicit": 3, "num_implicit": 1} for name in ("train", "validation", "test")}
    schema = AttributeSchema((Attribute("Fabric", {"Silk": 2}), Attribute("<b>Colour</b>", {"Red": 4, "Blue": 5})))
    (tmp_path / "dataset").mkdir()
    write_json(tmp_path / "dataset" / "manifest.json", {"splits": splits})
    (tmp_path / "dataset" / "schema.json").write_text(schema.to_json())
    (tmp_path / "reports").mkdir()
    write_json(tmp_path / "reports" / "ingest.json", {"dropped": {"a": 1, "b": 7}, "images_dropped": {"c": 3}})
    write_json(tmp_path / "reports" / "saliency.json", {"slots": SLOTS})
    return tmp_path


def sections(folder: Path) -> dict[str, ET.Element]:
    """By heading; each is one valid element."""
    trees = [ET.fromstring(each) for each in figures(folder / "dataset", folder / "reports", min_dif=0.09)]
    return {str(tree.findtext("h2")): tree for tree in trees}


def numbers(section: ET.Element) -> list[tuple[str, str]]:
    return [(str(row.findtext("th")), str(row.findtext("td"))) for row in section.iter("tr")][1:]


def test_each_section_holds_its_numbers_the_largest_first(built: Path) -> None:
    found = sections(built)
    assert numbers(found["Products of train by attribute"]) == [("<b>Colour</b>", "9"), ("Fabric", "2")]
    assert numbers(found["What ingest dropped"]) == [("b", "7"), ("c", "3"), ("a", "1")]
    facets = numbers(found["Facets by split, in the text or not"])
    assert facets[:2] == [("train, in the text", "3"), ("train, not in the text", "1")]
    bars = [bar.get("width") for bar in found["What ingest dropped"].iter("rect")]
    assert bars == ["100.0", "42.9", "14.3"]


def test_what_the_picture_tells_is_filled(built: Path) -> None:
    figure = sections(built)["What seeing the picture adds"]
    bars = [each for each in figure.iter("rect") if each.get("width") != "100%"]
    assert [bar.get("fill") for bar in bars] == ["#86c79d", "#fff"]
    said = " ".join(filter(None, (each.text for each in figure.iter())))
    assert all(slot["attribute"] in said for slot in SLOTS)


def test_what_cannot_be_read_or_is_nothing_is_left_out(built: Path) -> None:
    (built / "dataset" / "schema.json").write_text("[" * 100_000)
    (built / "reports" / "ingest.json").unlink()
    write_json(built / "reports" / "saliency.json", {"slots": []})
    assert list(sections(built)) == ["Facets by split, in the text or not"]


def test_the_page_stays_short_and_fetches_nothing(built: Path) -> None:
    names = [f"\x1b<img src=http://evil/{number}>{'x' * 999}" for number in range(MAX_ROWS * 2)]
    schema = AttributeSchema(tuple(Attribute(name, {"Red": 1}) for name in names))
    (built / "dataset" / "schema.json").write_text(schema.to_json())
    page = render(DataVerdict((), {}), figures=figures(built / "dataset", built / "reports", min_dif=0.09))
    assert page.count("&lt;img src=http://evil/") == MAX_ROWS
    assert "<img" not in page
    assert "\x1b" not in page
    assert len(page) < 40_000
