"""One page that says how a sweep went: what won, how the score rose, what mattered, and every trial.

Like the gate's page it is a single file that asks for nothing. Complete trials are filled circles, pruned ones hollow
diamonds, so nothing hangs on colour alone; the table below the plots holds every number in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from facetmill.report.metric_names import in_sentence, title
from facetmill.report.numbers import NONE, count, duration, is_number, plain, score, signed
from facetmill.report.page import document, pairs, scrolling, section, sentence, table, text
from facetmill.report.plots import Scale, around, tick_text, ticks

TOP, BOTTOM = 10.0, 190.0  # of the history's plot, in pixels
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
WON = ' <span class="badge good">winner</span>'

STYLE = """
:root { --mark: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --mark: #74b4ff; } }
.plot { display: block; width: 100%; overflow: visible; }
.plot text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.plot .grid { stroke: var(--line); }
.plot .rise { stroke: var(--mark); stroke-width: 2; }
.plot .complete { fill: var(--mark); }
.plot .pruned { fill: var(--card); stroke: var(--soft); stroke-width: 1.5; }
.plot .won { fill: none; stroke: var(--mark); stroke-width: 2; }
.plot .bar { fill: var(--mark); }
.at { overflow: visible; }
.wide { overflow-x: auto; }
.wide :is(th, td), thead th { white-space: nowrap; }
.wide .said { white-space: normal; display: block; min-width: 14rem; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
"""

Trial = Mapping[str, Any]


def sweep_page(summary: Mapping[str, Any]) -> str:
    """The page as HTML text, from what `training.search.summary` gives with `model` and `dataset` added."""
    trials: Sequence[Trial] = summary["trials"]
    title = f"Sweep of {summary['model']} on {summary['dataset']['name']}"
    states = Counter(STATES[trial["state"]] for trial in trials)
    facts = {
        "Dataset version": summary["dataset"]["version"][:12],
        "Trials": ", ".join(f"{number} {state}" for state, number in states.items()) or "none",
        "Time in trials": duration(sum(trial["seconds"] or 0.0 for trial in trials)),
    }
    parts = [
        f"<h1>{text(title)}</h1>",
        _answer(summary),
        pairs(facts),
        section("How the score rose", _history(summary)),
        section("Which parameters mattered", _importances(summary)),
        section("Trials", scrolling(_table(summary), "Trials")),
    ]
    return document(title, "<main>\n" + "\n".join(parts) + "\n</main>", style=STYLE)


def _metric(summary: Mapping[str, Any]) -> str:
    """The metric that decides; summaries that name none are older than there was a choice."""
    return str(summary.get("metric", "value_f1"))


def _answer(summary: Mapping[str, Any]) -> str:
    trials, best, winner = summary["trials"], summary["best"], summary["winner"]
    if best is None:
        return _box("bad", "No winner", "No trial is complete, so there is nothing to train in earnest.")
    value = trials[best]["value"]
    first = trials[0]["value"] if trials[0]["state"] == "COMPLETE" else None
    if winner == 0:
        gain = summary["min_gain"]
        metric = in_sentence(_metric(summary))
        said = f"The values of params.yaml stay, with {metric} {score(first)} in the short training. "
        said += (
            "No trial is better."
            if best == 0
            else f"Trial {best} has {score(value)}, which is not more than {plain(gain)} better."
        )
        return _box("good", "The values of params.yaml won", said)
    said = f"{title(_metric(summary))} {score(value)} in the short training"
    said += f", {signed(value - first)} against the values of params.yaml." if is_number(first) else "."
    return _box("good", f"Trial {winner} won", said)


def _box(kind: str, heading: str, said: str) -> str:
    return f'<div class="answer {kind}" role="status"><strong>{heading}</strong><p>{text(said)}</p></div>'


def _history(summary: Mapping[str, Any]) -> str:
    """A point for each trial with a score; the line is the highest complete one so far."""
    drawn = [trial for trial in summary["trials"] if is_number(trial["value"])]
    if not drawn:
        return "<p>No trial has a score.</p>"
    low, high = around([trial["value"] for trial in drawn])
    x = Scale(0, max(trial["number"] for trial in drawn) or 1, left=12.0, right=96.0)

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)

    parts = [
        f'<line class="grid" x1="{x.left}%" x2="{x.right}%" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{x.left - 2}%" y="{y(tick) + 4:.1f}" text-anchor="end">{tick_text(tick)}</text>'
        for tick in ticks(low, high)
    ]
    parts += [
        f'<text x="{x.at(tick)}" y="{BOTTOM + 20}" text-anchor="middle">{tick_text(tick)}</text>'
        for tick in ticks(x.low, x.high)
        if tick == int(tick)
    ]
    parts.append(_rise(drawn, x, y))
    for trial in drawn:
        at_x, at_y = x.at(trial["number"]), y(trial["value"])
        if trial["number"] == summary["winner"]:
            parts.append(f'<circle class="won" cx="{at_x}" cy="{at_y:.1f}" r="9"/>')
        if trial["state"] == "COMPLETE":
            parts.append(f'<circle class="complete" cx="{at_x}" cy="{at_y:.1f}" r="5"/>')
        else:
            diamond = '<path class="pruned" d="M0-5 5 0 0 5-5 0z"/>'
            parts.append(f'<svg x="{at_x}" y="{at_y:.1f}" class="at">{diamond}</svg>')
    metric = text(title(_metric(summary)))
    label = f"{metric} of {count(len(drawn), 'trial')} by number; the table below has the same numbers."
    return (
        f'<svg class="plot" height="{BOTTOM + 28:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        f'<p class="said">{metric} by trial number. Filled: complete. Hollow: pruned, at its last epoch. '
        "Ringed: the winner. Line: the best complete trial so far.</p>"
    )


def _rise(drawn: Sequence[Trial], x: Scale, y: Any) -> str:
    """Steps: level to the next better trial, then up."""
    complete = [trial for trial in drawn if trial["state"] == "COMPLETE"]
    lines = []
    for trial, following in zip(complete, [*complete[1:], None], strict=True):
        best = max(each["value"] for each in complete if each["number"] <= trial["number"])
        end = x.high if following is None else following["number"]
        lines.append((trial["number"], end, best, best))
        if following is not None and following["value"] > best:
            lines.append((end, end, best, following["value"]))
    return "".join(
        f'<line class="rise" x1="{x.at(start)}" x2="{x.at(end)}" y1="{y(before):.1f}" y2="{y(after):.1f}"/>'
        for start, end, before, after in lines
    )


def _importances(summary: Mapping[str, Any]) -> str:
    if summary["importances"] is None:
        return f"<p>{sentence(summary['no_importances'])}</p>"
    rows = (
        [
            text(name),
            f"{share:.0%}",
            '<svg class="plot" height="14" aria-hidden="true" focusable="false">'
            f'<rect class="bar" x="0" y="2" height="10" width="{100 * share:.2f}%"/></svg>',
        ]
        for name, share in summary["importances"].items()
    )
    said = (
        '<p class="said">How much each parameter decides whether a trial gets among the best quarter of the complete '
        "ones (PED-ANOVA). With few trials this is a hint, not a finding.</p>"
    )
    return table(["Parameter", "Share", ""], rows) + said


def _table(summary: Mapping[str, Any]) -> str:
    trials = summary["trials"]
    names = sorted({name for trial in trials for name in trial["params"]})
    rows = (
        [
            str(trial["number"]) + (WON if trial["number"] == summary["winner"] else ""),
            STATES[trial["state"]] + (f'<span class="said">{text(trial["error"])}</span>' if trial["error"] else ""),
            score(trial["value"], 4),
            NONE if trial["seconds"] is None else duration(trial["seconds"]),
            *(text(plain(trial["params"].get(name))) for name in names),
        ]
        for trial in trials
    )
    return table(["Trial", "State", text(title(_metric(summary))), "Time", *map(text, names)], rows)
