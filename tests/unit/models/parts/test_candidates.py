"""Which values a slot may be filled with, and what is known of a product's slots."""

from __future__ import annotations

import torch

from facetmill.models.parts.candidates import Candidates, labels, with_train_values
from facetmill.records import Attribute, AttributeSchema, Facet, Product

SCHEMA = AttributeSchema(
    (
        Attribute("Colour", {"navy": 2, "Blue": 3, "blue": 5, "dark blue": 4, "BLUE ": 1}, ("shirts",)),
        Attribute("Pattern", {"none": 3, "stripes": 1}, ("shirts", "mugs")),
    )
)
SYNONYMS = {"Colour": {"Navy": "dark blue"}}


def product(*facets: tuple[str, str], category: str | None = None, absent: tuple[str, ...] = ()) -> Product:
    return Product("p", "s", "", category=category, facets=tuple(Facet(*each) for each in facets), absent=absent)


def test_values_that_are_one_to_a_reader_or_are_said_to_be_are_one_candidate_by_the_commonest_spelling() -> None:
    found = Candidates.of(SCHEMA, SYNONYMS)
    assert found.values == (("blue", "dark blue"), ("none", "stripes"))
    assert found.numbers[0] == {"blue": 1, "dark blue": 2, "navy": 2}
    assert Candidates.of(SCHEMA, {}).values[0] == ("blue", "dark blue", "navy")


def test_no_value_is_the_first_of_each_slot_and_reads_none_unless_that_is_a_value() -> None:
    found = Candidates.of(SCHEMA, SYNONYMS)
    assert [found.texts(slot) for slot in (0, 1)] == [
        ["none", "blue", "dark blue"],
        ["none Pattern", "none", "stripes"],
    ]
    assert (found.sizes, found.most) == ([3, 3], 3)


def test_a_schema_gets_the_values_of_train_and_the_names_of_synonyms_that_it_lacks() -> None:
    train = [product(("Colour", "red"), ("Colour", "red"), ("Size", "8")), product(("Colour", "blue"))]
    found = with_train_values(SCHEMA, train, {"Pattern": {"stripes": "striped"}})
    assert found.attributes[0].values == {**SCHEMA.attributes[0].values, "red": 1}
    assert found.attributes[1].values == {"none": 3, "stripes": 1, "striped": 0}
    assert Candidates.of(found, {"Pattern": {"stripes": "striped"}}).values[1] == ("none", "striped")
    assert with_train_values(SCHEMA, train[1:], {}) is SCHEMA


def test_what_is_not_said_is_unknown_or_none_and_what_is_absent_is_always_none() -> None:
    candidates = Candidates.of(SCHEMA, SYNONYMS)
    products = [
        product(("Colour", "NAVY"), ("Colour", "blue")),
        product(("Colour", "teal"), absent=("Colour", "Pattern", "Size")),
        product(("Pattern", "none"), absent=("Pattern",)),
    ]
    unknown = labels(products, candidates, {}, unsaid_is_none=False)
    assert unknown.true_PSV.int().tolist() == [
        [[0, 1, 1], [0, 0, 0]],
        [[0, 0, 0], [1, 0, 0]],
        [[0, 0, 0], [0, 1, 0]],
    ]
    assert unknown.known_PS.tolist() == [[True, False], [False, True], [False, True]]
    none = labels(products, candidates, {}, unsaid_is_none=True)
    assert none.true_PSV.int().tolist() == [
        [[0, 1, 1], [1, 0, 0]],
        [[0, 0, 0], [1, 0, 0]],
        [[1, 0, 0], [0, 1, 0]],
    ]
    assert none.known_PS.tolist() == [[True, True], [False, True], [True, True]]  # teal is no candidate, nor none


def test_a_category_has_its_own_slots_and_an_unknown_one_all() -> None:
    mugs = {"mugs": torch.tensor([False, True])}
    products = [product(("Colour", "blue"), category=name) for name in ("mugs", "hats")]
    found = labels(products, Candidates.of(SCHEMA, {}), mugs, unsaid_is_none=True)
    assert found.possible_PS.tolist() == found.known_PS.tolist() == [[False, True], [True, True]]
    assert labels([], Candidates.of(SCHEMA, {}), mugs, unsaid_is_none=True).true_PSV.shape == (0, 2, 4)
