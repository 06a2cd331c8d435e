"""The review page: one offline HTML file on which a person decides between two models.

It reads from the decision down to single products: the verdict, the scores, the gates, where the models differ, what
they were trained on and how, and what each said about real products. A is `first`, the challenger; B is `second`, what
it is compared with. All of it can be read without a script; the script adds filtering and sorting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facetmill.files import write_text
from facetmill.gates.verdict import shown
from facetmill.report.examples import examples_html
from facetmill.report.left_out import left_out_html
from facetmill.report.marked_text import shortened
from facetmill.report.metric_names import MEANINGS, in_sentence, title
from facetmill.report.numbers import (
    A_MINUS_B,
    NONE,
    count,
    duration,
    is_number,
    p_text,
    plain,
    score,
    signed,
    typeset,
)
from facetmill.report.page import claim, document, scrolling, section, sentence, table, text
from facetmill.report.plots import Estimate, around, bars, curves, estimates
from facetmill.report.review_script import SCRIPT
from facetmill.report.review_style import STYLE
from facetmill.report.slices import slices_html

Json = Mapping[str, Any]

_OTHER_SCORES = {
    "pair_precision": "Pair precision",
    "pair_recall": "Pair recall",
    "pair_f1_explicit": "Pair F1 of values that stand in the text",
    "pair_f1_implicit": "Pair F1 of values that do not",
    "macro_pair_f1": "Pair F1, mean over attributes",
    "value_precision": "Value precision",
    "value_recall": "Value recall",
    "macro_value_f1": "Value F1, mean over attributes",
    "attribute_precision": "Attribute precision",
    "attribute_recall": "Attribute recall",
    "predicted_attribute_f1": "F1 of the attributes that the model predicts as such",
    "predicted_attribute_precision": "Precision of these",
    "predicted_attribute_recall": "Recall of these",
    "na_precision": "N/A-aware precision",
    "na_recall": "N/A-aware recall",
    "pair_accuracy": "Pair accuracy",
    "recall_explicit": "Recall of values that stand in the text",
    "recall_implicit": "Recall of values that do not",
    "recall_seen": "Recall of values seen in training",
    "recall_unseen": "Recall of values not seen in training",
}
MAX_CURVES = 8


def write_review(comparison: Json, path: Path, *, pictures_dir: Path = Path()) -> None:
    """Write the review page of a comparison to `path`, whole or not at all."""
    write_text(path, review_page(comparison, pictures_dir=pictures_dir))


def review_page(comparison: Json, *, pictures_dir: Path = Path()) -> str:
    """The page as HTML text. Relative paths of pictures start at `pictures_dir`, the folder of the dataset.

    Nothing in it depends on time or place: the same comparison and pictures give the same page.
    """
    a, b = _names(comparison)
    metric = _metric(comparison)
    kind, headline, why = _decision(comparison, a, b)
    sections = {
        "scores": ("Scores", _scores(comparison)),
        "gates": ("Gates", _gates(comparison["verdicts"])),
        "left_out": ("Left out", left_out_html(comparison.get("left_out"))),
        "slices": ("Where they differ", slices_html(comparison["slices"], text(title(metric)))),
        "pictures": ("Pictures", _pictures(comparison["first"]["awareness"], comparison["second"]["awareness"])),
        "data": ("Data", _data(comparison)),
        "training": ("Training", _training(comparison["curves"])),
        "latency": ("Latency", _latency(comparison["first"]["latency"], comparison["second"]["latency"])),
        "examples": ("Example products", _examples(comparison["examples"], pictures_dir, metric)),
    }
    links = "".join(f'<li><a href="#{name}">{heading}</a></li>' for name, (heading, _) in sections.items())
    body = (
        '<a class="skip" href="#main">Skip to the decision</a>\n'
        f"<header>{_header(comparison, a, b)}</header>\n"
        f'<main id="main" tabindex="-1">\n<section class="answer {kind}"><h2>{headline}</h2><p>{why}</p>'
        f"{_approval(comparison)}</section>\n"
        f'{_models(comparison, a, b)}\n<nav aria-label="On this page"><ul>{links}</ul></nav>\n'
        + "\n".join(section(heading, inside, name) for name, (heading, inside) in sections.items())
        + f"\n</main>\n<footer>{_footer()}</footer>"
    )
    return document(f"{a} or {b}: review", body, style=STYLE, script=SCRIPT)


def _metric(comparison: Json) -> str:
    """The metric to decide by; comparisons that name none are older than there was a choice."""
    return str(comparison.get("metric", "value_f1"))


def _names(comparison: Json) -> tuple[str, str]:
    """What the two models are called; by their references where model and version are the same."""
    sides = (comparison["first"], comparison["second"])
    a, b = (side["model"] if side["version"] is None else f"{side['model']} {side['version']}" for side in sides)
    if a == b:
        a, b = (side["ref"] for side in sides)
    return shortened(a, 60), shortened(b, 60)


def _role(side: Json, first: bool) -> str:
    if first:
        return "challenger"
    return "champion" if side["ref"].endswith("@champion") else "compared with"


def _header(comparison: Json, a: str, b: str) -> str:
    dataset = comparison["dataset"]
    return (
        f'<h1><span class="eyebrow">Model review</span> <bdi>{text(a)}</bdi> <span class="against">against</span> '
        f"<bdi>{text(b)}</bdi></h1>"
        f'<p class="said">Both scored on {count(comparison["num_products"], "product")} of the '
        f"{text(comparison['split'])} split of <bdi>{text(shortened(dataset['name'], 80))}</bdi>, dataset version "
        f"<code>{text(dataset['version'][:12])}</code>.</p>"
    )


def _models(comparison: Json, a: str, b: str) -> str:
    cards = "".join(
        f'<div class="side {key}"><p class="role"><b class="key {key}">{key.upper()}</b> {_role(side, key == "a")}</p>'
        f'<p class="name"><bdi>{text(name)}</bdi></p><p class="said"><code>{text(shortened(side["ref"], 80))}</code>'
        + (f"<br>run <code>{text(side['run_id'][:12])}</code>" if side["run_id"] else "")
        + "</p></div>"
        for key, name, side in (("a", a, comparison["first"]), ("b", b, comparison["second"]))
    )
    return f'<div class="models">{cards}</div>'


def _decision(comparison: Json, a: str, b: str) -> tuple[str, str, str]:
    """CSS class, headline and reason (HTML). Only gates decide; a comparison without gates says what it saw."""
    verdicts = comparison["verdicts"]
    against = [each for each in verdicts if not each["passed"] and each["severity"] == "critical"]
    warnings = [each for each in verdicts if not each["passed"] and each["severity"] == "warning"]
    named = {
        key: f'<b class="key {key}">{key.upper()}</b> <bdi>{text(name)}</bdi>' for key, name in (("a", a), ("b", b))
    }
    seen = _seen(_metric(comparison), comparison["paired"])
    if not verdicts:
        return "warn", "No decision: no gate was asked", f"{seen or 'Nothing was compared.'}"
    if against:
        reasons = " ".join(sentence(typeset(each["reason"])) for each in against)
        said = f"{len(against)} of {count(len(verdicts), 'gate')} {'is' if len(against) == 1 else 'are'} against A."
        return "b", f"Keep {named['b']}", f"{said} {reasons}"
    rest = (
        f"No gate is against it; {count(len(warnings), 'warning is', 'warnings are')} worth a look."
        if warnings
        else f"All {count(len(verdicts), 'gate')} passed."
    )
    return "a", f"Promote {named['a']}", f"{seen} {rest}"


def _approval(comparison: Json) -> str:
    """What a person said of it, or still has to."""
    said = comparison.get("approval")
    return f"<p><strong>{text(said[:1].upper() + said[1:])}.</strong></p>" if said else ""


def _seen(metric: str, by_metric: Json) -> str:
    paired = by_metric.get(metric)
    if paired is None:
        return ""
    return (
        f"{text(title(metric))} is {score(paired['first'])} for A and {score(paired['second'])} for B: {_word(paired)} "
        f"({signed(paired['difference'])}, interval {_interval(paired)}, {p_text(paired['p_value'])})."
    )


def _word(paired: Json) -> str:
    if paired["low"] > 0:
        return "A is better"
    return "A is worse" if paired["high"] < 0 else "not shown to differ"


def _interval(bounds: Json) -> str:
    return f"{signed(bounds['low'])} to {signed(bounds['high'])}"


def _scores(comparison: Json) -> str:
    first, second, paired = comparison["first"]["scores"], comparison["second"]["scores"], comparison["paired"]
    both = {name: (_estimate(first, name), _estimate(second, name)) for name in paired}
    low, high = around([end for pair in both.values() for each in pair for end in (each.low, each.high)])
    bounds = max(low, 0.0), min(high, 1.0)
    panels = "".join(_panel(name, paired[name], *both[name], bounds) for name in paired)
    rows = [
        [words, score(first.get(name)), score(second.get(name)), _minus(first.get(name), second.get(name))]
        for name, words in _OTHER_SCORES.items()
        if first.get(name) is not None or second.get(name) is not None
    ]
    listed = table(["Score", _key("a"), _key("b"), A_MINUS_B], rows, '<span class="unseen">Other scores, 0 to 1</span>')
    others = f"<details><summary>Other scores</summary>{scrolling(listed, 'Other scores')}</details>" if rows else ""
    said = (
        '<p class="said">Lines are 95\N{NO-BREAK SPACE}% intervals. The difference is taken product by product, '
        "so it can be certain although the two lines overlap.</p>"
    )
    return f'<div class="panels">{panels}</div>{said}{others}'


def _panel(name: str, paired: Json, a: Estimate, b: Estimate, bounds: tuple[float, float]) -> str:
    label = (
        f"{title(name)}: A {score(a.value)}, 95\N{NO-BREAK SPACE}% interval {score(a.low)} to {score(a.high)}; "
        f"B {score(b.value)}, interval {score(b.low)} to {score(b.high)}"
    )
    kind = "better" if paired["low"] > 0 else "worse" if paired["high"] < 0 else "same"
    return (
        f'<div class="panel card"><h3>{text(title(name))}</h3><p class="said">{MEANINGS.get(name, "")}</p>'
        f'<p class="difference {kind}"><strong>{signed(paired["difference"])}</strong> {_word(paired)}</p>'
        f'<p class="said numbers">Interval {_interval(paired)}, {p_text(paired["p_value"])}</p>'
        f"{estimates(a, b, bounds, label)}</div>"
    )


def _estimate(scores: Json, name: str) -> Estimate:
    value = scores[name]
    low, high = scores["intervals"].get(name, (value, value))
    return Estimate(value, low, high)


def _minus(a: Any, b: Any) -> str:
    return signed(a - b) if is_number(a) and is_number(b) else score(None)


def _key(letter: str) -> str:
    return f'<b class="key {letter}">{letter.upper()}</b>'


def _gates(verdicts: Sequence[Json]) -> str:
    if not verdicts:
        return "<p>No gate was asked.</p>"
    failed = {
        "critical": ("bad", "\N{BALLOT X}", "Failed"),
        "warning": ("warn", "!", "Warning"),
        "info": ("note", "i", "Note"),
    }
    rank = {"bad": 0, "warn": 1, "note": 2, "good": 3}
    items = []
    for each in verdicts:
        kind, sign, word = ("good", "\N{CHECK MARK}", "Passed") if each["passed"] else failed[each["severity"]]
        places = "".join(f"<li><bdi>{text(shortened(place, 300))}</bdi></li>" for place in each["examples"])
        items.append(
            (
                rank[kind],
                f'<li class="gate"><span class="badge {kind}"><span aria-hidden="true">{sign}</span> {word}</span>'
                f'<div><h3>{claim(each["gate"])}</h3><p class="said">{sentence(typeset(each["reason"]))}</p>'
                + (f'<ul class="said">{places}</ul>' if places else "")
                + f"</div><dl><div><dt>Found</dt><dd>{text(typeset(shown(each['observed'])))}</dd></div>"
                f"<div><dt>Required</dt><dd>{text(typeset(each['required']))}</dd></div></dl></li>",
            )
        )
    ordered = "".join(item for _, item in sorted(items, key=lambda item: item[0]))
    return f'<ul class="gates">{ordered}</ul>'


def _pictures(a: Json | None, b: Json | None) -> str:
    """Whether each model looks at pictures: its F1 with each product's own and with another's (image awareness)."""
    if a is None and b is None:
        return '<p class="said">Neither model looks at pictures.</p>'
    sides = [(_key("a"), a), (_key("b"), b)]
    rows = []
    for key, side in sides:
        if side is None:
            rows.append([key, NONE, NONE, '<span class="said">looks at no picture</span>', NONE])
        else:
            own, other = side["congruent_single_f1"], side["incongruent_single_f1"]
            rows.append([key, score(own), score(other), signed(side["mean"]), p_text(math.exp(side["log_p"]))])
    number, metric = next((side["num_products"], side["metric"]) for _, side in sides if side is not None)
    said = (
        f'<p class="said">{count(number, "product")} with pictures, asked again with the pictures of others: a model '
        f"that looks at pictures then does worse. The mean {text(in_sentence(metric))} of single products.</p>"
    )
    columns = ["Model", "With its own", "With another's", "Difference", "Chance"]
    caption = f'<span class="unseen">{text(title(metric))} with the right and with wrong pictures</span>'
    return said + scrolling(table(columns, rows, caption), "Right and wrong pictures")


def _data(comparison: Json) -> str:
    diff = comparison["dataset_diff"]
    if diff is None:
        return '<p class="said">Both were trained on the same data, or what differs is not known.</p>'
    rows = [
        [
            text(shortened(row["what"], 80)),
            _fact(row["first"]),
            _fact(row["second"]),
            _change(row["first"], row["second"]),
        ]
        for row in diff["rows"]
    ]
    caption = f"What differs between the datasets: {text(shortened(str(diff['name']), 120))}"
    return scrolling(table(["What", _key("a"), _key("b"), A_MINUS_B], rows, caption), "What differs in the data")


def _fact(value: Any) -> str:
    return text(shortened(plain(value), 40))


def _change(a: Any, b: Any) -> str:
    if not (is_number(a) and is_number(b)):
        return '<span class="said">same</span>' if a == b else "differs"
    if a == b:
        return '<span class="said">same</span>'
    return ("+" if a > b else "\N{MINUS SIGN}") + plain(abs(a - b))


def _training(both: Json) -> str:
    """A plot for each metric that was recorded, scores first."""
    names = sorted({*both["first"], *both["second"]}, key=lambda name: ("f1" not in name, "loss" not in name, name))
    if not names:
        return '<p class="said">No learning curves were recorded.</p>'
    plots = []
    for name in names[:MAX_CURVES]:
        a, b = ([(x, y) for x, y in both[side].get(name, []) if is_number(y)] for side in ("first", "second"))
        ends = [
            f"{letter} ends at {plain(round(points[-1][1], 4))}" for letter, points in (("A", a), ("B", b)) if points
        ]
        label = f"{shortened(name, 80)} by epoch: {', '.join(ends) or 'no values'}"
        plots.append(f'<div class="panel card"><h3>{text(shortened(name, 80))}</h3>{curves(a, b, label)}</div>')
    missing = [letter for letter, side in (("A", "first"), ("B", "second")) if not both[side]]
    said = "".join(f'<p class="said">{letter} has no learning curve.</p>' for letter in missing)
    if len(names) > MAX_CURVES:
        said += f'<p class="said">{count(len(names) - MAX_CURVES, "more metric")} not shown.</p>'
    return f'<div class="panels">{"".join(plots)}</div>{said}'


def _latency(a: Json, b: Json) -> str:
    rows = []
    for name, words in (("p50", "One product, median"), ("p95", "One product, 95th percentile"), ("load", "Loading")):
        first, second = a.get(name), b.get(name)
        plot, ratio = "", score(None)
        if is_number(first) and is_number(second) and second > 0:
            plot, ratio = bars(first, second), f"{first / second:.2f}"
        rows.append([words, plot, duration(first), duration(second), ratio])
    columns = ["What", '<span class="unseen">Plot</span>', _key("a"), _key("b"), "A / B"]
    listed = table(columns, rows, '<span class="unseen">Time taken by each model</span>')
    return f'<div class="latency">{scrolling(listed, "Time taken by each model")}</div>'


def _examples(examples: Sequence[Json], pictures_dir: Path, metric: str) -> str:
    if not examples:
        return "<p>A and B said the same about every product.</p>"
    legend = (
        '<p class="legend said">Words are underlined by who says that a facet stands there: '
        '<span><b class="key t">T</b> <mark class="t">what is true</mark></span> '
        '<span><b class="key a">A</b> <mark class="a">the challenger</mark></span> '
        '<span><b class="key b">B</b> <mark class="b">the other model</mark></span> '
        "<br>Letters after a word say who, unless all three agree.</p>"
    )
    return legend + examples_html(examples, pictures_dir, by_place=metric == "value_f1")


def _footer() -> str:
    return (
        "<p>F1 is the harmonic mean of precision and recall, 0 to 1. Intervals of a score come from resampling the "
        "products; those of differences, and p-values, from exchanging the two models' answers. All are "
        "95\N{NO-BREAK SPACE}%, those of differences unless <code>promotion.significance</code> asks for another "
        "level. This file is complete: it loads nothing and sends nothing.</p>"
    )
