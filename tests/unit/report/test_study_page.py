"""The page of a study: every number, published ones apart, and text that stays text."""

from __future__ import annotations

import re

from facetmill.report.study_page import study_page
from facetmill.studies.words import to_markdown
from tests.unit.studies.made import made_table

PAGE = study_page(made_table().to_json())


def test_each_row_has_its_score_its_interval_and_its_gain() -> None:
    rows = re.findall(r'<tr><th scope="row">w/o KL</th>(.*?)</tr>', PAGE)
    assert "57.50 [55.5, 59.5]" in rows[0]
    assert "\N{MINUS SIGN}2.50 [\N{MINUS SIGN}3.5, \N{MINUS SIGN}1.5]" in rows[0]
    assert rows[0].count('class="whisker"') == 1
    assert "Gain, over JAVE" in PAGE


def test_slices_have_their_support_and_those_scored_elsewhere_stand_apart() -> None:
    assert re.findall(r'<th scope="row">Colour</th><td>(\d+)</td><td>([\d.]+)</td>', PAGE) == [
        ("12", "60.0"),
        ("5", "31.0"),
    ]
    assert "Told in vain" not in PAGE


def test_published_figures_come_after_all_of_ours_below_their_own_heading() -> None:
    ours, _, theirs = PAGE.partition("Published by others, not measured here")
    assert "84.26" in theirs
    assert "the 8,000 test sentences of MEPAVE" in theirs
    assert "84.26" not in ours
    ours, _, theirs = to_markdown(made_table()).partition("Published by others, not measured here")
    assert "84.26" in theirs
    assert "84.26" not in ours


def test_names_are_text_and_nothing_is_fetched() -> None:
    assert "<script>" not in PAGE
    assert "Hats &lt;b&gt;" in PAGE
    assert not re.search(r'(?:src|href)="', PAGE)
