"""What value F1 counts: chunks of text, and values that stand in no text."""

from __future__ import annotations

from collections.abc import Iterable

from facetmill.encoders.folding import fold_value
from facetmill.records import Facet

#: (attribute, field, start, end) of a chunk, or (attribute, folded value) of an implicit facet.
Unit = tuple[str, str, int, int] | tuple[str, str]


def units(facets: Iterable[Facet]) -> dict[Unit, Facet]:
    """Every distinct unit of a product, with the first facet that it comes from.

    A facet with spans gives one unit per span, and its value does not matter; one without gives one unit in all.
    """
    found: dict[Unit, Facet] = {}
    for facet in facets:
        if facet.spans:
            for span in facet.spans:
                found.setdefault((facet.attribute, span.field, span.start, span.end), facet)
        else:
            found.setdefault((facet.attribute, fold_value(facet.value)), facet)
    return found
