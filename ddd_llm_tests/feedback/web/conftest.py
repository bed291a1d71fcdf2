"""A browser and one running server a kind, shared by the tests of this folder; both start when a test first asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ddd_llm_tests.feedback.web.browser import ERRORS, started
from ddd_llm_tests.feedback.web.pages import KINDS, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with started() as found:
        yield found


@pytest.fixture(autouse=True)
def no_script_fails() -> Iterator[None]:
    """An error that a page's script raises fails the test."""
    ERRORS.clear()
    yield
    assert not ERRORS


@pytest.fixture(scope="package")
def journals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tmp_path_factory.mktemp("journals") / kind for kind in KINDS}


@pytest.fixture(scope="package")
def addresses(browser: Browser, journals: dict[str, Path]) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        yield {kind: stack.enter_context(served(kind, journals[kind]))[0] for kind in KINDS}
