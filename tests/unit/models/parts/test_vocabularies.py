"""The words of values by category and attribute."""

from __future__ import annotations

from typing import Any

from facetmill.models.parts.vocabularies import END, SYMBOLS, Vocabularies
from facetmill.records import Facet, Product


def product(category: str | None, **values: str) -> Product:
    return Product("p", "s", "t", category=category, facets=tuple(Facet(*each) for each in values.items()))


TRAIN = [
    product("tea", Form="Loose leaf"),
    product("tea", Form="loose LEAF"),
    product("tea", Form="loose leaf"),
    product("tea", Form="bags"),
    product("hand soap", Form="bar", Brand="Dove"),
    product("hand soap", Form="bar"),
    product(None, Form="bags"),
]


def built(**changes: Any) -> Vocabularies:
    settings: dict[str, Any] = {"shared": False, "prefix": True, "min_count": 2, "at_most": 9} | changes
    return Vocabularies.of(TRAIN, ["Form", "Brand"], **settings)


def words(found: Vocabularies, category: str | None, attribute: str = "Form") -> list[str]:
    return [found.words[number] for number in found.ids(found.key(category, attribute))]


def test_words_that_are_common_in_a_category_and_its_name() -> None:
    found = built()
    assert words(found, "tea") == [*SYMBOLS, "tea", "leaf", "loose"]
    assert words(found, "hand soap") == [*SYMBOLS, "hand", "soap", "bar"]
    assert words(found, "hand soap", "Brand") == [*SYMBOLS, "hand", "soap"]
    assert words(found, None) == words(found, "cars") == [*SYMBOLS, "leaf", "loose", "bags", "bar"]
    assert words(found, "tea", "Brand") == [*SYMBOLS]  # which it never has there
    assert found.words[:3] == [*SYMBOLS]
    assert found.position(found.key("tea", "Form"))[END] == 0


def test_the_commonest_are_kept_and_one_may_be_shared() -> None:
    assert words(built(at_most=1, prefix=False), "tea") == [*SYMBOLS, "leaf"]
    shared = built(shared=True)
    assert words(shared, "tea") == [*SYMBOLS, "hand", "soap", "tea", "leaf", "loose", "bags", "bar"]
    assert shared.key("tea", "Form") == shared.key("cars", "Form")


def test_a_category_is_written_where_its_words_are_known() -> None:
    found = built()
    assert found.prefix(found.key("hand soap", "Form"), "hand soap") == ("hand", "soap")
    assert found.prefix(found.key("cars", "Form"), "cars") == ()
    assert found.prefix(found.key(None, "Form"), None) == ()
    shared = built(shared=True)
    assert shared.prefix(shared.key("hand soap", "Form"), "hand soap") == ("hand", "soap")
    longer = "hand soap tea"  # no category of train has as long a name
    assert shared.prefix(shared.key(longer, "Form"), longer) == ("hand", "soap")
    assert built(prefix=False).longest_prefix == 0


def test_values_are_spelled_as_most_of_train_does() -> None:
    found = built()
    assert found.spelling("Form", ["loose", "leaf"]) in {"Loose leaf", "loose LEAF", "loose leaf"}
    assert (
        Vocabularies.of(
            [*TRAIN, product("tea", Form="loose LEAF")], ["Form"], shared=False, prefix=False, min_count=1, at_most=9
        ).spelling("Form", ["loose", "leaf"])
        == "loose LEAF"
    )
    assert found.spelling("Form", ["leaf"]) is None


def test_what_was_written_is_read_again() -> None:
    found = built()
    again = Vocabularies.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert again.words == found.words
    assert [again.key(category, "Form") for category in ("tea", "cars")] == [("tea", "Form"), ("", "Form")]
