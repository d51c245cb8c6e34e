"""What all pages share: navigation, theme, the user id, Swagger UI and GraphiQL; no page leaves the host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import expect

from src.ui.pages import NAVIGATION
from tests.browser.chromium import Visit

Opening = Callable[..., AbstractContextManager[Visit]]
PATHS = [path for path, _ in NAVIGATION]
OWN_PATHS = ["/", "/new", "/jobs", "/data"]


@pytest.mark.parametrize("path", PATHS)
def test_page_marks_its_entry_in_the_navigation(visit: Visit, path: str) -> None:
    page = visit.open(path)
    expect(page.locator("nav a[aria-current]")).to_have_attribute("href", path)
    expect(page.get_by_role("button", name="User: me")).to_be_visible()


def test_rest_page_lists_operations(visit: Visit) -> None:
    page = visit.open("/docs")
    # The service writes its description anew, and Swagger UI reads all of it: seconds on a busy machine.
    expect(page.locator(".opblock").first).to_be_visible(timeout=30_000)


def test_graphql_page_sends_a_query(visit: Visit) -> None:
    page = visit.open("/graphql")
    expect(page.locator(".graphiql-query-editor .CodeMirror")).to_be_visible()
    page.evaluate("document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.setValue('{ __typename }')")
    page.get_by_role("button", name="Execute query").click()
    expect(page.locator(".result-window")).to_contain_text('"__typename": "Query"')


def test_user_id_is_asked_once_and_kept(visit: Visit) -> None:
    page = visit.open("/")
    page.get_by_role("complementary", name="User id").get_by_label("User id").fill("ada")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("complementary", name="User id")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("button", name="User: ada")).to_be_visible()
    expect(page.get_by_role("complementary", name="User id")).to_have_count(0)


def test_theme_button_overrides_the_system_and_is_kept(
    visit_with: Callable[..., AbstractContextManager[Visit]],
) -> None:
    with visit_with(color_scheme="light") as visit:
        page = visit.open("/")
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.get_by_role("button", name="Theme: as the system").click()
        page.get_by_role("button", name="Theme: light").click()
        dark = page.evaluate(background)
        assert light != dark
        page.reload()
        assert page.evaluate(background) == dark


def test_dark_system_gives_dark_pages(visit_with: Callable[..., AbstractContextManager[Visit]]) -> None:
    shown = {}
    for scheme in ("light", "dark"):
        with visit_with(color_scheme=scheme) as visit:
            shown[scheme] = visit.open("/").evaluate("getComputedStyle(document.body).backgroundColor")
    assert shown["light"] == "rgb(246, 247, 249)"
    assert shown["dark"] == "rgb(14, 18, 23)"


@pytest.mark.parametrize("path", OWN_PATHS)
def test_skip_link_is_the_first_stop_of_the_keyboard(visit: Visit, path: str) -> None:
    page = visit.open(path)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_unknown_address_shows_a_page_with_the_navigation(visit: Visit) -> None:
    page = visit.open("/runs/a%2Fb")
    expect(page.get_by_role("heading", name="No such page")).to_be_visible()
    expect(page.get_by_text("/runs/a%2Fb")).to_be_visible()
    assert visit.violations() == []
    page.get_by_role("navigation").get_by_role("link", name="Runs").click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "drawn", "known"),
    [("/docs", ".opblock", {"nested-interactive"}), ("/graphql", ".graphiql-query-editor .CodeMirror-code", set())],
)
def test_pages_of_vendors_have_only_known_violations(
    visit_with: Opening, scheme: str, path: str, drawn: str, known: set[str]
) -> None:
    with visit_with(color_scheme=scheme) as visit:
        page = visit.open(path)
        page.wait_for_selector(drawn)
        page.wait_for_timeout(500)  # in which the rest of the page is drawn
        assert {found.split(":")[0] for found in visit.violations()} <= known


def test_inline_script_does_not_run(visit: Visit) -> None:
    page = visit.open("/")
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.head.append(s)"
    )
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in problem for problem in visit.problems)
    visit.problems.clear()


def test_dark_rest_page_has_one_background(visit_with: Callable[..., AbstractContextManager[Visit]]) -> None:
    with visit_with(color_scheme="dark") as visit:
        page = visit.open("/docs")
        page.wait_for_selector(".opblock")
        sheet = page.locator("div.swagger-ui").first
        assert sheet.evaluate("(one) => getComputedStyle(one).backgroundColor") == "rgba(0, 0, 0, 0)"
