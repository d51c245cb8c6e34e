"""The shells of pages: their policy, their prefix, and no data in them."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from src.ui.pages import GRAPHQL_PAGE, MISSING_PAGE, NAVIGATION, PAGES, Page, content_policy, render_page
from src.ui.routes import install_pages
from src.ui.static_files import static_files

ALL = (*PAGES, GRAPHQL_PAGE, MISSING_PAGE)


def client_at(root_path: str = "") -> AsyncClient:
    app = FastAPI(docs_url=None)
    install_pages(app)
    return AsyncClient(transport=ASGITransport(app, root_path=root_path), base_url="http://service")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_page_has_its_policy_and_is_asked_for_again(page: Page) -> None:
    response = await client_at().get(page.path.replace("{id}", "x"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == content_policy(page)
    assert response.headers["cache-control"] == "no-cache"
    assert f"<title>{page.title} · Backtesting</title>" in response.text


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_policy_allows_scripts_of_the_service_only(page: Page) -> None:
    rules = dict(rule.split(" ", 1) for rule in content_policy(page).split("; "))
    assert rules["script-src"] == "'self'"
    assert rules["default-src"] == "'self'"
    assert rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_shell_has_no_inline_script_or_style(page: Page) -> None:
    text = render_page(page, root="")
    assert "<style" not in text
    assert " style=" not in text
    assert " on" not in text.replace(" only", "")
    assert text.count("<script") == text.count('src="/static/') - text.count("<img")


async def test_page_of_a_run_names_the_data_that_its_script_reads() -> None:
    text = (await client_at("/tools/bt").get("/tools/bt/runs/a%22%3E%3Cb%20%C3%A4!~*'()")).text
    # As `encodeURIComponent` writes it, and then as HTML does: another address would be loaded a second time.
    address = "/tools/bt/api/backtests/a%22%3E%3Cb%20%C3%A4!~*&#x27;()/tearsheet"
    assert f'<link rel="preload" as="fetch" crossorigin href="{address}">' in text
    assert 'rel="preload"' not in (await client_at().get("/new")).text


def test_page_of_a_run_has_at_most_300_kb_of_its_own() -> None:
    [page] = [page for page in PAGES if page.name == "run"]
    shell = render_page(page, root="")
    names = {name.partition("/")[2] for name in re.findall(r'="/static/([^"]+)"', shell)}
    assert {"css/app.css", "vendor/lightweight-charts.mjs", "js/pages/run.js"} <= names
    assert len(shell) + sum(len(static_files().files[name].content) for name in names) <= 300_000


def test_only_vendors_pages_may_have_inline_styles() -> None:
    loose = {page.path for page in ALL if "'unsafe-inline'" in content_policy(page)}
    assert loose == {"/docs", "/graphql"}


async def test_prefix_of_a_proxy_is_in_every_address() -> None:
    text = (await client_at("/tools/bt").get("/tools/bt/new")).text
    assert 'data-root="/tools/bt"' in text
    assert f'src="/tools/bt/static/{static_files().version}/js/pages/new.js"' in text
    assert all(f'href="/tools/bt{path}"' in text for path, _ in NAVIGATION)


def test_prefix_is_escaped() -> None:
    assert '"><script>' not in render_page(PAGES[0], root='"><script>')


async def test_head_request_gets_headers_only() -> None:
    response = await client_at().head("/")
    assert (response.status_code, response.content) == (200, b"")


BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/nope", "/runs/", "/runs/a%2Fb", "/new/x"])
async def test_browser_is_shown_a_page_at_an_unknown_address(path: str) -> None:
    response = await client_at("/tools/bt").get(f"/tools/bt{path}", headers=BROWSER)
    assert response.status_code == 404
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == content_policy(MISSING_PAGE)
    assert all(f'href="/tools/bt{link}"' in response.text for link, _ in NAVIGATION)
    assert f"/tools/bt/static/{static_files().version}/js/pages/missing.js" in response.text


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_other_clients_get_the_apis_word_at_an_unknown_address(accept: str) -> None:
    response = await client_at().get("/nope", headers={"accept": accept})
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


async def test_wrong_method_is_not_a_missing_page() -> None:
    client = client_at()
    assert (await client.post("/nope", headers=BROWSER)).headers["content-type"] == "application/json"
    assert (await client.post("/new", headers=BROWSER)).status_code == 405


def test_pages_are_not_in_the_description_of_the_api() -> None:
    app = FastAPI(docs_url=None)
    install_pages(app)
    assert app.openapi()["paths"] == {}
