"""Takes the README's pictures of the page: `make screenshots`. Starts a service of its own, and uses the page on it."""

import io
import re
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from loadtests.running import ROOT, running, write_config
from tests.support import chromium
from tests.support.visit import Visit

FOLDER = ROOT / "docs"
MOST_BYTES = 200_000
SEVERAL_POINTS = re.compile("L.*L.*L")
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 980}}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(write_config(Path(folder))) as service,
        sync_playwright() as playwright,
    ):
        browser = chromium.launch(playwright)
        take(browser, service.url, "page-light.png", "#sentences", DESK | {"color_scheme": "light"})
        take(browser, service.url, "page-dark.png", "#images", DESK | {"color_scheme": "dark"})
        take(browser, service.url, "page-phone.png", "#search", PHONE | {"color_scheme": "light"})
        browser.close()


def take(browser: Browser, url: str, name: str, section: str, options: dict[str, Any]) -> None:
    context = browser.new_context(**options)
    page = context.new_page()
    visit = Visit(page, url).open()
    visit.search("How long do I have to send something back?")
    visit.draw_samples()
    visit.search_images("a blue star")
    with_traffic(page, url)
    # The page's own top belongs to the picture of its first panel.
    page.evaluate("window.scrollTo({ top: 0, behavior: 'instant' })")
    if section != "#sentences":
        page.locator(section).evaluate("node => node.scrollIntoView({ behavior: 'instant' })")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    path = FOLDER / name
    path.write_bytes(optimised(page.screenshot(animations="disabled")))
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes\n")
    context.close()


def with_traffic(page: Page, url: str) -> None:
    """Some seconds of varied requests, so that the live panel has something to show."""
    figure = page.locator("#chart-times .line-1")
    mark = uuid.uuid4().hex
    with httpx.Client(base_url=url, timeout=300) as client:
        for i in range(24):
            texts = [f"traffic {mark} {i} {j}" if (i + j) % 3 else f"again {j}" for j in range(1 + (i * 7) % 30)]
            for text in texts[:12]:
                client.post("/embed/text", json={"texts": [text]}).raise_for_status()
            client.post("/embed/text", json={"texts": texts}).raise_for_status()
            page.wait_for_timeout(900)
    expect(figure).to_have_attribute("d", SEVERAL_POINTS)


def optimised(png: bytes) -> bytes:
    """The same pixels in fewer bytes."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "PNG", optimize=True)
    if buffer.tell() >= MOST_BYTES:
        raise SystemExit(f"{buffer.tell():,} bytes are too many for a picture")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
