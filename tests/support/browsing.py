"""Fixtures that visit the page in Debian's Chromium, headless. A conftest that imports them has a `service`."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, expect, sync_playwright

from loadtests.running import RunningService
from tests.support import chromium
from tests.support.visit import Visit

# What is waited for comes soon; this is for busy machines.
expect.set_options(timeout=30_000)


# Of the package and not of the session: while it runs, no other test of this thread may have an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if chromium.path() is None:
        words = "no Chromium on the PATH (Debian: apt-get install chromium), so the page is not tested"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def troubled(browser: Browser, service: RunningService, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A visit whose console may have errors; the test looks at them. Options of the context by `parametrize`."""
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}} | getattr(request, "param", {})
    context = browser.new_context(**options)
    context.set_default_timeout(30_000)
    page = context.new_page()
    visit = Visit(page, service.url)

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.errors.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    yield visit
    context.close()


@pytest.fixture
def visit(troubled: Visit) -> Iterator[Visit]:
    """A visit during which nothing may go wrong: the browser's log must stay empty."""
    yield troubled
    assert troubled.errors == []
