"""What is served for a product: its facets as flat entries, one per span, and the attributes that a model predicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from facetmill.records import Facet, Product, Span


def answer(product: Product, facets: Iterable[Facet], attributes: Mapping[str, float] | None = None) -> dict[str, Any]:
    """`attributes` are None of a model that predicts values alone, else the likeliest first."""
    predicted = None
    if attributes is not None:
        ordered = sorted(attributes.items(), key=lambda item: (-item[1], item[0]))
        predicted = [{"attribute": name, "probability": probability} for name, probability in ordered]
    return {
        "product_id": product.product_id,
        "facets": [entry for facet in facets for entry in to_entries(facet)],
        "attributes": predicted,
    }


def to_entries(facet: Facet) -> list[dict[str, Any]]:
    """A facet with several spans gives an entry for each; one that stands nowhere in the text gives a single entry
    whose field, start and end are null."""
    shared = {"attribute": facet.attribute, "value": facet.value, "confidence": facet.confidence}
    if not facet.explicit:
        return [{**shared, "field": None, "start": None, "end": None}]
    return [{**shared, "field": span.field, "start": span.start, "end": span.end} for span in facet.spans]


def from_entries(entries: Iterable[Mapping[str, Any]]) -> tuple[Facet, ...]:
    """The facets that `to_entries` has written: neighbours that differ in their place alone are one facet."""
    facets = []
    for (attribute, value, confidence), group in groupby(
        entries, key=lambda e: (e["attribute"], e["value"], e["confidence"])
    ):
        spans = tuple(Span(e["field"], e["start"], e["end"]) for e in group if e["field"] is not None)
        facets.append(Facet(attribute, value, spans, provenance="predicted", confidence=confidence))
    return tuple(facets)
