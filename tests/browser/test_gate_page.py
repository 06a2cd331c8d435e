"""The gate's page in a real browser: readable offline, on a phone, in both colour schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from facetmill.gates.verdict import DataVerdict, Verdict
from facetmill.report.gate_page import render
from tests.browser.conftest import watched

VERDICT = DataVerdict(
    (
        Verdict("no_empty_split", False, "critical", 0, "at least 1", "products in the smallest split: 0 of 1"),
        Verdict("few_unseen_values", False, "warning", 0.7, "at most 0.5", "share of values never seen: 0.7 of 0.5"),
        Verdict("ids_are_unique", True, "critical", 0, "at most 0", "ids that occur twice: 0 of 0"),
    ),
    {"products": 12, "facets": 30},
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_offline_and_fits_a_phone(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    page_path = tmp_path / "report.html"
    page_path.write_text(render(VERDICT, "shop"), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    seen = watched(context)
    page = seen.page
    page.goto(page_path.as_uri())
    assert [url for url in seen.asked if not url.startswith("file:")] == []
    assert seen.said == []
    text = page.inner_text("body")
    assert text.index("Blocked") < text.index("Products in the smallest split: 0 of 1") < text.index("Warnings")
    assert "Ids are unique" not in text  # what holds is folded away
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert "Ids are unique" in page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    colours = page.evaluate("(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))")
    assert len(set(colours)) == 2
    context.close()
