"""Static files: what is served, with which headers, and that vendored ones are those of their list."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from src.ui.compact import compact_styles
from src.ui.pages import CHART_STYLE_HASH, GRAPHQL_PAGE, PAGES
from src.ui.routes import install_pages
from src.ui.static_files import STATIC_FOLDER, read_static_files, static_files
from tools import vendor

OWN_SCRIPTS = sorted((STATIC_FOLDER / "js").rglob("*.js"))


@pytest.fixture(scope="module")
def client() -> AsyncClient:
    app = FastAPI(docs_url=None)
    install_pages(app)
    return AsyncClient(transport=ASGITransport(app), base_url="http://service")


async def test_file_of_this_version_is_kept_without_limit(client: AsyncClient) -> None:
    response = await client.get(f"/static/{static_files().version}/css/app.css")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert response.text == compact_styles((STATIC_FOLDER / "css" / "app.css").read_text())


async def test_file_of_another_version_is_asked_for_again(client: AsyncClient) -> None:
    response = await client.get("/static/0123456789ab/css/app.css")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"
    again = await client.get("/static/0123456789ab/css/app.css", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["%2e%2e/routes.py", "js/%2e%2e/%2e%2e/routes.py", "js", "no.css", "%2fetc/passwd"])
async def test_path_outside_the_files_is_not_found(client: AsyncClient, name: str) -> None:
    assert (await client.get(f"/static/{static_files().version}/{name}")).status_code == 404


def test_version_changes_with_a_name_or_content(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a")
    versions = [read_static_files(tmp_path).version]
    (tmp_path / "a.css").write_text("b")
    versions.append(read_static_files(tmp_path).version)
    (tmp_path / "a.css").rename(tmp_path / "b.css")
    versions.append(read_static_files(tmp_path).version)
    assert len(set(versions)) == 3


def test_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.exe").write_text("")
    with pytest.raises(ValueError, match=r"a\.exe"):
        read_static_files(tmp_path)


@pytest.mark.parametrize("folder", [vendor.PAGES, vendor.TESTS], ids=["pages", "tests"])
def test_vendored_files_are_those_of_their_list(folder: Path) -> None:
    rows = json.loads((folder / vendor.LIST_NAME).read_text())
    listed = {name: file["sha256"] for row in rows for name, file in row["files"].items()}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    del found[vendor.LIST_NAME]
    assert found == listed


def test_list_names_the_versions_of_the_command() -> None:
    rows = [row for folder in (vendor.PAGES, vendor.TESTS) for row in json.loads((folder / "vendor.json").read_text())]
    assert [(row["name"], row["version"]) for row in rows] == [(one.name, one.version) for one in vendor.PACKAGES]
    assert all(row["license"] and row["source"] == f"npm:{row['name']}@{row['version']}" for row in rows)


def test_package_and_image_contain_every_file() -> None:
    project = tomllib.loads((vendor.ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["src.ui"]
    packed = {path for pattern in patterns for path in STATIC_FOLDER.parent.glob(pattern) if path.is_file()}
    assert packed == {path for path in STATIC_FOLDER.rglob("*") if path.is_file()}
    left_out = [line for line in (vendor.ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in {"#", "!"}]
    assert left_out == ["*", "docs/pictures", "src/data", "**/__pycache__", "**/*.py[cod]"]


def test_policy_allows_the_style_of_the_charts_logo() -> None:
    text = (STATIC_FOLDER / "vendor" / "lightweight-charts.mjs").read_text()
    (style,) = re.findall(r'createElement\("style"\),this\.\w+\.innerText="([^"]*)"', text)
    assert "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() == CHART_STYLE_HASH


def test_every_file_that_a_page_names_exists() -> None:
    named = {name for page in (*PAGES, GRAPHQL_PAGE) for name in (*page.scripts, *page.styles)}
    named |= {f"js/pages/{page.name}.js" for page in (*PAGES, GRAPHQL_PAGE)}
    assert named <= static_files().files.keys()


@pytest.mark.parametrize("path", OWN_SCRIPTS, ids=lambda path: path.relative_to(STATIC_FOLDER).as_posix())
def test_script_inserts_text_only_as_text(path: Path) -> None:
    # Every one of these turns text into elements or code.
    found = re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|\beval\(|new Function|setHTML", path.read_text()
    )
    assert found == []


@pytest.mark.parametrize("path", OWN_SCRIPTS, ids=lambda path: path.relative_to(STATIC_FOLDER).as_posix())
def test_only_two_files_send_requests_and_draw_charts(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon", text) or path.name == "api.js"
    assert "lightweight-charts" not in text or path.name == "chart.js"


@pytest.mark.parametrize("path", OWN_SCRIPTS, ids=lambda path: path.relative_to(STATIC_FOLDER).as_posix())
def test_imports_lead_to_files(path: Path) -> None:
    for target in re.findall(r'from "([^"]+)"', path.read_text()):
        assert (path.parent / target).is_file(), target
