"""The system's own Chromium, headless. Nothing is downloaded."""

import os
import shutil

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def path() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    # Chromium's sandbox refuses root, which is who runs in a container.
    return playwright.chromium.launch(executable_path=path(), args=["--no-sandbox"] if os.geteuid() == 0 else [])
