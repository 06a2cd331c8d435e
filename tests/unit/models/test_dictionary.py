"""The dictionary baseline, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.models.dictionary import Dictionary
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from tests import small

SCHEMA = AttributeSchema((Attribute("Brand", {}), Attribute("Colour", {}), Attribute("Model", {})))


def product(title: str, category: str | None = None, text: str = "", **values: str) -> Product:
    return Product(
        title, "s", title, text, category, facets=tuple(Facet(name, value) for name, value in values.items())
    )


def fitted(*train: Product, min_reliability: float = 0.3, match: str = "longest") -> Dictionary:
    config = replace(small.DICTIONARY, min_reliability=min_reliability, match=match, negatives="all")  # type: ignore[arg-type]
    return Dictionary.fit_vocabulary(config, SCHEMA, train)


def found(model: Dictionary, asked: Product) -> dict[str, str]:
    (facets,) = model.predict(model.collate([asked]))
    return {facet.attribute: facet.value for facet in facets}


def test_a_value_fires_only_when_reliable_enough() -> None:
    train = [
        product("apple one", Brand="apple"),
        product("apple two"),
        product("apple three"),
        product("red", Colour="red"),
    ]
    asked = product("Red Apple")
    assert found(fitted(*train, min_reliability=0.3), asked) == {"Brand": "Apple", "Colour": "Red"}
    assert found(fitted(*train, min_reliability=0.34), asked) == {"Colour": "Red"}
    (facets,) = (model := fitted(*train)).predict(model.collate([asked]))
    assert {f.attribute: f.confidence for f in facets} == {"Brand": pytest.approx(1 / 3), "Colour": 1.0}


def test_values_match_whole_words_in_any_case_and_chinese_by_character() -> None:
    model = fitted(product("red", Colour="red"), product("纯棉衬衫", Model="棉"))
    assert found(model, product("Reduced RED-ish 全棉T恤")) == {"Colour": "RED", "Model": "棉"}
    assert found(model, product("reddish shred")) == {}


def test_the_longest_value_wins_or_the_most_frequent_one() -> None:
    train = [
        product("a blue", Colour="blue"),
        product("b blue", Colour="blue"),
        product("navy blue", Colour="navy blue"),
    ]
    asked = product("navy blue shoe")
    assert found(fitted(*train, match="longest"), asked) == {"Colour": "navy blue"}
    assert found(fitted(*train, match="most_frequent"), asked) == {"Colour": "blue"}


def test_all_occurrences_in_title_and_text_are_spans() -> None:
    model = fitted(product("red", Colour="red"))
    (facets,) = model.predict(model.collate([product("red and Red", text="in red")]))
    assert facets[0].spans == (Span("title", 0, 3), Span("title", 8, 11), Span("text", 3, 6))


def test_counts_are_per_category_and_shared_where_the_category_is_unknown() -> None:
    model = fitted(
        product("apple phone", "phones", Brand="apple"),
        product("apple pie", "food"),
        product("apple tart", "food"),
        product("apple cake", "food"),
        product("apple jam", "food", Model="jam"),
    )
    assert found(model, product("apple phone", "phones")) == {"Brand": "apple"}
    assert found(model, product("apple phone", "food")) == {}
    assert found(model, product("jam", "food")) == {"Model": "jam"}
    assert found(model, product("jam", "phones")) == {}
    assert found(model, product("apple jam", "books")) == {"Model": "jam"}  # apple: 1 of 5
    assert found(model, product("jam", None)) == {"Model": "jam"}


def test_a_value_absent_from_its_own_text_or_schema_never_fires() -> None:
    model = fitted(product("shoe", Colour="red"), product("big shoe", Size="big"))
    assert found(model, product("big red shoe")) == {}
    assert model.report() == {"entries": 0}


def test_saved_entries_are_readable_json(tmp_path: Path) -> None:
    model = fitted(product("navy blue", "c", Colour="navy blue"))
    model.save_assets(tmp_path)
    rows = json.loads((tmp_path / "entries.json").read_text())
    assert [row["value"] for row in rows] == ["navy blue"] * 2
    loaded = Dictionary.load_assets(model.config, SCHEMA, tmp_path)
    assert found(loaded, product("Navy Blue", "c")) == {"Colour": "Navy Blue"}


def test_it_follows_the_rule_of_stage_match() -> None:
    model = fitted(product("5 oz", Model="5 oz"), product("Café", Brand="Café"), product("ΟΔΟΣ", Colour="ΟΔΟΣ"))
    assert found(model, product("12.5 oz")) == {}
    assert found(model, product("5 oz cafe\u0301 <b>οδος</b>", text="a")) == {
        "Model": "5 oz",
        "Brand": "cafe\u0301",
        "Colour": "οδος",
    }


def test_entries_saved_as_words_and_signs_are_still_read(tmp_path: Path) -> None:
    """As version 1 wrote them, without the spaces between."""
    entry = {"category": "", "attribute": "Colour", "count": 1, "reliability": 1.0}
    rows = [{"words": words, **entry} for words in (["navy", "blue"], ["100", "%", "5ghz"], ["men", "'", "s"])]
    (tmp_path / "entries.json").write_text(json.dumps(rows))
    old = Dictionary.load_assets(small.DICTIONARY, SCHEMA, tmp_path)
    for title in ("Navy  Blue", "100% 5GHz", "100 % 5GHz", "MEN'S"):
        assert found(old, product(title)) == {"Colour": title}
    for title in ("navyblue", "100% 5 GHz"):
        assert found(old, product(title)) == {}
    old.save_assets(tmp_path)
    again = Dictionary.load_assets(old.config, SCHEMA, tmp_path)
    assert found(again, product("100 % 5GHz")) == {"Colour": "100 % 5GHz"}


def test_it_scores_as_published_baselines_do_on_oa_mine(shared_data: Path) -> None:
    """The n/a-aware F1 of word matching is 62 on the published split (reliability 0.3); a fifth of train is near."""
    products = []
    for line in (shared_data / "oa-mine" / "train.jsonl").open():
        row = json.loads(line)
        values = {name: next(iter(value)) for name, value in row["target_scores"].items()}
        products.append(product(row["input"], row["category"], **values))
    schema = AttributeSchema(tuple(Attribute(n, {}) for n in sorted({f.attribute for p in products for f in p.facets})))
    test = products[::5]
    train = [p for number, p in enumerate(products) if number % 5]
    model = Dictionary.fit_vocabulary(small.DICTIONARY, schema, train)
    right = answered = asked = 0
    for gold, facets in zip(test, model.predict(model.collate(test)), strict=True):
        wanted = {f.attribute: f.value for f in gold.facets}
        scored = [f for f in facets if f.attribute in wanted]
        right += sum(wanted[f.attribute] == f.value for f in scored)
        answered += len(scored)
        asked += len(wanted)
    assert 0.57 < 2 * right / (answered + asked) < 0.68
