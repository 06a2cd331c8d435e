"""What papers score by beside F1, counted by hand."""

from __future__ import annotations

import pytest

from facetmill.records import Facet, Product, Span
from facetmill.studies.other_scores import other_scores


def placed(attribute: str, value: str, title: str) -> Facet:
    start = title.index(value)
    return Facet(attribute, value, (Span("title", start, start + len(value)),))


RED, BLUE = "red wool hat", "blue cap"
PRODUCTS = [
    Product("1", "s", RED, facets=(placed("Colour", "red", RED), Facet("Season", "winter"))),
    Product("2", "s", BLUE, facets=(placed("Colour", "blue", BLUE), Facet("Season", "summer"))),
]
SAID = [
    [placed("Colour", "red", RED), Facet("Season", "wintry")],  # not the season, and like it
    [placed("Colour", "blue", BLUE), Facet("Season", "summer"), Facet("Size", "one")],  # a size too many
]


def test_each_score_counts_what_its_paper_counts() -> None:
    found = {
        name: each.score
        for name, each in other_scores(zip(PRODUCTS, SAID, strict=True), ("Colour", "Season", "Size"), 50).items()
    }
    assert found["explicit_f1"] == 100.0
    assert found["implicit_f1"] == pytest.approx(100 * 2 / 5, abs=0.01)  # one of two asked for, one of three told
    assert found["fuzzy_f1"] == pytest.approx(100 * 2 * (4 / 5) / (1 + 4 / 5), abs=0.01)
    assert found["pair_accuracy"] == 75.0  # the size is free
    assert found["jga"] == 0.0
    assert found["sa"] == pytest.approx(100 * 4 / 6, abs=0.01)  # wrong are one season and one size
    assert found["sa_filled"] == 75.0


def test_scores_have_intervals_over_products_and_what_is_not_asked_for_has_none() -> None:
    explicit = [Product("1", "s", RED, facets=PRODUCTS[0].facets[:1]), Product("2", "s", BLUE, facets=())]
    found = other_scores(zip(explicit, [[], []], strict=True), ("Colour",), 200)
    assert "implicit_f1" not in found
    assert (found["jga"].low, found["jga"].score, found["jga"].high) == (0.0, 50.0, 100.0)
    assert other_scores([], ("Colour",), 10) == {}
