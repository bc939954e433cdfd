"""An installed Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a fresh browser; tests that want it skip where no Chromium is installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu", "--disable-quic"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        made = browser.new_page(viewport={"width": 1500, "height": 900})
        made.set_default_timeout(60_000)
        yield made
        browser.close()
