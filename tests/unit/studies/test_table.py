"""A study's table: every row on the same products, trained once, held against its bar."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from facetmill.errors import DataError
from facetmill.records import Facet, Product, Span
from facetmill.runs.train import Recipe
from facetmill.studies.arms import Part, parts_of
from facetmill.studies.table import Line, Table, with_rows
from tests import small

COLOURS = ("red", "blue", "green", "dark red")
DICTIONARY = Recipe("dictionary", small.DICTIONARY, small.TRAINING)
JAVE = Recipe("jave", small.JAVE, replace(small.TRAINING, epochs=2))
LINES = [
    Line("dictionary", DICTIONARY, bar="dictionary"),
    Line("jave", JAVE, bar="dictionary"),
    Line("jave, elsewhere", JAVE, bar="jave", elsewhere=True),
]


def product(number: int, name: str = "") -> Product:
    value = COLOURS[number % 4] if number % 10 else f"hue{number}"
    title = f"{number} {value} hat"
    start = title.index(value)
    facets = (Facet("Colour", value, (Span("title", start, start + len(value)),), provenance="matched"),)
    return Product(f"{name}{number}", "s", title, category="Hats", facets=facets)


PRODUCTS = [product(number) for number in range(60)]
ELSEWHERE = tuple(product(number, "other ") for number in range(10, 30, 10))


@dataclasses.dataclass
class Asked:
    """A table, where its trainings are kept, and what was logged."""

    table: Table
    kept: Path
    lines: list[str]

    @property
    def trained(self) -> list[str]:
        return [line for line in self.lines if line.endswith("trained")]


def ask(folder: Path, rows: list[Line]) -> Asked:
    scored_on, parts = parts_of(PRODUCTS, num_folds=1)
    parts = [replace(part, elsewhere=ELSEWHERE) for part in parts]
    lines: list[str] = []
    empty = Table("test", "Is it?", "products:x.csv", scored_on, "value_f1", (0, 1))
    table = with_rows(empty, rows, parts, kept=folder, features_dir=folder / "features", log=lines.append)
    return Asked(table, folder, lines)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return ask(tmp_path_factory.mktemp("studies"), LINES)


def test_every_row_is_scored_on_the_same_products_and_held_against_its_bar(asked: Asked) -> None:
    dictionary, jave, elsewhere = asked.table.rows
    assert (asked.table.scored_on, dictionary.num_scored, jave.num_scored) == ("1 of 5 folds", 12, 12)
    value = dictionary.measures["value_f1"]
    assert value.low <= value.f1 <= value.high
    assert (value.gain, value.gain_low, value.gain_high, value.spread) == (0, 0, 0, 0)
    assert (dictionary.recall_seen, dictionary.recall_unseen) == (100.0, 0.0)
    assert dictionary.measures["value_f1"].recall == dictionary.share_seen, "it recalls what training has, and no more"
    assert dictionary.calibration_error is not None
    assert 0 <= dictionary.calibration_error < 100
    gain = jave.measures["value_f1"]
    assert gain.gain == pytest.approx(jave.measures["value_f1"].f1 - value.f1, abs=1)
    assert gain.gain_low <= gain.gain <= gain.gain_high < 0, "two epochs are no match for a dictionary"
    assert len(jave.best_epochs) == 2
    assert jave.peak_mib > 100
    assert elsewhere.num_scored == 2
    assert elsewhere.best_epochs == jave.best_epochs, "what was trained once is asked about both"


def test_attributes_are_those_that_a_model_predicts_where_it_does(asked: Asked) -> None:
    dictionary, jave, _ = asked.table.rows
    assert (dictionary.predicts_attributes, jave.predicts_attributes) == (False, True)
    assert jave.measures["attribute_f1"].f1 == 100, "every product has the one attribute there is"
    assert jave.measures["value_f1"].f1 < 50


def test_categories_and_attributes_have_scores_and_support_of_their_own(asked: Asked) -> None:
    row = asked.table.rows[0]
    assert row.by_category.keys() == {"Hats"}
    assert row.by_attribute.keys() == {"Colour"}
    assert row.by_attribute["Colour"].support == 12
    assert row.by_attribute["Colour"].f1 == row.measures["value_f1"].f1


def test_a_study_that_was_cut_off_trains_only_what_is_missing(asked: Asked) -> None:
    assert len(asked.trained) == 1 + 2
    assert (again := ask(asked.kept, LINES)).table == asked.table
    assert again.trained == []
    lost = sorted(asked.kept.glob("*.json"))[0]
    before = lost.read_bytes()
    lost.unlink()
    mended = ask(asked.kept, LINES)
    assert len(mended.trained) == 1
    lost.write_bytes(before)  # with its own seconds
    more = ask(asked.kept, [*LINES, Line("half", DICTIONARY, bar="dictionary", share=0.5)])
    assert more.trained == ["half, seed 0, fold 0: trained", "half, seed 1, fold 0: trained"]


def test_parts_share_no_group_and_keep_a_published_split() -> None:
    words, parts = parts_of(PRODUCTS)
    assert (words, len(parts)) == ("5 of 5 folds", 5)
    for part in parts:
        groups = [{each.group_id for each in split} for split in (part.train, part.validation, part.test)]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 60
    assert sorted(each.product_id for part in parts for each in part.test) == sorted(p.product_id for p in PRODUCTS)
    split = [replace(p, split="test" if i < 10 else "train") for i, p in enumerate(PRODUCTS)]
    words, (part,) = parts_of(split)
    assert words == "the published test split"
    assert part.test == tuple(split[:10])
    with pytest.raises(DataError, match="9 products: too few for 5 folds"):
        parts_of(PRODUCTS[:9])


def test_less_to_learn_from_is_nested_and_exact_to_a_group() -> None:
    _, (whole, *_) = parts_of(PRODUCTS)
    shares = (0.2, 0.4, 0.6, 0.8, 1.0)
    subsets = [whole.with_less(share, seed=3) for share in shares]
    assert [len(part.train) for part in subsets] == [round(share * len(whole.train)) for share in shares]
    for less, more in pairwise(subsets):
        assert set(less.train) < set(more.train)
    assert all(part.test == whole.test and part.validation == whole.validation for part in subsets)
    assert whole.with_less(0.2, seed=4).train != subsets[0].train


def test_a_picture_counts_by_what_it_shows_not_by_where_it_lies(tmp_path: Path) -> None:
    def part(name: str, content: bytes) -> Part:
        (tmp_path / name).write_bytes(content)
        return Part("all", (replace(product(1), images=(str(tmp_path / name),)),), (), ())

    assert part("a.png", b"red").digest == part("b.png", b"red").digest != part("c.png", b"blue").digest
