"""A real browser for tests. Where there is none they are skipped with a warning, or fail where DDD_LLM_REQUIRE_BROWSER is set."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# --no-sandbox because containers run tests as root; the other flags keep the browser from calling its maker.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]

ERRORS: list[str] = []
"""What scripts of the pages opened so far have raised."""


class NoBrowser(Warning):
    """Shown in the summary of a test run."""


def chromium() -> str:
    """Path of an installed Chromium or Chrome, or this test ends here."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None or find_spec("playwright") is None:
        lacking = "the package playwright" if found else f"a browser ({', '.join(NAMES)})"
        reason = f"THE ANNOTATION PAGE IS NOT TESTED: install {lacking}"
        if os.environ.get("DDD_LLM_REQUIRE_BROWSER"):
            pytest.fail(reason)
        warnings.warn(reason, NoBrowser, stacklevel=2)
        pytest.skip(reason)
    return found


@contextmanager
def started() -> Iterator[Browser]:
    """A headless browser."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def begin(browser: Browser, address: str, name: str) -> Page:
    """A window of its own (cookies too), in which somebody has given a name by keyboard."""
    page = browser.new_context().new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: ERRORS.append(str(error)))
    page.goto(address)
    page.locator("#name:focus").wait_for()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    ready(page)
    return page


def ready(page: Page) -> None:
    """Wait until an item's page takes keys."""
    page.locator("body[data-ready]").wait_for()


def press(page: Page, *keys: str) -> None:
    """Press keys one after the other."""
    for key in keys:
        page.keyboard.press(key)


def save(page: Page, key: str = "Enter") -> None:
    """Press the key that saves and wait until another page stands there; if none comes, say what the old one shows."""
    from playwright.sync_api import TimeoutError as NothingCame

    try:
        with page.expect_navigation():
            page.keyboard.press(key)
    except NothingCame:
        shown = page.evaluate("[document.querySelector('#message')?.textContent, document.activeElement.outerHTML]")
        pytest.fail(f"{key} did not leave {page.url}: message and focused element are {shown}")


def open_item(page: Page, address: str, item_id: str) -> None:
    """Go to an item."""
    page.goto(f"{address}/items/{item_id}")
    ready(page)
