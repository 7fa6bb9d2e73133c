"""Real Chromium for tests of pages: found where it is installed, driven by playwright, cut off from any network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["SCHEMES", "Opened", "browser", "opened"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE_MS = 180_000  # with whatever is waited for: it only ends what hangs

# The screens that a page has to look good on: name -> width, scheme, pixels for each unit.
SCHEMES = {"light": (1200, "light", 1), "dark": (1200, "dark", 1), "phone": (390, "light", 2)}


@dataclass
class Opened:
    """A page that is open, what it wrote to the console, and what it asked for besides itself."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def shoot(self, name: str) -> bytes:
        """Return a picture of the whole page; kept in the folder that BROWSER_SHOTS names, to be looked at."""
        kept = os.environ.get("BROWSER_SHOTS")
        where = {"path": str(Path(kept) / f"{name}.png")} if kept else {}
        picture: bytes = self.page.screenshot(full_page=True, **where)
        return picture


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium; skips the test, with the reason, where it or playwright is not installed."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[browser]'")
    program = os.environ.get("TEST_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(_NAMES)})")
    with api.sync_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = driver.chromium.launch(executable_path=program, args=arguments, timeout=_PATIENCE_MS)
        yield started
        started.close()


@contextmanager
def opened(started: Any, path: Path, screen: str = "light") -> Iterator[Opened]:
    """Open a file on one of SCHEMES; every message of the page and every request but for the file itself is noted."""
    width, scheme, scale = SCHEMES[screen]
    context = started.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=scale, offline=True
    )
    context.set_default_timeout(_PATIENCE_MS)
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.messages.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.messages.append(f"error: {error}"))
    address = path.resolve().as_uri()
    found.page.on("request", lambda request: None if request.url == address else found.requests.append(request.url))
    found.page.goto(address)
    yield found
    context.close()
