"""The schema says what the train split says: values by number of products, and the categories of each attribute."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.dataset.labels.schema import SchemaCounts, build_schema
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span, to_batch


def test_values_count_products_and_categories_are_listed() -> None:
    here, there = (Span("title", 0, 3),), (Span("title", 4, 7),)
    first = [
        Product(
            "1", "s", "red red", category="shoe", facets=(Facet("colour", "red", here), Facet("colour", "red", there))
        ),
        Product("2", "s", "a", category="hat", facets=(Facet("colour", "blue"), Facet("size", "5"))),
    ]
    second = [Product("3", "s", "b", facets=(Facet("colour", "red"),), absent=("sleeve",))]
    # A slice, since its buffers do not start at its first row.
    batches = [to_batch(first).slice(0, 1), to_batch(first).slice(1), to_batch(second)]
    schema = build_schema(batches)
    assert schema.names == ("colour", "size")
    colour, size = schema.attributes
    assert list(colour.values.items()) == [("blue", 1), ("red", 2)]
    assert colour.categories == ("hat", "shoe")
    assert (dict(size.values), size.categories) == ({"5": 1}, ("hat",))
    assert AttributeSchema.from_json(schema.to_json()) == schema


def test_candidates_are_those_of_the_category_the_commonest_first() -> None:
    def shoe(number: int, colour: str, category: str | None = "shoe") -> Product:
        return Product(str(number), "s", "a", category=category, facets=(Facet("colour", colour),))

    products = [shoe(1, "red"), shoe(2, "blue"), shoe(3, "blue"), shoe(4, "green", "hat"), shoe(5, "teal", None)]
    schema = build_schema(
        [to_batch([*products, Product("6", "s", "a", category="sofa", facets=(Facet("seats", "2"),))])]
    )
    colour, seats = schema.attributes
    assert colour.candidates("shoe") == ("blue", "red")
    assert colour.candidates("shoe", at_most=1) == ("blue",)
    assert colour.candidates("hat") == ("green",)
    assert colour.candidates(None) == colour.candidates("boat") == ("blue", "green", "red", "teal")
    assert AttributeSchema.from_json(schema.to_json()) == schema
    assert schema.of_category("sofa") == (seats,)
    assert schema.of_category("shoe") == (colour,)
    assert schema.of_category("boat") == (colour, seats)
    facets = (Facet("colour", "red"), Facet("seats", "2"), Facet("wheels", "4"))
    others = [Product(name, "s", "a", category=name, facets=facets) for name in ("sofa", "shoe", "boat")]
    assert schema.outside_category(others) == 2, "the sofa's colour and the shoe's seats; wheels are of no schema"


class NotSearched(tuple[str, ...]):
    def __contains__(self, key: object) -> bool:
        pytest.fail("with fifty thousand categories and as many products this would take hours")


def test_the_attributes_of_a_category_are_found_without_a_search() -> None:
    categories = NotSearched(map(str, range(50_000)))
    colour, seats = Attribute("colour", {}, categories), Attribute("seats", {}, NotSearched(["7"]))
    schema = AttributeSchema((colour, seats))
    assert all(schema.of_category(category)[0] is colour for category in categories)
    assert schema.of_category("7") == (colour, seats)
    assert schema.of_category(None) == schema.of_category("boat") == (colour, seats)


def test_counts_of_pieces_make_the_schema_of_all(tmp_path: Path) -> None:
    def hat(number: int, colour: str, category: str | None = "hat") -> Product:
        return Product(str(number), "s", "a", category=category, facets=(Facet("colour", colour),))

    batches = [
        to_batch(products)
        for products in (
            [hat(1, "red"), hat(2, "r\u00f6t", None)],
            [],
            [hat(3, "red", "cap"), hat(4, "red"), Product("5", "s", "a", facets=(Facet("size", "5"),))],
        )
    ]
    whole = SchemaCounts()
    for number, batch in enumerate(batches):
        piece = SchemaCounts()
        piece.count(batch)
        piece.write(tmp_path / f"{number}.json")
        whole.add_written(tmp_path / f"{number}.json")
    assert whole.schema() == build_schema(batches)
    assert whole.schema().attributes[0].values == {"red": 3, "r\u00f6t": 1}


def test_no_products_give_an_empty_schema() -> None:
    assert build_schema([]).attributes == ()
    assert build_schema([to_batch([])]).attributes == ()
