"""Where two models differ: a table for each kind of slice, with a diverging plot in its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facetmill.report.marked_text import shortened
from facetmill.report.numbers import A_MINUS_B, count, is_number, score, signed
from facetmill.report.page import scrolling, text
from facetmill.report.plots import Estimate, difference, difference_axis, diverging

Slice = Mapping[str, Any]

_KINDS = {
    "attribute": ("By attribute", "Attribute"),
    "category": ("By category", "Category"),
    "image": ("With and without a picture", "Picture"),
    "place": ("Values that stand in the text and others", "Values"),
    "values": ("Values seen and not seen in training", "Values"),
}
_NAMES = {
    ("image", "present"): "With a picture",
    ("image", "missing"): "Without a picture",
    ("place", "explicit"): "In the text",
    ("place", "implicit"): "Not in the text",
    ("values", "seen"): "Seen in training",
    ("values", "unseen"): "Not seen in training",
}
_FULL_ROWS = 24  # longer tables fold away slices that are not shown to differ
MAX_ROWS = 300


def slices_html(slices: Sequence[Slice], f1: str) -> str:
    """A table for each kind, worst slice for A first; `f1` is what the metric is called. Slices not shown to differ are
    muted, and say so in words."""
    if not slices:
        return '<p class="said">No slices were compared.</p>'
    sure = sum(1 for each in slices if shown_to_differ(each))
    said = (
        f'<p class="said">{sure} of {count(len(slices), "slice")} {"is" if sure == 1 else "are"} shown to differ: the '
        "interval leaves out zero. The rest is muted. Intervals and p allow for looking at all slices at once.</p>"
    )
    parts = []
    for kind, (heading, what) in _KINDS.items():
        metric = "Recall" if kind == "values" else f1
        members = sorted((each for each in slices if each["kind"] == kind), key=_order)
        if members:
            parts.append(f'<h3>{heading} <span class="said">{metric}</span></h3>' + _tables(what, metric, members))
    return said + "".join(parts)


def shown_to_differ(each: Slice) -> bool:
    """Interval and p agree, and both are made for many slices; the interval knows the level that was asked for."""
    return bool(each["low"] > 0 or each["high"] < 0)


def _name(each: Slice) -> str:
    return _NAMES.get((each["kind"], each["name"])) or text(shortened(each["name"], 60)) or "(none)"


def _order(each: Slice) -> tuple[bool, float]:
    """What is shown to differ first, and in each half the worst for A first."""
    return not shown_to_differ(each), each["difference"]


def _bounds(slices: Sequence[Slice]) -> tuple[float, float]:
    """How far a plot reaches: to every difference, and to the intervals of what is shown to differ. Others are cut."""
    ends = [each["difference"] for each in slices]
    ends += [each[end] for each in slices if shown_to_differ(each) for end in ("low", "high")]
    return diverging([end for end in ends if is_number(end)])


def _tables(what: str, metric: str, members: Sequence[Slice]) -> str:
    kept = members[:MAX_ROWS]
    bounds = _bounds(kept)
    sure = [each for each in kept if shown_to_differ(each)]
    rest = [each for each in kept if not shown_to_differ(each)]
    if len(kept) <= _FULL_ROWS or not rest:
        shown, folded = kept, []
    else:
        shown, folded = sure, rest
    caption = f"{metric} of A and B by {what.lower()}"
    html = _table(what, caption, shown, bounds) if shown else ""
    if folded:
        html += (
            f"<details><summary>Not shown to differ: {len(folded)}</summary>"
            f"{_table(what, f'{caption}, not shown to differ', folded, bounds)}</details>"
        )
    if left := len(members) - len(kept):
        html += f'<p class="said">{count(left, "more slice")} not on this page, none shown to differ for the worse.</p>'
    return html


def _table(what: str, caption: str, rows: Sequence[Slice], bounds: tuple[float, float]) -> str:
    columns = (
        f'<th scope="col" class="name" data-sort="text">{what}</th>'
        '<th scope="col" class="plotted"><span class="unseen">Plot of the difference</span>'
        f"{difference_axis(bounds)}</th>"
        f'<th scope="col" class="delta" data-sort="number">{A_MINUS_B}</th>'
        '<th scope="col" class="bounds">Interval</th>'
        '<th scope="col" data-sort="number"><abbr title="p-value">p</abbr></th>'
        '<th scope="col" data-sort="number"><b class="key a">A</b></th>'
        '<th scope="col" data-sort="number"><b class="key b">B</b></th>'
        '<th scope="col" data-sort="number">Facets</th>'
        '<th scope="col" data-sort="number">Products</th>'
    )
    listed = (
        f'<table class="slices" data-sortable><caption class="unseen">{caption}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(_row(each, bounds) for each in rows)}</tbody></table>"
    )
    return scrolling(listed, caption)


def _row(each: Slice, bounds: tuple[float, float]) -> str:
    if not shown_to_differ(each):
        kind, word = "muted", "not shown"
    elif each["difference"] > 0:
        kind, word = "better", "A better"
    else:
        kind, word = "worse", "A worse"
    estimate = Estimate(each["difference"], each["low"], each["high"])
    cells = [
        f'<th scope="row" class="name" dir="auto">{_name(each)}</th>',
        f'<td class="plotted">{difference(estimate, bounds, kind)}</td>',
        _cell(each["difference"], f"<strong>{signed(each['difference'])}</strong> <span>{word}</span>"),
        f"<td>{signed(each['low'])} to {signed(each['high'])}</td>",
        *(_cell(each[name], score(each[name])) for name in ("p_value", "first", "second")),
        *(_cell(each[name], f"{each[name]:,}") for name in ("support", "num_products")),
    ]
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _cell(value: Any, inside: str) -> str:
    """A cell that the page's script can sort by its number."""
    return f'<td data-value="{value if is_number(value) else ""}">{inside}</td>'
