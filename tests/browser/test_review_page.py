"""The review page in a real browser: offline, on a phone, by keyboard, without a script, and accessible in both colour
schemes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from facetmill.report.review_page import write_review
from tests.browser.conftest import watched
from tests.fake_comparison import fake_comparison

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a review page with a failed gate, a warning, and a product with a title that is trouble."""
    folder = tmp_path_factory.mktemp("review")
    comparison = fake_comparison(folder / "pictures", failing=("beats_champion", "no_attribute_gets_worse"))
    trouble = comparison["examples"][0]["product"]
    trouble["title"] = (
        "W" * 3_000 + "<script>document.title = 'stolen'</script> \u202e \N{PARTY POPPER} \u05e9\u05dc\u05d5\u05dd"
    )
    trouble["category"] = "Everything else " * 20
    comparison["examples"][0]["gates"] = None  # its tokens were those of the old title
    comparison["slices"][0]["name"] = "unbroken" * 30
    write_review(comparison, folder / "review.html")
    return (folder / "review.html").as_uri()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport=DESKTOP)  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, review: str) -> Page:
    opened = context.new_page()
    opened.goto(review)
    return opened


def shown(page: Page) -> int:
    return page.locator("article.example:visible").count()


def test_it_asks_for_nothing_and_the_console_stays_silent(context: BrowserContext, review: str) -> None:
    seen = watched(context)
    page = seen.page
    page.goto(review)
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.images.length") > 3
    assert [url for url in seen.asked if not url.startswith("data:image/jpeg")] == [review]
    assert seen.said == []
    assert page.title() == "jave 4 or jave 3: review"


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways(browser: Browser, review: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 740})
    page = context.new_page()
    page.goto(review)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(
    browser: Browser, review: str, scheme: Literal["light", "dark"], viewport: Any
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport=viewport)
    page = context.new_page()
    page.goto(review)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert len(found.response["passes"]) > 20  # it did look
    context.close()


def test_the_two_schemes_differ(browser: Browser, review: str) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(review)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert len(grounds) == 2


def test_the_filter_narrows_by_kind_attribute_category_and_words(page: Page) -> None:
    everything = shown(page)
    assert page.locator("#filter").is_visible()
    status = page.locator("#filter [role=status]")
    assert status.inner_text() == f"{everything} products"

    page.get_by_role("combobox", name="Show").select_option(label="Regressions")
    regressions = shown(page)
    assert 0 < regressions < everything
    assert status.inner_text() == f"{regressions} of {everything} products"
    assert page.get_by_role("heading", name="Improvements").count() == 0

    page.get_by_role("button", name="Show all").click()
    page.wait_for_function(f"document.querySelectorAll('article.example:not([hidden])').length === {everything}")

    page.get_by_role("combobox", name="Category").select_option(index=2)
    chosen = page.get_by_role("combobox", name="Category").evaluate("select => select.selectedOptions[0].text")
    assert 0 < shown(page) < everything
    assert all(chosen in each for each in page.locator("article.example:visible .facts").all_inner_texts())
    page.get_by_role("combobox", name="Category").select_option(index=0)

    page.get_by_role("combobox", name="A and B differ on").select_option(label="Color")
    assert 0 < shown(page) < everything
    rows = page.locator("article.example:visible").filter(has=page.locator("tr.disputed th", has_text="Color"))
    assert rows.count() == shown(page)
    page.get_by_role("combobox", name="A and B differ on").select_option(index=0)

    identity = page.locator("article.example").nth(3).locator(".facts").inner_text().split(" \N{MIDDLE DOT} ")[1]
    page.get_by_role("searchbox", name="Text").fill(identity.upper())
    assert shown(page) == 1
    page.get_by_role("searchbox", name="Text").fill("no product has this")
    assert shown(page) == 0
    assert status.inner_text() == f"0 of {everything} products"


def test_words_that_a_tag_interrupts_are_found(page: Page) -> None:
    """Tags stand between the words of a title; a search for the title as the shop wrote it still finds it."""
    card = page.locator("article.example").nth(2)
    title = card.locator("h4").inner_text()
    page.get_by_role("searchbox", name="Text").fill(title[:30])
    assert card.is_visible()


def test_tables_sort_by_number_and_by_name(page: Page) -> None:
    table = page.locator("table.slices").nth(1)
    names = table.locator("tbody th")
    table.get_by_role("button", name="Category").click()
    assert table.locator("thead th").first.get_attribute("aria-sort") == "ascending"
    assert names.all_inner_texts() == sorted(names.all_inner_texts())
    table.get_by_role("button", name="Products").click()
    products = [int(text) for text in table.locator("tbody td:last-child").all_inner_texts()]
    assert products == sorted(products, reverse=True)
    assert table.locator("thead th").first.get_attribute("aria-sort") is None
    table.get_by_role("button", name="Products").click()
    products = [int(text) for text in table.locator("tbody td:last-child").all_inner_texts()]
    assert products == sorted(products)


def test_the_keyboard_reaches_every_control_and_skips_to_the_decision(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").is_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    page.goto(page.url.split("#")[0])
    controls = "a[href], button, input, select, summary, [tabindex='0']"
    number = page.evaluate(
        f"[...document.querySelectorAll({controls!r})].filter((each) => each.checkVisibility()).length"
    )
    reached = set()
    for _ in range(number):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert len(reached) == number
    # What is reached can be used: a table sorts, a map of gates opens.
    page.get_by_role("button", name="Facets").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("table.slices").first.locator("[aria-sort=descending]").count() == 1
    page.locator("article details:has(.heats) > summary").first.focus()
    page.keyboard.press("Space")
    assert page.locator("article .heats").first.is_visible()


def test_all_of_it_can_be_read_without_a_script(browser: Browser, review: str) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=DESKTOP)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(review)
    text = page.locator("main").inner_text()
    for wanted in ("Keep B", "Beats champion", "By attribute", "Latency", "Regressions", "Improvements"):
        assert wanted in text
    assert not page.locator("#filter").is_visible()
    assert page.locator("thead button").count() == 0
    picture = page.locator(".picture:has(.covered):has(.grid-map)").first
    looked, gate = picture.locator(".covered"), picture.locator(".grid-map")
    assert (looked.is_visible(), gate.is_visible()) == (True, False)
    picture.get_by_role("checkbox", name="Where A looked").uncheck()
    picture.get_by_role("checkbox", name="A's gate").check()
    assert (looked.is_visible(), gate.is_visible()) == (False, True)
    context.close()


def test_on_paper_everything_folded_is_open_and_controls_are_gone(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator("table", has_text="Pair accuracy").is_visible()
    assert not page.locator("#filter").is_visible()
    assert not page.locator("nav").is_visible()
