"""Products that two models disagree on, each as a card: the picture, the marked text, and what is true against what A
and B said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facetmill.metrics.chunks import units
from facetmill.metrics.counted import Item
from facetmill.metrics.pairs import pairs
from facetmill.report.looks import chances_html, covered_map, gate_grid, gate_map, owed_html
from facetmill.report.marked_text import marked, shortened
from facetmill.report.numbers import score, signed
from facetmill.report.page import text
from facetmill.report.pictures import thumbnail
from facetmill.serving.answer import from_entries

Entries = Sequence[Mapping[str, Any]]

MAX_EXAMPLES = 200
MAX_PICTURE_CHARACTERS = 3_000_000  # of all data URIs together, so that the page can be mailed

_WORDS = 'type="search" autocomplete="off" placeholder="title, value, id"'
_KINDS = {
    "regression": ("Regressions", "A does worse than B here, worst first."),
    "improvement": ("Improvements", "A does better than B here, best first."),
    "even": ("Even", "A and B score the same here."),
}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What each side says about one attribute of one product."""

    attribute: str
    true: Entries
    a: Entries
    b: Entries


class Pictures:
    """Pictures for one page, until its share of them is used up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = MAX_PICTURE_CHARACTERS

    def html(self, path: str | None, title: str, over: Mapping[str, str], number: int) -> str:
        """A figure, with what is `over` it, by what the switch that shows it says; in words why there is no picture
        otherwise. The first that is not empty is shown."""
        made = thumbnail(self._folder / path) if path else "No picture"
        if not isinstance(made, str) and len(made.uri) > self._left:
            made = "The picture was left out to keep this page small"
        if isinstance(made, str):
            return f'<div class="picture none"><p>{made}</p></div>'
        self._left -= len(made.uri)
        alt = text(f"Picture of {shortened(title, 80)}")
        image = f'<img src="{made.uri}" alt="{alt}" width="{made.width}" height="{made.height}" loading="lazy">'
        drawn = [(says, svg) for says, svg in over.items() if svg]
        layers, switches = "", ""
        for place, (says, svg) in enumerate(drawn):
            layers += f'<div class="over">{svg}</div>'
            switches += (
                f'<label class="switch"><input type="checkbox"{" checked" * (place == 0)} id="over-{number}-{place}"> '
                f"{says}</label>"
            )
        return f'<div class="picture"><div class="stack">{image}{layers}</div>{switches}</div>'


def examples_html(examples: Sequence[Mapping[str, Any]], pictures_dir: Path, *, by_place: bool) -> str:
    """The filter and all cards: regressions worst first, then improvements best first, then the rest."""
    ordered = sorted(examples, key=lambda example: example["change"])
    groups = {
        "regression": [each for each in ordered if each["change"] < 0],
        "improvement": [each for each in reversed(ordered) if each["change"] > 0],
        "even": [each for each in ordered if each["change"] == 0],
    }
    attributes = sorted({row.attribute for each in examples for row in disputed(each, by_place)})
    categories = sorted({each["product"]["category"] or "" for each in examples})
    pictures = Pictures(pictures_dir)
    cards, number = [], 0
    for kind, members in groups.items():
        kept = members[: max(0, MAX_EXAMPLES - number)]
        if not kept:
            continue
        heading, said = _KINDS[kind]
        cards.append(
            f'<div class="group"><h3>{heading} <span class="said">{len(kept)}</span></h3><p class="said">{said}</p>'
        )
        for example in kept:
            number += 1
            places = " ".join(str(attributes.index(row.attribute)) for row in disputed(example, by_place))
            category = categories.index(example["product"]["category"] or "")
            cards.append(
                f'<article class="card example" data-kind="{kind}" data-category="{category}" '
                f'data-attributes="{places}" aria-labelledby="example-{number}">'
                f"{_card(example, number, pictures, by_place)}</article>"
            )
        cards.append("</div>")
    left_out = len(examples) - number
    if left_out > 0:
        cards.append(f'<p class="said">{left_out:,} more products are not on this page.</p>')
    return _filter(number, groups, attributes, categories) + "\n".join(cards)


def disputed(example: Mapping[str, Any], by_place: bool) -> Iterator[Verdicts]:
    """The attributes of a product on which A and B do not say the same."""
    for row in _by_attribute(example):
        if _items(row.a, by_place) != _items(row.b, by_place):
            yield row


def _by_attribute(example: Mapping[str, Any]) -> list[Verdicts]:
    sides = (example["truth"], example["first"], example["second"])
    names = sorted({entry["attribute"] for side in sides for entry in side})
    return [Verdicts(name, *([e for e in side if e["attribute"] == name] for side in sides)) for name in names]


def _items(entries: Entries, by_place: bool) -> set[Item]:
    """What counts as right or wrong: where a value stands, or which one it is."""
    facets = from_entries({"confidence": None, **entry} for entry in entries)
    return set(units(facets) if by_place else pairs(facets))


def _card(example: Mapping[str, Any], number: int, pictures: Pictures, by_place: bool) -> str:
    product, gates = example["product"], example["gates"]
    sources = {"t": example["truth"], "a": example["first"], "b": example["second"]}
    covered = example.get("covered") or []
    over = {
        "Where A looked": covered_map(covered),
        "A's gate": gate_grid(gates["rows"], gates["columns"], gates["regions"]) if gates else "",
    }
    facts = " \N{MIDDLE DOT} ".join(
        f"<bdi>{text(shortened(fact, 60))}</bdi>" for fact in (product["category"], product["product_id"]) if fact
    )
    body = f'<p class="words title" dir="auto">{marked("title", product["title"], sources)}</p>'
    if product["text"]:
        body += f'<p class="words" dir="auto">{marked("text", product["text"], sources)}</p>'
    if gates and (heats := gate_map(product, gates["tokens"])):
        body += f"<details><summary>How far A lets the picture in, token by token</summary>{heats}</details>"
    body += owed_html(covered)
    chances = chances_html(example.get("chances") or {})
    return (
        '<div class="head">'
        f'<h4 id="example-{number}" class="unseen">{text(shortened(product["title"], 90))}</h4>'
        f'<p class="said facts">{facts}</p>{_change(example)}</div>'
        f'<div class="sides">{pictures.html(product["image"], product["title"], over, number)}'
        f'<div class="told">{body}{_facets(example, number, by_place)}{_predicted(example)}{chances}</div></div>'
    )


def _change(example: Mapping[str, Any]) -> str:
    change = example["change"]
    if change == 0:
        kind, arrow = "same", "="
    elif change < 0:
        kind, arrow = "worse", "\N{BLACK DOWN-POINTING TRIANGLE}"
    else:
        kind, arrow = "better", "\N{BLACK UP-POINTING TRIANGLE}"
    return (
        f'<p class="change {kind}"><strong><span aria-hidden="true">{arrow}</span> {signed(change, 2)}</strong> '
        f'<span class="said">F1: A {score(example["first_f1"], 2)}, B {score(example["second_f1"], 2)}</span></p>'
    )


def _facets(example: Mapping[str, Any], number: int, by_place: bool) -> str:
    """What is true against what A and B said: a row for each attribute on which one of them is wrong, then in one line
    what both have right."""
    rows, right = [], []
    for row in _by_attribute(example):
        true, a, b = (_items(side, by_place) for side in (row.true, row.a, row.b))
        name = f"<bdi>{text(shortened(row.attribute, 60))}</bdi>"
        if true == a == b:
            right.append(f"<li><b>{name}</b> {_true(row.true)}</li>")
        else:
            told = "".join(f"<td>{_said(side, row.true, by_place)}</td>" for side in (row.a, row.b))
            rows.append(
                f'<tr class="{"same" if a == b else "disputed"}"><th scope="row">{name}</th>'
                f"<td>{_true(row.true)}</td>{told}</tr>"
            )
    letters = "".join(f'<th scope="col"><b class="key {key}">{key.upper()}</b>{word}</th>' for key, word in _COLUMNS)
    caption = f"What is true of product {number}, and what A and B said"
    listed = (
        f'<table class="facets"><caption class="unseen">{caption}</caption>'
        f'<thead><tr><th scope="col">Attribute</th>{letters}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
    agreed = f'<div class="said agreed"><p>Both right:</p><ul>{"".join(right)}</ul></div>' if right else ""
    return (listed if rows else "") + agreed


def _predicted(example: Mapping[str, Any]) -> str:
    """The attributes that each model predicts as such, the likeliest first, each with its probability."""
    true = {entry["attribute"] for entry in example["truth"]}
    lines = []
    for key, side in (("a", "first"), ("b", "second")):
        attributes = example.get(f"{side}_attributes")
        if attributes is None:
            continue
        ordered = sorted(attributes.items(), key=lambda item: (-item[1], item[0]))
        shown = [_attribute(name, probability, name in true) for name, probability in ordered]
        lines.append(f'<p><b class="key {key}">{key.upper()}</b> {", ".join(shown) or "none"}</p>')
    if not lines:
        return ""
    return f"<details><summary>Attributes predicted, whatever their values</summary>{''.join(lines)}</details>"


def _attribute(name: str, probability: float, is_true: bool) -> str:
    named = f"<bdi>{text(shortened(name, 60))}</bdi>"
    wrong = "" if is_true else _answer("wrong", "\N{BALLOT X}", "wrong")
    return f'{named} <span class="said">{score(probability, 2)}</span> {wrong}'.rstrip()


_COLUMNS = (("t", ' <span class="unseen">is</span> true'), ("a", " said"), ("b", " said"))


def _true(entries: Entries) -> str:
    if not entries:
        return '<span class="said">none</span>'
    return "<br>".join(_value(value) for value in dict.fromkeys(entry["value"] for entry in entries))


def _said(entries: Entries, true: Entries, by_place: bool) -> str:
    """Each value with a sign and a word: right, wrong, right value in another place, missed."""
    if not entries:
        return _answer("missed", "\N{EN DASH}", "missed") if true else '<span class="said">none</span>'
    gold = _items(true, by_place)
    said: dict[str, list[bool]] = {}
    confidence: dict[str, float] = {}
    for entry in entries:
        said.setdefault(entry["value"], []).append(bool(_items([entry], by_place) & gold))
        if entry.get("confidence") is not None:
            confidence[entry["value"]] = entry["confidence"]
    found = _items(entries, by_place) & gold
    parts = []
    for value, hits in said.items():
        sure = f' <span class="said">{score(confidence[value], 2)}</span>' if value in confidence else ""
        if all(hits):
            answer = _answer("right", "\N{CHECK MARK}", "right")
        elif any(hits):
            answer = _answer("wrong", "\N{ALMOST EQUAL TO}", "partly right")
        elif any(value == entry["value"] for entry in true):
            answer = _answer("wrong", "\N{BALLOT X}", "other place")
        else:
            answer = _answer("wrong", "\N{BALLOT X}", "wrong")
        parts.append(f"{_value(value)}{sure} {answer}")
    if found and (rest := len(gold - found)):
        parts.append(_answer("missed", "\N{EN DASH}", f"{rest} missed"))
    return "<br>".join(parts)


def _value(value: str) -> str:
    return f"<bdi>{text(shortened(value, 80))}</bdi>"


def _answer(kind: str, sign: str, word: str) -> str:
    return f'<span class="verdict {kind}"><span aria-hidden="true">{sign}</span> {word}</span>'


def _filter(
    shown: int, groups: Mapping[str, Sequence[Any]], attributes: Sequence[str], categories: Sequence[str]
) -> str:
    """The filter; the page's script shows it, so without one there is no control that does nothing."""
    kinds = "".join(f'<option value="{kind}">{_KINDS[kind][0]}</option>' for kind, each in groups.items() if each)
    return (
        '<form id="filter" class="filter" hidden aria-label="Filter the example products">'
        + _select("Show", "kind", "All", kinds)
        + _select("A and B differ on", "attribute", "Any attribute", _options(attributes))
        + _select("Category", "category", "Any category", _options(categories))
        + _field("Text", "words", f'<input id="filter-words" name="words" {_WORDS}>')
        + '<button type="reset">Show all</button>'
        f'<p class="said" role="status">{shown} products</p></form>'
    )


def _select(label: str, name: str, everything: str, options: str) -> str:
    choices = f'<option value="">{everything}</option>{options}'
    return _field(label, name, f'<select id="filter-{name}" name="{name}">{choices}</select>')


def _field(label: str, name: str, control: str) -> str:
    return f'<div class="field"><label for="filter-{name}">{label}</label>{control}</div>'


def _options(names: Sequence[str]) -> str:
    return "".join(
        f'<option value="{index}">{text(shortened(name, 60)) or "(none)"}</option>' for index, name in enumerate(names)
    )
