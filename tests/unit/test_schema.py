"""The schema says what the train split says: values by number of products, and the categories of each attribute."""

from __future__ import annotations

from facetmill.dataset.schema import build_schema
from facetmill.records import AttributeSchema, Facet, Product, Span, to_batch


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


def test_no_products_give_an_empty_schema() -> None:
    assert build_schema([]).attributes == ()
    assert build_schema([to_batch([])]).attributes == ()
