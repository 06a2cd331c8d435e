"""The sweep's page in a real browser: offline, on a phone, in both colour schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, expect

from facetmill.report.sweep_page import sweep_page
from tests.browser.conftest import watched


def trial(number: int, state: str, value: float | None, error: str | None = None) -> dict[str, Any]:
    params = {"learning_rate": 0.0003 * (number + 1), "attention_size": 200, "a_rather_long_parameter_name": "softmax"}
    return {"number": number, "state": state, "value": value, "params": params, "seconds": 12.5, "error": error}


SUMMARY = {
    "model": "jave",
    "dataset": {"name": "shop", "version": "d" * 64},
    "min_gain": 0.02,
    "trials": [
        trial(0, "COMPLETE", 0.61),
        trial(1, "PRUNED", 0.33),
        trial(2, "FAIL", None, "RuntimeError: out of memory " * 8),
        trial(3, "COMPLETE", 0.7),
    ],
    "best": 3,
    "winner": 3,
    "importances": {"learning_rate": 0.9, "attention_size": 0.1},
    "no_importances": None,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_offline_and_fits_a_phone(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    path = tmp_path / "sweep.html"
    path.write_text(sweep_page(SUMMARY), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    seen = watched(context)
    page = seen.page
    page.goto(path.as_uri())
    expect(page.get_by_role("status")).to_contain_text("Trial 3 won")
    expect(page.get_by_role("img", name="3 trials by number")).to_be_visible()
    expect(page.get_by_role("row", name="3 winner complete 0.7000")).to_have_count(1)
    assert [url for url in seen.asked if not url.startswith("file:")] == []
    assert seen.said == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    trials = page.get_by_role("group", name="Trials")
    assert trials.evaluate("part => part.scrollWidth > part.clientWidth && part.tabIndex === 0")  # scrolls by itself
    marks = ["complete", "pruned", "rise", "bar"]
    paint = "name => { const s = getComputedStyle(document.querySelector('.' + name)); return [s.fill, s.stroke] }"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert all(set(page.evaluate(paint, mark)) != {ground} for mark in marks)
    context.close()
