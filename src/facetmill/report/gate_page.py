"""One page that says whether a dataset may be trained on, and if not, what is wrong and where.

It is a single HTML file for a person without the tools: no script, nothing loaded from anywhere, readable on a phone
and on paper. Values come from product data and are hostile: everything goes through `_text`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

from facetmill.gates.verdict import NOT_MEASURED, DataVerdict, Verdict, shown

# Control characters, and the marks that make text read in another order than it is written.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #fff; --ink: #1b2230; --soft: #5b6472; --line: #dfe3e9;
  --bad: #b3261e; --bad-ground: #fdecea; --warn: #8a5300; --warn-ground: #fff3dc;
  --good: #17693a; --good-ground: #e4f5ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151b; --card: #1b2029; --ink: #e8ebf0; --soft: #a3adbb; --line: #323a46;
    --bad: #ff9d94; --bad-ground: #3c1d1b; --warn: #f3c06b; --warn-ground: #382a12;
    --good: #7fd6a0; --good-ground: #14301f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .35rem 0; }
.answer { border-radius: .75rem; padding: 1rem 1.25rem; border-left: .4rem solid; }
.answer strong { display: block; font-size: 1.25rem; }
.answer p { color: var(--ink); }
.bad { color: var(--bad); background: var(--bad-ground); }
.warn { color: var(--warn); background: var(--warn-ground); }
.good { color: var(--good); background: var(--good-ground); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.25rem; }
.card { margin: .75rem 0; }
.head { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; justify-content: space-between; }
.badge { border-radius: 1rem; padding: .1rem .7rem; font-size: .8rem; font-weight: 600; }
.said { color: var(--soft); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: .75rem 0; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
ul { margin: .35rem 0 0; padding-left: 1.1rem; }
li { margin: .2rem 0; }
code { font: .85em/1.5 ui-monospace, monospace; unicode-bidi: isolate; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem; border-top: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; }
th { font-weight: 500; }
thead th { color: var(--soft); font-size: .8rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; font-weight: 600; }
@media print { details > * { display: block; } body { background: none; } .card { break-inside: avoid; } }
@media (max-width: 34rem) { th, td { padding: .4rem .5rem; } }
"""


def render(verdict: DataVerdict, title: str = "Data gate", facts: Mapping[str, str] | None = None) -> str:
    """The page as HTML text. `facts` are shown below the answer by name (dataset, version, ...)."""
    unmeasured = [each for each in verdict.blockers if each.observed == NOT_MEASURED]
    broken = [each for each in verdict.blockers if each.observed != NOT_MEASURED]
    notes = [each for each in verdict.verdicts if not each.passed and each.severity == "info"]
    held = [each for each in verdict.verdicts if each.passed]
    parts = [
        f"<h1>{_text(title)}</h1>",
        _answer(verdict),
        _pairs(facts or {}),
        _cards("What blocks training", "bad", "not true, blocks", broken),
        _unmeasured(unmeasured),
        _cards("Warnings", "warn", "not true, warning", verdict.warnings),
        _cards("For your information", "good", "not true", notes),
        _counts(verdict.counts),
        _held(held),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(_state(verdict))}: {_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(part for part in parts if part) + "\n</main>\n</body>\n</html>\n"
    )


def _state(verdict: DataVerdict) -> str:
    return "Passed" if verdict.passed else "Blocked"


def _answer(verdict: DataVerdict) -> str:
    asked, blocking, warnings = len(verdict.verdicts), len(verdict.blockers), len(verdict.warnings)
    kind = "bad" if not verdict.passed else "warn" if warnings else "good"
    if not asked:
        said = "No claim was checked, so nothing is known of this dataset."
    elif blocking:
        said = f"{blocking} of {asked} claims about this dataset do not hold. No model is trained on it until they do."
    elif warnings:
        said = f"It may be trained on. {warnings} of {asked} claims do not hold and are worth a look first."
    else:
        said = f"It may be trained on: all {asked} claims about this dataset hold."
    return f'<div class="answer {kind}" role="status"><strong>{_state(verdict)}</strong><p>{said}</p></div>'


def _cards(heading: str, kind: str, badge: str, verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    return _section(heading, "\n".join(_card(each, kind, badge) for each in verdicts))


def _card(verdict: Verdict, kind: str, badge: str) -> str:
    examples = "".join(f"<li><code>{_text(each)}</code></li>" for each in verdict.examples)
    return (
        '<article class="card"><div class="head">'
        f'<h3>{_claim(verdict)}</h3><span class="badge {kind}">{badge}</span></div>'
        f'<p class="said">{_sentence(verdict.reason)}</p>'
        + _pairs({"Found": shown(verdict.observed), "Required": verdict.required})
        + (f"<p>Where, for example:</p><ul>{examples}</ul>" if examples else "")
        + "</article>"
    )


def _unmeasured(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    said = "<p>A claim that could not be checked counts as not true, and blocks.</p>"
    rows = ([_claim(each), _sentence(each.reason)] for each in verdicts)
    return _section("What could not be checked", said + _table(["Claim", "Why"], rows))


def _counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    rows = ([_text(name), f"{number:,}"] for name, number in counts.items())
    return _section("What the dataset holds", _table(["What", "How many"], rows))


def _held(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    rows = ([_claim(each), _text(shown(each.observed)), _text(each.required)] for each in verdicts)
    table = _table(["Claim", "Found", "Required"], rows)
    return _section("What holds", f"<details><summary>Claims that hold: {len(verdicts)}</summary>{table}</details>")


def _section(heading: str, inside: str) -> str:
    return f"<section>\n<h2>{heading}</h2>\n{inside}\n</section>"


def _pairs(pairs: Mapping[str, str]) -> str:
    """Names with values, side by side where there is room."""
    inside = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in pairs.items())
    return f"<dl>{inside}</dl>" if pairs else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already; the first of a row is its heading."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'
        for first, *others in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _sentence(text: str) -> str:
    return _text(f"{text[:1].upper()}{text[1:]}.")


def _claim(verdict: Verdict) -> str:
    """`no_group_in_two_splits` as a person says it."""
    return _text(verdict.gate.replace("_", " ").capitalize())


def _text(value: str) -> str:
    """Any string as text that cannot become markup, nor reorder what stands around it, nor fail to be written."""
    visible = _INVISIBLE.sub("\ufffd", value).encode("utf-8", "replace").decode("utf-8")
    return html.escape(visible)
