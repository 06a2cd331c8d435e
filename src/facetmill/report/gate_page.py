"""One page that says whether a dataset may be trained on, and if not, what is wrong and where.

It is a single HTML file for a person without the tools: no script, nothing loaded from anywhere, readable on a phone
and on paper. Values come from product data and are hostile: everything goes through `page.text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facetmill.gates.verdict import NOT_MEASURED, DataVerdict, Verdict, shown
from facetmill.report.page import claim, document, pairs, section, sentence, table, text


def render(
    verdict: DataVerdict,
    title: str = "Data gate",
    facts: Mapping[str, str] | None = None,
    figures: Sequence[str] = (),
) -> str:
    """The page as HTML text. `facts` are shown below the answer by name (dataset, version, ...); `figures` are sections
    that are HTML already, for the numbers of the dataset."""
    unmeasured = [each for each in verdict.blockers if each.observed == NOT_MEASURED]
    broken = [each for each in verdict.blockers if each.observed != NOT_MEASURED]
    notes = [each for each in verdict.verdicts if not each.passed and each.severity == "info"]
    held = [each for each in verdict.verdicts if each.passed]
    parts = [
        f"<h1>{text(title)}</h1>",
        _answer(verdict),
        pairs(facts or {}),
        _cards("What blocks training", "bad", "not true, blocks", broken),
        _unmeasured(unmeasured),
        _cards("Warnings", "warn", "not true, warning", verdict.warnings),
        _cards("For your information", "good", "not true", notes),
        _counts(verdict.counts),
        *figures,
        _held(held),
    ]
    body = "<main>\n" + "\n".join(part for part in parts if part) + "\n</main>"
    return document(f"{_state(verdict)}: {title}", body)


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
    return section(heading, "\n".join(_card(each, kind, badge) for each in verdicts))


def _card(verdict: Verdict, kind: str, badge: str) -> str:
    examples = "".join(f"<li><code>{text(each)}</code></li>" for each in verdict.examples)
    return (
        '<article class="card"><div class="head">'
        f'<h3>{claim(verdict.gate)}</h3><span class="badge {kind}">{badge}</span></div>'
        f'<p class="said">{sentence(verdict.reason)}</p>'
        + pairs({"Found": shown(verdict.observed), "Required": verdict.required})
        + (f"<p>Where, for example:</p><ul>{examples}</ul>" if examples else "")
        + "</article>"
    )


def _unmeasured(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    said = "<p>A claim that could not be checked counts as not true, and blocks.</p>"
    rows = ([claim(each.gate), sentence(each.reason)] for each in verdicts)
    return section("What could not be checked", said + table(["Claim", "Why"], rows))


def _counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    rows = ([text(name), f"{number:,}"] for name, number in counts.items())
    return section("What the dataset holds", table(["What", "How many"], rows))


def _held(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    rows = ([claim(each.gate), text(shown(each.observed)), text(each.required)] for each in verdicts)
    listed = table(["Claim", "Found", "Required"], rows)
    return section("What holds", f"<details><summary>Claims that hold: {len(verdicts)}</summary>{listed}</details>")
