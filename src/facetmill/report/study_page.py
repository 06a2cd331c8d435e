"""One page of a study's table: each row's score with its interval, its gain, its cost, and where it is weak.

Like every page of ours it is a single file that asks for nothing. What others published stands apart, below a heading
that says what it is of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from facetmill.report.metric_names import MEANINGS, OTHER_MEANINGS, title
from facetmill.report.numbers import NONE, is_number
from facetmill.report.page import document, pairs, scrolling, section, table, text
from facetmill.report.plots import Point, Scale, around, marker, tick_text, ticks

STYLE = """
:root { --mark: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --mark: #74b4ff; } }
.plot { display: block; width: 100%; min-width: 12rem; overflow: visible; }
.plot .tick { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.plot .bar { stroke: var(--soft); stroke-dasharray: 3 3; }
.plot .whisker { stroke: var(--mark); stroke-width: 2; }
.plot .mark-a { fill: var(--mark); }
.wide { overflow-x: auto; }
.wide :is(th, td) { white-space: nowrap; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
"""

Row = Mapping[str, Any]


def study_page(found: Mapping[str, Any]) -> str:
    """The page as HTML text, from what `Table.to_json` gives."""
    rows: Sequence[Row] = found["rows"]
    name = f"Study {found['study']}"
    facts = {
        "Data": found["data"],
        "Scored on": found["scored_on"],
        "Seeds": ", ".join(map(str, found["seeds"])),
        "Intervals": "95 %, over products",
    }
    parts = [f"<h1>{text(name)}</h1>", f"<p>{text(found['asks'])}</p>", pairs(facts)]
    parts += [section(text(title(metric)), _measures(rows, metric)) for metric in rows[0]["measures"]]
    if names := list(dict.fromkeys(name for row in rows for name in row["others"])):
        parts.append(section("Other scores", _others(rows, names)))
    parts.append(section("What it costs", scrolling(_costs(rows), "What each row costs")))
    parts += [section(f"By {kind}", _slices(rows, f"by_{kind}", found["metric"])) for kind in ("category", "attribute")]
    if found["published"]:
        parts.append(section("Published by others, not measured here", _published(found["published"])))
    return document(name, "<main>\n" + "\n".join(parts) + "\n</main>", style=STYLE)


def _measures(rows: Sequence[Row], metric: str) -> str:
    measures = [row["measures"][metric] for row in rows]
    bounds = around([measure[end] for measure in measures for end in ("low", "high")])
    bars = {row["bar"] for row in rows}
    line = next((row["measures"][metric]["f1"] for row in rows if bars == {row["name"]}), None)
    cells = []
    for row, measure in zip(rows, measures, strict=True):
        gain = NONE
        if row["bar"] != row["name"]:
            gain = _gain(measure) + (f" over {text(row['bar'])}" if len(bars) > 1 else "")
        score = f"{measure['f1']:.2f} [{measure['low']:.1f}, {measure['high']:.1f}]"
        sides = (f"{measure['precision']:.2f}", f"{measure['recall']:.2f}")
        cells.append((text(row["name"]), _whisker(measure, bounds, line), score, *sides, gain))
    over = f", over {text(next(iter(bars)))}" if len(bars) == 1 else ""
    head = ("Row", f"Drawn{_axis(bounds)}", "F1, %", "Precision", "Recall", f"Gain{over}")
    said = MEANINGS[metric]
    if metric == "attribute_f1":
        said += " Predicted as such, or where a model predicts none, those of its values."
    return f'<p class="said">{text(said)}</p>' + scrolling(table(head, cells), title(metric))


def _whisker(measure: Mapping[str, float], bounds: Point, line: float | None) -> str:
    """A score with its interval; hidden from screen readers, which read the numbers beside it."""
    scale = Scale(*bounds)
    bar = "" if line is None else f'<line class="bar" x1="{scale.at(line)}" x2="{scale.at(line)}" y1="0" y2="24"/>'
    low, high = scale.at(measure["low"]), scale.at(measure["high"])
    return (
        f'<svg class="plot row" height="24" aria-hidden="true" focusable="false">{bar}'
        f'<line class="whisker" x1="{low}" x2="{high}" y1="12" y2="12"/>'
        + marker("a", scale.at(measure["f1"]), 12)
        + "</svg>"
    )


def _axis(bounds: Point) -> str:
    scale = Scale(*bounds)
    return (
        '<svg class="plot row" height="18" aria-hidden="true" focusable="false">'
        + "".join(
            f'<text class="tick" x="{scale.at(tick)}" y="14" text-anchor="middle">{tick_text(tick)}</text>'
            for tick in ticks(*bounds, most=4)
        )
        + "</svg>"
    )


def _gain(measure: Mapping[str, float]) -> str:
    gain = f"{measure['gain']:+.2f} [{measure['gain_low']:+.1f}, {measure['gain_high']:+.1f}]"
    return gain.replace("-", "\N{MINUS SIGN}")


def _others(rows: Sequence[Row], names: Sequence[str]) -> str:
    cells = [(text(row["name"]), *(_other(row["others"].get(name)) for name in names)) for row in rows]
    meanings = "".join(f"<li><b>{text(title(name))}</b> {text(OTHER_MEANINGS[name])}</li>" for name in names)
    return scrolling(table(("Row", *(f"{title(name)}, %" for name in names)), cells), "Other scores") + (
        f'<details><summary>What each of these counts</summary><ul class="said">{meanings}</ul></details>'
    )


def _other(found: Mapping[str, float] | None) -> str:
    return NONE if found is None else f"{found['score']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"


def _costs(rows: Sequence[Row]) -> str:
    costs = ("Row", "Scored", "Best epochs", "Training, s", "Products/s", "Peak, MiB")
    head = (*costs, "Values seen, %", "Recall seen, %", "Unseen, %", "Calibration error, %")
    names = ("train_seconds", "products_per_second", "peak_mib")
    cells = [
        (
            text(row["name"]),
            f"{row['num_scored']:,}",
            ", ".join(map(str, row["best_epochs"])),
            *(f"{row[name]:,.0f}" for name in names),
            f"{row['share_seen']:.1f}",
            f"{row['recall_seen']:.1f}",
            f"{row['recall_unseen']:.1f}",
            "" if row["calibration_error"] is None else f"{row['calibration_error']:.1f}",
        )
        for row in rows
    ]
    return table(head, cells)


def _slices(rows: Sequence[Row], kind: str, metric: str) -> str:
    """F1 of each row on each slice that has something to find; rows that were scored on other products apart."""
    drawn = []
    groups: dict[tuple[tuple[str, int], ...], list[Row]] = {}
    for row in rows:
        supports = tuple((name, each["support"]) for name, each in row[kind].items() if each["support"])
        groups.setdefault(supports, []).append(row)
    for supports, group in groups.items():
        head = (kind.removeprefix("by_").capitalize(), "Support", *(text(row["name"]) for row in group))
        cells = [
            (text(name), f"{number:,}", *(f"{row[kind][name]['f1']:.1f}" for row in group))
            for name, number in sorted(supports, key=lambda item: (-item[1], item[0]))
        ]
        drawn.append(scrolling(table(head, cells, f"{text(title(metric))}, %"), kind.replace("_", " ")))
    return "".join(drawn)


def _published(rows: Sequence[Row]) -> str:
    drawn = []
    for (paper, where, scored_on), found in groupby(rows, lambda row: (row["paper"], row["table"], row["scored_on"])):
        group = list(found)
        names = list(dict.fromkeys(name for row in group for name in row["scores"]))
        cells = [(text(row["name"]), *(_percent(row["scores"].get(name)) for name in names)) for row in group]
        drawn.append(f"<p>{text(paper)}, {text(where)}. Percent, scored on {text(scored_on)}.</p>")
        drawn.append(scrolling(table(("Row", *map(text, names)), cells), f"{paper}, {where}"))
    return "".join(drawn)


def _percent(score: Any) -> str:
    return f"{score:.2f}" if is_number(score) else NONE
