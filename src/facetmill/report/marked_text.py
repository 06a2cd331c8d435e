"""Text of a product with the places that facets stand in, and how far a model's gate let the picture in at each token.

Who says that a facet stands somewhere is a letter: T is true, A and B are the models. Each has its own line below the
words (T solid and dark, A solid, B dashed); where they do not agree, letters after the words say who; a screen reader
always hears who.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from facetmill.report.page import text

SOURCES = {"t": "true", "a": "A", "b": "B"}

MAX_CHARACTERS = {"title": 400, "text": 2_000}  # of each field on the page
LEVELS = 10  # steps of the heat map


def marked(field: str, content: str, entries: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """`content` as HTML. `entries` are facets as `serving.answer.to_entries` writes them, by source ("t", "a", "b").

    Places beyond `MAX_CHARACTERS` are left out together with the text, which the page then says.
    """
    shown = content[: MAX_CHARACTERS[field]]
    said_by: defaultdict[tuple[int, int, str], set[str]] = defaultdict(set)
    for source, facets in entries.items():
        for facet in facets:
            if facet["field"] == field:
                said_by[facet["start"], facet["end"], facet["attribute"]].add(source)
    places = {place: who for place, who in said_by.items() if 0 <= place[0] < place[1] <= len(shown)}
    edges = sorted({0, len(shown)} | {edge for start, end, _ in places for edge in (start, end)})
    parts = []
    for start, end in pairwise(edges):
        here = {source for place, who in places.items() if place[0] <= start and end <= place[1] for source in who}
        piece = text(shown[start:end])
        lines = " ".join(source for source in SOURCES if source in here)
        parts.append(f'<mark class="{lines}">{piece}</mark>' if here else piece)
        parts += [_tag(attribute, who) for (_, last, attribute), who in sorted(places.items()) if last == end]
    if rest := len(content) - len(shown):
        parts.append(f' <span class="said cut">\N{HORIZONTAL ELLIPSIS} {rest:,} more characters are not shown</span>')
    return "".join(parts)


def _tag(attribute: str, who: Iterable[str]) -> str:
    ordered = [source for source in SOURCES if source in who]
    letters = "" if len(ordered) == len(SOURCES) else "".join(f'<b class="key {s}">{s.upper()}</b>' for s in ordered)
    spoken = ", ".join(SOURCES[source] for source in ordered)
    name = text(shortened(attribute, 40))
    return (
        f'<span class="tag"><span aria-hidden="true">{name}{letters}</span>'
        f'<span class="unseen"> ({name}: {spoken}) </span></span>'
    )


def gate_map(product: Mapping[str, Any], tokens: Sequence[Mapping[str, Any]]) -> str:
    """The tokens of both fields, each filled from below as far as its gate (0..1) is open; the widest open in words."""
    fields = []
    for field in ("title", "text"):
        content = product[field][: MAX_CHARACTERS[field]]
        here = sorted((t for t in tokens if t["field"] == field), key=lambda token: token["start"])
        parts, at = [], 0
        for token in here:
            start, end = max(token["start"], at), min(token["end"], len(content))
            if start < end:
                level = round(share(token["gate"]) * LEVELS)
                parts.append(text(content[at:start]) + f'<span class="heat h{level}">{text(content[start:end])}</span>')
                at = end
        if parts:
            fields.append(f'<p class="words heats" dir="auto">{"".join(parts)}{text(content[at:])}</p>')
    widest = sorted(tokens, key=lambda token: -share(token["gate"]))[:5]
    named = ", ".join(
        f"<bdi>{text(shortened(product[t['field']][t['start'] : t['end']], 30))}</bdi> {share(t['gate']):.2f}"
        for t in widest
    )
    return "".join(fields) + (f'<p class="said">Widest open at {named}.</p>' if widest else "")


def gate_grid(rows: int, columns: int, regions: Sequence[float]) -> str:
    """Over a picture: a disc for each region, larger the further its gate is open. Empty unless the numbers fit."""
    if rows < 1 or columns < 1 or len(regions) != rows * columns:
        return ""
    widest = max(range(len(regions)), key=lambda index: share(regions[index]))
    where = f"row {widest // columns + 1} of {rows}, column {widest % columns + 1} of {columns}"
    label = f"Gate over the picture; widest open at {where}: {share(regions[widest]):.2f}"
    discs = "".join(
        f'<circle cx="{(index % columns + 0.5) * 100 / columns:.2f}" cy="{(index // columns + 0.5) * 100 / rows:.2f}" '
        f'r="{math.sqrt(share(gate)) * 46 / max(rows, columns):.2f}"/>'
        for index, gate in enumerate(regions)
        if share(gate) >= 0.1
    )
    return (
        f'<svg class="grid-map" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f"{discs}</svg>"
    )


def share(value: Any) -> float:
    """A gate as a number in 0..1, whatever it is."""
    return min(max(float(value), 0.0), 1.0) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def shortened(value: str, most: int) -> str:
    """At most `most` characters, with an ellipsis where something was cut."""
    return value if len(value) <= most else value[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
