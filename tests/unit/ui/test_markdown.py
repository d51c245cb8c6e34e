"""The documentation as Markdown, and the list of its pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from src.ui.markdown import LIST_NAME, ROOT, markdown_files, read_markdown
from src.ui.routes import install_pages


def client_at(root_path: str = "") -> AsyncClient:
    app = FastAPI(docs_url=None)
    install_pages(app)
    return AsyncClient(transport=ASGITransport(app, root_path=root_path), base_url="http://service")


@pytest.mark.parametrize("name", ["README.md", "docs/data.md", "docs/reference/errors.md", "docs/decisions/README.md"])
async def test_page_is_the_file_itself(name: str) -> None:
    response = await client_at().get(f"/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    assert response.content == (ROOT / name).read_bytes()


async def test_known_page_is_not_sent_again() -> None:
    async with client_at() as client:
        first = await client.get("/llms.txt")
        again = await client.get("/llms.txt", headers={"If-None-Match": first.headers["etag"]})
        other = await client.get("/docs/data.md", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["content-type"] == "text/plain; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/docs/absent.md",
        "/docs/../run.py",
        "/docs/%2e%2e/run.py",
        "/docs/..%2Frun.py",
        "/docs/%2Fetc%2Fpasswd",
        "/docs/data.md%00",
        "/docs/pictures/runs.png",
        "/docs/{name}.md",
        "/docs//data.md",
        "/run.py",
    ],
)
async def test_other_path_is_not_found(path: str) -> None:
    assert (await client_at().get(path, follow_redirects=True)).status_code == 404


async def test_page_of_swagger_stays_at_its_address() -> None:
    response = await client_at().get("/docs/", follow_redirects=True)
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_list_names_every_page_once() -> None:
    text = markdown_files()[LIST_NAME].content.decode()
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): .{8,}", text, re.MULTILINE)
    assert sorted(links) == sorted(pages | {"README.md", "openapi.json"})
    assert text.startswith("# Backtesting service\n\n> Send a trained model or a trading rule over HTTP and get back ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Docs", "Reference", "Optional"]
    assert "**" not in text
    assert max(map(len, text.split("\n## ")[1].splitlines())) < 300


async def test_list_links_lead_to_pages_below_a_prefix() -> None:
    async with client_at("/tools/bt") as client:
        text = (await client.get("/tools/bt/llms.txt")).text
        for link in re.findall(r"\]\((\S+\.md)\)", text):
            assert (await client.get(f"/tools/bt/{link}")).status_code == 200, link


def test_folder_that_is_not_the_repository_has_no_pages(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "foreign.md").write_text("# Foreign")
    assert read_markdown(tmp_path) == {}
    (tmp_path / "run.py").touch()
    assert set(read_markdown(tmp_path)) == {"docs/foreign.md"}


def test_note_is_the_first_sentence_without_markup(tmp_path: Path) -> None:
    (tmp_path / "run.py").touch()
    (tmp_path / "README.md").write_text("# Service\n\nIt **runs** [it](docs/a.md).\n\nMore.")
    (tmp_path / "docs" / "decisions").mkdir(parents=True)
    (tmp_path / "docs" / "a.md").write_text("# A\n\n| head |\n| --- |\n\n![p](p.png)\n\nOne\nof `two`. Three.")
    (tmp_path / "docs" / "b.md").write_text("# B\n\n" + "word " * 100)
    (tmp_path / "docs" / "decisions" / "c.md").write_text("# C\n\n**Decision.** We do. So.")
    text = read_markdown(tmp_path)[LIST_NAME].content.decode()
    assert "> It runs it.\n" in text
    assert "- [A](docs/a.md): One of `two`\n" in text
    assert f"- [B](docs/b.md): {('word ' * 100)[:199]}…\n" in text
    assert "- [C](docs/decisions/c.md): We do\n" in text
