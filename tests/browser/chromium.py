"""Open pages in Debian's Chromium, and note what they must not do: leave the host, fail, or break the policy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
SERIOUS = {"serious", "critical"}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

PATIENCE_MS = 60_000
"""Several test processes share the cores."""

expect.set_options(timeout=PATIENCE_MS)


def chromium_path() -> str | None:
    """Return where Chromium is, None if there is none.

    Its headless shell comes first: the same engine without windows, for a third less processor time.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def running_chromium(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A browser window on a service, for one user with nothing stored, and what its pages did."""

    page: Page
    url: str
    foreign: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.url}{path}")
        return self.page

    def violations(self) -> list[str]:
        """Return what axe-core finds on the page that is serious or critical."""
        # Evaluated by the debugger, which no policy of the page stops.
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]

    def violations_in_both_schemes(self) -> list[str]:
        """Return the violations of the page in light and in dark colors; it is opened once, and stays dark."""
        found = []
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            found += [f"{violation} ({scheme})" for violation in self.violations()]
        return found

    def answer(self, path: str, data: object, *, status: int = 200) -> None:
        """Respond to requests of a path (a glob) in the service's place."""
        is_error = status >= 400
        document = data if is_error else {"success": True, "message": "", "data": data}
        self.page.route(
            f"{self.url}{path}",
            lambda route: route.fulfill(status=status, content_type="application/json", body=json.dumps(document)),
        )


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Open a window; when the block ends, fail if its pages asked another host, or wrote errors to the console."""
    context: BrowserContext = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    visit = Visit(page=context.new_page(), url=url)
    host = urlsplit(url).netloc

    # Noted, not routed: each routed request waits for this process, and none is taken from the browser's cache.
    def note_request(request: Request) -> None:
        if urlsplit(request.url).netloc not in {host, ""}:
            visit.foreign.append(request.url)

    def note(message: ConsoleMessage) -> None:
        # A response that a test wants to be an error is written to the console too.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            visit.problems.append(message.text)

    context.on("request", note_request)
    context.on("console", note)
    context.on("weberror", lambda error: visit.problems.append(str(error.error)))
    try:
        yield visit
        assert visit.foreign == [], "pages asked another host"
        assert visit.problems == [], "pages failed, or broke their policy"
    finally:
        context.close()
