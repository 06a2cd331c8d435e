"""The dictionary's settings: what counts against a value, the word matchings of the papers, words on packs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facetmill.models.dictionary import Dictionary
from facetmill.records import Attribute, AttributeSchema, Facet, OcrToken, Product, Span
from tests import small

SCHEMA = AttributeSchema((Attribute("Brand", {}), Attribute("Colour", {}), Attribute("Flavour", {})))
WSM = {"places": "claimed", "values": "all", "min_reliability": 0.0}
WM = {"match": "rarest", "ocr": True, "min_reliability": 0.0}


def product(title: str, *, absent: tuple[str, ...] = (), ocr: str = "", **values: str) -> Product:
    facets = tuple(Facet(name, value) for name, value in values.items())
    words = tuple(OcrToken(word, None) for word in ocr.split())
    return Product(title, "s", title, "", facets=facets, absent=absent, ocr=words)


def fitted(*train: Product, **changes: Any) -> Dictionary:
    return Dictionary.fit_vocabulary(replace(small.DICTIONARY, **changes), SCHEMA, train)


def found(model: Dictionary, asked: Product) -> list[tuple[str, str]]:
    (facets,) = model.predict(model.collate([asked]))
    return [(facet.attribute, facet.value) for facet in facets]


@pytest.mark.parametrize(("negatives", "reliability"), [("known", 1 / 2), ("all", 1 / 4)])
def test_texts_where_nobody_said_count_against_a_value_only_if_asked(negatives: str, reliability: float) -> None:
    train = [
        product("apple phone", Brand="apple"),
        product("apple pie", absent=("Brand",)),  # looked for, has none
        product("apple jam", Flavour="jam"),  # nobody said
        product("apple"),
    ]
    model = fitted(*train, negatives=negatives, min_reliability=0.0)
    (facets,) = model.predict(model.collate([product("apple")]))
    assert [facet.confidence for facet in facets] == [pytest.approx(reliability)]


def test_a_value_of_another_attribute_counts_where_its_own_is_known() -> None:
    train = [product("orange juice", Flavour="orange"), product("orange shirt", Colour="orange", Flavour="none")]
    model = fitted(*train, min_reliability=0.0, match="most_frequent")
    (facets,) = model.predict(model.collate([product("orange")]))
    assert {f.attribute: f.confidence for f in facets} == {"Colour": 1.0, "Flavour": 0.5}


def test_wsm_gives_each_place_to_the_longest_value_and_its_commonest_attribute() -> None:
    train = [
        product("navy blue", Colour="navy blue"),
        product("blue", Colour="blue"),
        product("blue", Brand="blue"),
        product("blue", Brand="blue"),
    ]
    model = fitted(*train, **WSM)
    assert found(model, product("blue navy blue jacket, blue")) == [("Brand", "blue"), ("Colour", "navy blue")]
    (facets,) = model.predict(model.collate([product("blue navy blue jacket, blue")]))
    assert facets[0].spans == (Span("title", 0, 4), Span("title", 23, 27))
    shared = fitted(*train, min_reliability=0.0)
    assert found(shared, product("navy blue")) == [("Colour", "navy blue"), ("Brand", "blue")]


def test_all_values_of_an_attribute_or_the_best_one() -> None:
    train = [product("red", Colour="red"), product("dark blue", Colour="dark blue")]
    asked = product("red and dark blue")
    assert found(fitted(*train, values="all"), asked) == [("Colour", "red"), ("Colour", "dark blue")]
    assert found(fitted(*train), asked) == [("Colour", "dark blue")]


def test_wm_takes_the_rarest_value_of_title_and_pack_that_is_no_distractor() -> None:
    train = [
        product("green tea", Flavour="green"),
        product("green tea", Flavour="green"),
        product("tea", Flavour="tea"),
        product("mint leaves", Flavour="mint leaves"),
    ]
    asked = product("green tea", ocr="Mint LEAVES 20 bags")
    assert found(fitted(*train, **WM, distractors=["Tea"]), asked) == [("Flavour", "Mint LEAVES")]
    assert found(fitted(*train, **WM), replace(asked, ocr=())) == [("Flavour", "tea")]
    assert found(fitted(*train, **(WM | {"ocr": False}), distractors=["tea"]), asked) == [("Flavour", "green")]


def test_a_value_on_the_pack_alone_has_no_place_in_the_text() -> None:
    model = fitted(product("", ocr="oat milk", Flavour="oat"), ocr=True)
    (facets,) = model.predict(model.collate([product("milk", ocr="OAT")]))
    assert [(f.value, f.spans, f.modality) for f in facets] == [("OAT", (), "image")]


def test_what_was_saved_answers_the_same(tmp_path: Path) -> None:
    train = [product("navy blue", Colour="navy blue"), product("tea", Flavour="tea")]
    model = fitted(*train, **WSM, distractors=["tea"])
    model.save_assets(tmp_path)
    loaded = Dictionary.load_assets(model.config, SCHEMA, tmp_path)
    asked = product("Navy blue tea")
    assert found(loaded, asked) == found(model, asked) == [("Colour", "Navy blue")]
