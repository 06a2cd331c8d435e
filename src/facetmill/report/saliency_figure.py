"""What seeing the picture adds to each attribute, as SVG inside a page (MuJo-SF, Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facetmill.report.page import text
from facetmill.report.plots import Scale, around, tick_text, ticks

WIDTH, ROW, TOP, LEFT, RIGHT = 720, 26, 64, 190.0, 700.0
_LONGEST_NAME = 24
_INK, _SOFT, _IMAGE, _TEXT = "#1b2230", "#5b6472", "#86c79d", "#5b6472"


def saliency_figure(slots: Sequence[Mapping[str, Any]], min_dif: float) -> str:
    """A bar for each attribute with its 95 % interval, and the line from which on the picture tells it.

    `slots` are the rows of `reports/saliency.json`. Bars beyond the line are filled, others are outlines, so nothing
    hangs on colour alone.
    """
    bounds = around([0.0, min_dif, *(float(slot[end]) for slot in slots for end in ("low", "high"))])
    scale = Scale(*bounds, left=LEFT, right=RIGHT)
    bottom = TOP + ROW * len(slots)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {bottom + 34}" width="100%" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{_INK}">',
        "<title>Accuracy that seeing the picture adds, by attribute</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="12" y="24" font-size="15">Accuracy that seeing the picture adds</text>'
        f'<text x="12" y="44" fill="{_SOFT}">percentage points, 95 % intervals; filled: told by the picture, from '
        f"{100 * min_dif:.3g} points on</text>",
    ]
    for tick in ticks(*bounds):
        x = scale.number(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="#dfe3e9"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" fill="{_SOFT}">{tick_text(100 * tick)}</text>'
        )
    for x, dash in ((scale.number(0), ""), (scale.number(min_dif), ' stroke-dasharray="5 4"')):
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}" stroke="{_INK}"{dash}/>')
    parts += [_row(slot, scale, TOP + ROW * place) for place, slot in enumerate(slots)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(slot: Mapping[str, Any], scale: Scale, top: float) -> str:
    name = str(slot["attribute"])
    shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    zero, end = sorted((scale.number(0), scale.number(float(slot["dif"]))))
    low, high, middle = scale.number(float(slot["low"])), scale.number(float(slot["high"])), top + ROW / 2
    paint = f'fill="{_IMAGE}"' if slot["modality"] == "image" else f'fill="#fff" stroke="{_TEXT}"'
    return (
        f'<text x="{LEFT - 10:g}" y="{middle + 4:g}" text-anchor="end">{text(shown)}</text>'
        f'<rect x="{zero:.1f}" y="{top + 6:g}" width="{end - zero:.1f}" height="{ROW - 12}" {paint}/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}" stroke="{_INK}" stroke-width="1.5"/>'
    )
