"""The table of dictionaries: on a published test split or by folds, with the figures of others beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.dataset.store.reading import reading_data
from facetmill.errors import DataError
from facetmill.params import load_params
from facetmill.records import Facet, Product
from facetmill.studies.beside import published_beside
from facetmill.studies.dictionary import ROWS, Table, study_dictionary
from tests import small


def product(number: int, title: str, value: str, split: str | None = None) -> Product:
    facets = (Facet("Colour", value),)
    return Product(str(number), "s", title, facets=facets, split=split)  # type: ignore[arg-type]


def of_row(table: Table, name: str) -> float:
    return next(row.na_f1 for row in table.rows if row.name == name)


def test_a_published_test_split_is_scored_by_what_is_in_the_others() -> None:
    products = [
        product(0, "red hat", "red", "train"),
        product(1, "dark red hat", "dark red", "validation"),
        product(2, "red hat", "red", "train"),
        product(3, "dark red shoe", "dark red", "test"),
    ]
    table = study_dictionary(small.DICTIONARY, products, None, print)
    assert (table.scored_on, table.num_scored) == ("the published test split", 1)
    assert (of_row(table, "longest"), of_row(table, "most frequent"), of_row(table, "rarest")) == (100, 0, 100)


def test_without_one_every_product_is_scored_by_folds() -> None:
    products = [product(i, f"{i} red hat", "red") for i in range(40)]
    table = study_dictionary(small.DICTIONARY, products, None, print)
    assert (table.scored_on, table.num_scored) == ("5 folds", 40)
    assert {row.name: row.na_f1 for row in table.rows} == dict.fromkeys(ROWS, 100.0)
    with pytest.raises(DataError, match="9 products: too few for 5 folds"):
        study_dictionary(small.DICTIONARY, products[:9], None, print)


def test_figures_of_others_are_known_by_the_name_of_the_data() -> None:
    products = [product(i, f"{i} red hat", "red") for i in range(40)]
    table = study_dictionary(small.DICTIONARY, products, "mepave-sample", print)
    assert {row.name: dict(row.beside) for row in table.rows if row.beside} == {
        "WSM": {"value_f1": 76.36, "attribute_f1": 88.13}
    }
    with pytest.raises(
        DataError, match="figures are known beside ae-110k, implicitave, mae, mepave, mepave-sample, oa-mine, "
    ):
        study_dictionary(small.DICTIONARY, products, "mave", print)


@pytest.mark.parametrize("name", ["ae-110k", "oa-mine"])
def test_folds_of_the_train_titles_come_near_to_what_others_got_on_test(
    name: str, shared_data: Path, root: Path
) -> None:
    """Four fifths of the titles to count in cost up to two points; orders of matches are far further apart."""
    params = load_params(root / "params.yaml")
    dataset = replace(params.dataset, format="extractgpt", path=str(shared_data / name / "train.jsonl"))
    with reading_data(replace(params, dataset=dataset)) as (products, _):
        titles = [replace(product, split=None) for product in products]
    table = study_dictionary(params.models.dictionary, titles, name, print)
    ours = {row.name: row.na_f1 for row in table.rows}
    for row in published_beside(name, "dictionary", ["na_f1"]):
        assert row.scores["na_f1"] - 2.5 < ours[row.name] < row.scores["na_f1"] + 2, row
