"""What a model made of one product: where it looked in the picture, and which values it chose among.

Gates are a model's own, discs over the picture and heat under the words; what it owes to the picture (`covered`, see
`training/covered.py`) and the chances of candidates are asked of it from outside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from facetmill.report.marked_text import MAX_CHARACTERS, shortened
from facetmill.report.numbers import score
from facetmill.report.page import text

LEVELS = 10  # steps of the heat map
LEAST = 0.05  # of confidence (0..1) that covering must take to be worth a word

Json = Mapping[str, Any]


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


def covered_map(covered: Sequence[Json]) -> str:
    """Over a picture: each part the fuller, the more of some value's confidence goes where it is covered. Empty where
    none does, and unless the numbers fit."""
    maps = [each["parts"] for each in covered]
    sizes = {(len(rows), len(row)) for rows in maps for row in rows}
    if len(sizes) != 1:
        return ""
    ((num_rows, num_columns),) = sizes
    most = [
        [max(share(rows[row][column]) for rows in maps) for column in range(num_columns)] for row in range(num_rows)
    ]
    worth = {(row, column): lost for row, line in enumerate(most) for column, lost in enumerate(line) if lost >= LEAST}
    if not worth:
        return ""
    (row, column), widest = max(worth.items(), key=lambda each: each[1])
    label = (
        f"Where A looked; it owes most to row {row + 1} of {num_rows}, column {column + 1} of {num_columns}: "
        f"{score(widest, 2)}"
    )
    width, height = 100 / num_columns, 100 / num_rows
    parts = "".join(
        f'<rect x="{column * width:.2f}" y="{row * height:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'fill-opacity="{0.15 + 0.55 * lost:.2f}"/>'
        for (row, column), lost in worth.items()
    )
    return (
        f'<svg class="covered" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f"{parts}</svg>"
    )


def owed_html(covered: Sequence[Json]) -> str:
    """In words which values A is less sure of when it does not see the picture, those that lose most first."""
    owed = sorted((each for each in covered if share(each["whole"]) >= LEAST), key=lambda each: -share(each["whole"]))
    if not owed:
        return '<p class="said">With the picture covered, A is as sure of all of it.</p>' if covered else ""
    items = ", ".join(
        f"<b>{_named(each['attribute'])}</b> {_named(each['value'])} \N{MINUS SIGN}{score(share(each['whole']), 2)}"
        for each in owed
    )
    return f'<p class="said">With the picture covered, A is less sure of {items}.</p>'


def chances_html(chances: Mapping[str, Sequence[Sequence[Any]]]) -> str:
    """The likeliest candidates of each attribute that A chose a value of, or nearly did."""
    lines = []
    for attribute, candidates in sorted(chances.items()):
        if not candidates or (candidates[0][0] == "" and share(candidates[0][1]) > 1 - LEAST):
            continue
        shown = ", ".join(
            f'{_named(value) if value else "<i>none</i>"} <span class="said">{score(share(chance), 2)}</span>'
            for value, chance in candidates
            if share(chance) >= LEAST
        )
        lines.append(f"<p><b>{_named(attribute)}</b> {shown}</p>")
    if not lines:
        return ""
    return f"<details><summary>What A chose among, and how likely each was</summary>{''.join(lines)}</details>"


def _named(value: str) -> str:
    return f"<bdi>{text(shortened(value, 60))}</bdi>"
