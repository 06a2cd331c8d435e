"""What pair F1 counts: what is said of a product, wherever that stands."""

from __future__ import annotations

from collections.abc import Iterable

from facetmill.encoders.folding import fold_value
from facetmill.records import Facet

Pair = tuple[str, str]  # attribute, folded value


def pairs(facets: Iterable[Facet]) -> dict[Pair, Facet]:
    """Every distinct pair of a product, with a facet that it comes from: the first that stands in the text, else the
    first. Values are compared as `encoders.folding` says; one that folds to nothing is none.

    This is the one currency of models that tag, choose and write: a right value counts with or without a place.
    """
    found: dict[Pair, Facet] = {}
    for facet in facets:
        pair = (facet.attribute, fold_value(facet.value))
        if pair[1] and (pair not in found or (facet.explicit and not found[pair].explicit)):
            found[pair] = facet
    return found
