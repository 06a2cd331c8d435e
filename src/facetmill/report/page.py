"""What every page of ours shares: one HTML file that asks for nothing, holds hostile text safely, and reads well.

Values come from product data and are hostile: everything goes through `text`. The policy in the head lets the browser
use this file's own style and script, named by their hashes, and nothing else from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence

from facetmill.terminal import UNSEEN

_UNSEEN = re.compile(f"[{UNSEEN}]")

STYLE = """
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
@media print {
  details::details-content { content-visibility: visible; block-size: auto; }
  body { background: none; }
  .card { break-inside: avoid; }
}
@media (max-width: 34rem) { th, td { padding: .4rem .5rem; } }
"""


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """The whole file. `body` is HTML; `style` comes after the shared one; `script` runs once the body is there.

    Pictures can only be data URIs, inline `style` attributes and event handlers do not work, nothing is ever asked for.
    """
    style = STYLE + style
    policy = [
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        *([f"script-src '{_digest(script)}'"] if script else []),
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def section(heading: str, inside: str, name: str = "") -> str:
    """A part of the page under its own heading; `name` is where a link finds it."""
    labelled = f' id="{name}" aria-labelledby="{name}-heading"' if name else ""
    own = f' id="{name}-heading"' if name else ""
    return f"<section{labelled}>\n<h2{own}>{heading}</h2>\n{inside}\n</section>"


def pairs(named: Mapping[str, str]) -> str:
    """Names with values, side by side where there is room."""
    inside = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in named.items())
    return f"<dl>{inside}</dl>" if named else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Cells are HTML already; the first of a row is its heading."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'
        for first, *others in rows
    )
    said = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def scrolling(inside: str, label: str) -> str:
    """A part that may be wider than a phone: it scrolls by itself, also by keyboard, and the page does not."""
    return f'<div class="wide" role="group" tabindex="0" aria-label="{text(label)}">{inside}</div>'


def sentence(said: str) -> str:
    """A reason as a sentence; a name such as `value_f1` keeps its letters."""
    start = said[:1] if "_" in said.split(" ")[0] else said[:1].upper()
    return text(f"{start}{said[1:]}{'' if said.endswith('.') else '.'}")


def claim(gate: str) -> str:
    """`no_group_in_two_splits` as a person says it."""
    return text(gate.replace("_", " ").capitalize())


def text(value: str) -> str:
    """Any string as text that cannot become markup, nor reorder what stands around it, nor fail to be written."""
    visible = _UNSEEN.sub("\ufffd", value).encode("utf-8", "replace").decode("utf-8")
    return html.escape(visible)


def _digest(inside: str) -> str:
    """How a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
