"""hit@k, worked by hand."""

from __future__ import annotations

import pytest

from facetmill.metrics.hits import hits, true_ranks
from facetmill.records import Facet

FACETS = [Facet("Colour", "Red"), Facet("Size", "8"), Facet("Colour", "Blue"), Facet("Fit", "wide")]


def test_the_first_true_value_counts_and_none_is_passed_over() -> None:
    ranked = {"Colour": ["", "green", "BLUE", "red"], "Size": ["9", "10"]}
    assert true_ranks(FACETS, ranked) == [2, None, None]
    assert true_ranks(FACETS, {"Colour": ["red", ""], "Size": ["", "8"], "Fit": ["slim", "", "wide"]}) == [1, 1, 2]
    assert true_ranks([], ranked) == []


def test_hits_are_a_share_of_all_queries() -> None:
    ranks = [1, 3, None, 2]
    assert [hits(ranks, k) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert hits(ranks, 100) == pytest.approx(0.75)
    assert hits([], 1) == 0
