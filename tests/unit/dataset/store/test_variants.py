"""Values that a shop writes in several ways, and whether metrics and models take them for one."""

from __future__ import annotations

from facetmill.dataset.store.variants import CATEGORY, Variants, variants
from facetmill.records import Attribute, AttributeSchema


def test_spellings_are_grouped_by_what_a_reader_takes_for_the_same() -> None:
    color = Attribute("Color", {"RED": 3, "Red": 40, "red": 7, "Reddish": 9, "rot": 1})
    volume = Attribute("Volume", {"1.5 L": 2, "1,5 l": 5, "1500 ml": 1, "2 l": 4, "1,500 l": 1})
    found = variants(AttributeSchema((color, volume)), {"Hats": 5, "hats ": 1, "Caps": 3})
    assert found == [
        Variants("Color", {"Red": 40, "red": 7, "RED": 3}, one=True),
        Variants("Volume", {"1,5 l": 5, "1.5 L": 2, "1500 ml": 1}, one=False),
        Variants(CATEGORY, {"Hats": 5, "hats ": 1}, one=False),
    ]
    assert [next(iter(each.spellings)) for each in found] == ["Red", "1,5 l", "Hats"]
    assert [each.num_products for each in found] == [10, 3, 1]


def test_where_everything_has_one_spelling_there_is_nothing_to_tell() -> None:
    assert variants(AttributeSchema((Attribute("Color", {"red": 1, "blue": 2}),)), {"Hats": 5}) == []
