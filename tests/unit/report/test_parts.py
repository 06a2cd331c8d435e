"""The parts of a page that stand alone: gate maps, numbers and plots."""

from __future__ import annotations

import math
import re

import pytest

from facetmill.report.looks import chances_html, covered_map, gate_grid, gate_map, owed_html
from facetmill.report.numbers import duration, p_text, plain, score, signed, typeset
from facetmill.report.plots import Scale, curves, diverging, ticks


def test_the_gate_map_fills_each_token_by_its_gate_and_names_the_widest() -> None:
    product = {"title": "Rose & cup", "text": ""}
    tokens = [
        {"field": "title", "start": 0, "end": 4, "gate": 0.91},
        {"field": "title", "start": 5, "end": 6, "gate": math.nan},
        {"field": "title", "start": 7, "end": 10, "gate": 7.0},
    ]
    html = gate_map(product, tokens)
    assert (
        '<span class="heat h9">Rose</span> <span class="heat h0">&amp;</span> <span class="heat h10">cup</span>' in html
    )
    assert "Widest open at <bdi>cup</bdi> 1.00, <bdi>Rose</bdi> 0.91" in html


def test_the_gate_grid_says_where_it_is_widest_and_fits_its_numbers() -> None:
    html = gate_grid(2, 3, [0.0, 0.2, 0.0, 0.0, 0.0, 0.81])
    assert "widest open at row 2 of 2, column 3 of 3: 0.81" in html
    (small, large) = (float(r) for r in re.findall(r' r="([\d.]+)"', html))
    assert large / small == pytest.approx(math.sqrt(0.81 / 0.2), abs=0.01)
    assert gate_grid(2, 3, [0.5]) == ""


def owing(attribute: str, whole: float, *parts: list[float]) -> dict[str, object]:
    return {"attribute": attribute, "value": "<red>", "confidence": 0.9, "whole": whole, "parts": parts}


def test_the_map_of_what_is_owed_has_each_parts_largest_loss() -> None:
    covered = [owing("Colour", 0.8, [0.0, 0.6], [0.02, 0.0]), owing("Shape", 0.3, [0.2, 0.1], [0.0, 0.0])]
    html = covered_map(covered)
    assert "it owes most to row 1 of 2, column 2 of 2: 0.60" in html
    assert re.findall(r'x="([\d.]+)" y="([\d.]+)".*?fill-opacity="([\d.]+)"', html) == [
        ("0.00", "0.00", "0.26"),
        ("50.00", "0.00", "0.48"),
    ]
    assert covered_map([]) == covered_map([owing("Colour", 0.8, [0.0, 0.01])]) == ""
    assert covered_map([owing("Colour", 0.8, [0.5], [0.5, 0.5])]) == ""  # the rows do not fit


def test_what_is_owed_is_said_in_words_the_largest_loss_first() -> None:
    said = owed_html([owing("Shape", 0.3, [0.0]), owing("Colour", 0.8, [0.0]), owing("Brand", 0.01, [0.0])])
    assert said.index("Colour") < said.index("Shape")
    assert "<bdi>&lt;red&gt;</bdi> \N{MINUS SIGN}0.80" in said
    assert "Brand" not in said
    assert "as sure of all of it" in owed_html([owing("Brand", 0.0, [0.0])])
    assert owed_html([]) == ""


def test_chances_are_shown_of_what_was_chosen_or_nearly() -> None:
    html = chances_html({"Colour": [["red", 0.7], ["", 0.2], ["blue", 0.01]], "Shape": [["", 0.99], ["cup", 0.01]]})
    assert "<bdi>red</bdi> <span" in html
    assert "<i>none</i> <span" in html
    assert "blue" not in html
    assert "Shape" not in html
    assert chances_html({}) == ""


# Numbers and plots


def test_numbers_are_printed_one_way() -> None:
    assert (signed(0.0412), signed(-0.0412), signed(0.0001), signed(math.nan)) == ("+0.041", "−0.041", "0.000", "–")
    assert (score(0.5), score(None), score(True)) == ("0.500", "–", "–")
    assert (p_text(0.0004), p_text(0.5)) == ("p\xa0<\xa00.001", "p\xa0=\xa00.500")
    assert [duration(x) for x in (0.00421, 0.0121, 0.183, 2.4, None)] == ["4.21 ms", "12.1 ms", "183 ms", "2.40 s", "–"]
    assert (plain(12450), plain(0.2411), plain(-3.0), plain("x"), plain(None)) == ("12,450", "0.2411", "−3", "x", "–")
    assert typeset(">= -0.02 of x-1") == "≥ −0.02 of x-1"


def test_ticks_are_round_and_within_bounds() -> None:
    assert ticks(0.73, 1.0) == [0.8, 0.9, 1.0]
    assert ticks(-0.5, 0.5, 4) == [-0.5, 0.0, 0.5]
    assert ticks(3, 3) == [3]


def test_a_scale_maps_ends_to_ends_and_clips_beyond() -> None:
    scale = Scale(0.0, 2.0, left=10.0, right=90.0)
    assert [scale.number(x) for x in (0.0, 1.0, 2.0, 9.0, -9.0)] == [10.0, 50.0, 90.0, 90.0, 10.0]


def test_a_diverging_plot_always_has_room_on_both_sides_of_zero() -> None:
    low, high = diverging([0.1, 0.5])
    assert low == pytest.approx(-0.4 * 0.54)
    assert high == pytest.approx(0.54)
    assert diverging([]) == (-0.05, 0.05)


def test_a_long_curve_is_thinned_and_keeps_its_last_point() -> None:
    html = curves([(float(epoch), epoch / 9_999) for epoch in range(10_000)], [], "x")
    (points,) = re.findall(r'points="([^"]+)"', html)
    assert len(points.split()) <= 200
    assert points.split()[-1].startswith("1000,")
    assert "A 1<" in html
