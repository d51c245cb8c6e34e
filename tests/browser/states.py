"""What pages are given in the service's place: hostile texts, very long ones, and what every page must hold then."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

PHONE = {"width": 360, "height": 740}
HOSTILE = '<img src=x onerror="window.ran = 1"><script>window.ran = 1</script>\'"&amp;'
LONG = "averyveryverylongnamewithoutanyspace" * 8


def hostile(value: Any, *, but: frozenset[str] = frozenset()) -> Any:
    """Return a response in which every text is hostile, but those under some names."""
    if isinstance(value, dict):
        return {name: one if name in but else hostile(one, but=but) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, but=but) for one in value]
    return HOSTILE if isinstance(value, str) else value


def assert_shown_as_text(page: Page) -> None:
    """Fail if a hostile text became an element, or ran; or if the page shows none."""
    assert HOSTILE in page.locator("#main").inner_text()
    assert page.locator("#main img, #main script, #main iframe").count() == 0
    assert page.evaluate("window.ran") is None


def assert_fits(page: Page) -> None:
    """Fail if a page is wider than its window."""
    width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window


def open_all_details(page: Page) -> None:
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
