"""What value F1 counts: chunks of text, and values that stand in no text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Set

from facetmill.metrics.tally import Tally
from facetmill.records import Facet

#: (attribute, field, start, end) of a chunk, or (attribute, folded value) of an implicit facet.
Unit = tuple[str, str, int, int] | tuple[str, str]


def fold(value: str) -> str:
    """A value without case and with single spaces, as implicit values are compared."""
    return " ".join(value.lower().split())


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
            found.setdefault((facet.attribute, fold(facet.value)), facet)
    return found


def tally_by_attribute(gold: Set[Unit], predicted: Set[Unit]) -> dict[str, Tally]:
    """Units of one product, counted per attribute that has any."""
    both: defaultdict[str, tuple[set[Unit], set[Unit]]] = defaultdict(lambda: (set(), set()))
    for unit in gold:
        both[unit[0]][0].add(unit)
    for unit in predicted:
        both[unit[0]][1].add(unit)
    return {attribute: Tally.of(*sides) for attribute, sides in both.items()}
