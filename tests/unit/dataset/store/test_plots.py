"""What `dvc plots` and MLflow show of a dataset."""

from __future__ import annotations

import csv
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from facetmill.dataset.store.plots import write_plots
from facetmill.files import write_json
from facetmill.records import Attribute, AttributeSchema
from facetmill.report.saliency_figure import saliency_figure

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


def plots(folder: Path) -> dict[str, list[dict[str, str]]]:
    write_plots(folder / "dataset", folder / "reports", folder / "plots", min_dif=0.09)
    found = {}
    for path in sorted((folder / "plots").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            found[path.stem] = list(csv.DictReader(stream))
    return found


def test_each_file_holds_its_numbers_the_largest_first(built: Path) -> None:
    found = plots(built)
    assert [(row["attribute"], row["products"]) for row in found["attributes"]] == [
        ("‹b>Colour‹/b>", "9"),
        ("Fabric", "2"),
    ]
    assert [(row["reason"], row["rows"]) for row in found["dropped"]] == [("b", "7"), ("c", "3"), ("a", "1")]
    facets = [(row["where"], row["facets"]) for row in found["facets"]]
    assert facets[:2] == [("train, in the text", "3"), ("train, not in the text", "1")]
    assert [row["dif"] for row in found["saliency"]] == ["0.4", "-0.02"]


def test_a_dataset_that_cannot_be_read_has_empty_plots(built: Path) -> None:
    (built / "dataset" / "schema.json").write_text("{")
    (built / "reports" / "ingest.json").unlink()
    found = plots(built)
    assert (found["attributes"], found["dropped"]) == ([], [])
    assert len(found["facets"]) == 6


@pytest.mark.parametrize("slots", [SLOTS, []])
def test_the_figure_is_one_valid_file_that_fetches_nothing(slots: list[dict[str, Any]]) -> None:
    figure = saliency_figure(slots, 0.09)
    tree = ET.fromstring(figure)
    bars = [each for each in tree.iter("{http://www.w3.org/2000/svg}rect") if each.get("width") != "100%"]
    assert [bar.get("fill") for bar in bars] == ["#86c79d", "#fff"][: len(slots)]
    said = " ".join(filter(None, (each.text for each in tree.iter())))
    assert all(slot["attribute"] in said for slot in slots)
    assert figure.count("http") == 1  # the name space


def test_dvc_draws_them(built: Path, root: Path) -> None:
    plots(built)
    (built / "dvc.yaml").write_text((root / "dvc.yaml").read_text())
    (built / "params.yaml").write_text((root / "params.yaml").read_text())
    dvc = [sys.executable, "-m", "dvc"]
    for words in (["init", "--no-scm", "--quiet"], ["plots", "show", "--out", "page"]):
        done = subprocess.run([*dvc, *words], cwd=built, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    page = (built / "page" / "index.html").read_text()
    assert all(f'"{title}"' in page for title in ("Facets by split, in the text or not", "What ingest dropped"))
    assert list((built / "page").rglob("*saliency.svg"))
