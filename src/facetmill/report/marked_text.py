"""Text of a product with the places that facets stand in.

Who says that a facet stands somewhere is a letter: T is true, A and B are the models. Each has its own line below the
words (T solid and dark, A solid, B dashed); where they do not agree, letters after the words say who; a screen reader
always hears who.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from facetmill.report.page import text

SOURCES = {"t": "true", "a": "A", "b": "B"}

MAX_CHARACTERS = {"title": 400, "text": 2_000}  # of each field on the page


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


def shortened(value: str, most: int) -> str:
    """At most `most` characters, with an ellipsis where something was cut."""
    return value if len(value) <= most else value[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
