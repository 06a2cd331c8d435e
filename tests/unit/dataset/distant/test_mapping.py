"""A mapping means what its file says, and is refused by name where that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.dataset.distant.label_sources import LABEL_SOURCES
from facetmill.dataset.distant.mapping import LabelMapping, load_mapping
from facetmill.errors import DataError

GOOD = """
categories:
  Sleeve: [Tops]
  Toe: null
labels:
  clothing:
    label:
      Sleeve: {T-Shirt: Short, Polo: Short, Longsleeve: Long}
  zap50k:
    ToeStyle:
      Toe: {Round Toe: Round, Pointed Toe: Pointed}
"""


def load(tmp_path: Path, text: str) -> LabelMapping:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    return load_mapping(path, LABEL_SOURCES)


def test_what_labels_mean(tmp_path: Path) -> None:
    mapping = load(tmp_path, GOOD)
    assert mapping.attributes == ("Sleeve", "Toe")
    assert mapping.values_of("Sleeve") == ("Short", "Long")
    assert mapping.categories == {"Sleeve": ("Tops",), "Toe": None}
    assert mapping.meant("clothing", {"label": ("Polo",)}) == {"Sleeve": {"Short"}}
    assert mapping.meant("clothing", {"label": ("Hat",), "kids": ("True",)}) == {}
    assert mapping.meant("zap50k", {"ToeStyle": ("Round Toe", "Pointed Toe")}) == {"Toe": {"Round", "Pointed"}}
    assert mapping.meant("zap50k", {"label": ("Polo",)}) == {}  # another set's word
    assert not mapping.means("clothing", "label", "Hat")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Polo: Short", "T-Shirt: Long", r"mapping\.yaml: line 8: 'T-Shirt' stands twice, with 'Short' and 'Long'"),
        ("Polo: Short", "Polo: [Short, Long]", r"labels\.clothing\.label\.Sleeve\.Polo = \['Short', 'Long'\]"),
        ("Polo: Short", "Polo: 3", r"labels\.clothing\.label\.Sleeve\.Polo = 3: expected a value"),
        ("Polo: Short", "No: Short", r"labels\.clothing\.label\.Sleeve: key False is not text; write it in quotes"),
        ("  clothing:", "  clothes:", r"labels\.clothes: no such format; known are clothing"),
        ("  Toe: null\n", "", r"categories: say where 'Toe' may be annotated"),
        ("  Toe: null\n", "  Toe: null\n  Heel: null\n", r"categories\.Heel: no label means a value of it"),
        ("  Toe: null\n", "  Toe: Shoes\n", r"categories\.Toe = 'Shoes': expected a list"),
        ("categories:", "kinds:", r"expected the keys categories and labels, found kinds, labels"),
        ("categories:", "categories: [", r"mapping\.yaml: "),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(tmp_path, GOOD.replace(old, new, 1))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.yaml"):
        load_mapping(tmp_path / "gone.yaml", LABEL_SOURCES)


def test_a_python_object_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not determine a constructor"):
        load(tmp_path, "!!python/object/apply:os.getcwd []")


def test_the_mappings_that_come_with_the_project(root: Path) -> None:
    paths = sorted((root / "src/facetmill/dataset/distant/mappings").glob("*.yaml"))
    assert paths
    for path in paths:
        mapping = load_mapping(path, LABEL_SOURCES)
        assert all(len(mapping.values_of(attribute)) >= 2 for attribute in mapping.attributes)
