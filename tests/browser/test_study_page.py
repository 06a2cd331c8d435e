"""A study's page in a real browser: offline, on a phone, in both colour schemes, and for a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from facetmill.report.study_page import study_page
from tests.browser.conftest import watched
from tests.unit.studies.made import made_table


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_offline_fits_a_phone_and_is_read_aloud(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    path = tmp_path / "table.html"
    path.write_text(study_page(made_table().to_json()), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    seen = watched(context)
    page = seen.page
    page.goto(path.as_uri())
    expect(page.get_by_role("row", name="w/o KL 57.50 [55.5, 59.5]")).to_have_count(1)
    assert [url for url in seen.asked if not url.startswith("file:")] == []
    assert seen.said == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    places = page.locator(".whisker").evaluate_all(
        "lines => lines.slice(0, 3).map(line => line.getBoundingClientRect())"
    )
    assert places[0]["left"] > places[1]["left"] > places[2]["left"], "a lower score stands further left"
    assert all(place["width"] > 5 for place in places)
    assert not (found := Axe().run(page)).violations_count, found.generate_report()
    context.close()
