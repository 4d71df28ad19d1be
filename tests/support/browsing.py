"""Fixtures that visit the page in Debian's Chromium, headless. A conftest that imports them has a `service`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, expect, sync_playwright

from loadtests.running import RunningService
from tests.support import chromium
from tests.support.needs import missing
from tests.support.visit import Visit

# What is waited for comes soon; this is for busy machines.
expect.set_options(timeout=120_000)


# Of the package and not of the session: while it runs, no other test of this thread may have an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if chromium.path() is None:
        missing("no Chromium on the PATH (Debian: apt-get install chromium), so the page is not tested")
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """`options`: of the browser's context."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    context.set_default_timeout(120_000)
    page = context.new_page()
    visit = Visit(page, url)

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.errors.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    try:
        yield visit
    finally:
        context.close()


@pytest.fixture
def troubled(browser: Browser, service: RunningService, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A visit whose console may have errors; the test looks at them. Options of the context by `parametrize`."""
    with visiting(browser, service.url, **getattr(request, "param", {})) as visit:
        yield visit


@pytest.fixture
def visit(troubled: Visit) -> Iterator[Visit]:
    """A visit during which nothing may go wrong: the browser's log must stay empty."""
    yield troubled
    assert troubled.errors == []
