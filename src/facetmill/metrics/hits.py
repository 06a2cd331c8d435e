"""hit@k: how often the true value of an attribute is among the k that a model ranks first.

Source: Logan, Humeau, Singh. "Multimodal Attribute Extraction." 2017. An attribute that is asked for has a value, so
that it has none is no answer and is passed over. Of several true values the one that is ranked first counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from facetmill.encoders.folding import fold_value
from facetmill.records import Facet


def true_ranks(facets: Iterable[Facet], ranked: Mapping[str, Sequence[str]]) -> list[int | None]:
    """The rank (from 1) of the true value of each attribute that has one; None where it is not among those `ranked`,
    which are an attribute's values, the likeliest first."""
    true: dict[str, set[str]] = {}
    for facet in facets:
        true.setdefault(facet.attribute, set()).add(fold_value(facet.value))
    return [_first(values, ranked.get(attribute, ())) for attribute, values in true.items()]


def hits(ranks: Sequence[int | None], k: int) -> float:
    """The share (0..1) of queries whose true value is ranked k-th or before; 0 without any."""
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks) if ranks else 0.0


def _first(true: set[str], ranked: Sequence[str]) -> int | None:
    told = (fold for value in ranked if (fold := fold_value(value)))
    return next((rank for rank, fold in enumerate(told, start=1) if fold in true), None)
