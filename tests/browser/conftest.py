"""Browsers for the tests here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from tests.conftest import missing


@contextmanager
def launched(playwright: Playwright, *arguments: str) -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        missing("browser", "neither chromium nor google-chrome is installed")
    started = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu", *arguments])
    yield started
    started.close()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """One for all browsers: a second one in the same thread is refused."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with launched(playwright) as started:
        yield started


@dataclass
class Watched:
    """A new page, the addresses that it asks for, and what its console says."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def watched(context: BrowserContext) -> Watched:
    found = Watched(context.new_page())
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    return found
