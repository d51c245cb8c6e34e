"""The README and the pages of `docs/` say what the code says, and their links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.reference_pages import TABLES, page_of, with_table
from tests.architecture.test_floors import ROOT

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = (README, CONTRIBUTING, ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))
MAX_CONTRIBUTING_LINES = 80
MAX_README_LINES = 180
MAX_CLIENT_LINES = 8
"""Of the example that goes from bars to a verdict."""


def anchors(page: Path) -> set[str]:
    """Return the names that links give to a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TABLES)
def test_reference_page_has_the_table_of_the_code(name: str) -> None:
    text = page_of(name).read_text()
    assert text == with_table(name, text), "write it anew with: python -m tests.architecture.draw"


def test_reference_folder_holds_no_other_pages() -> None:
    assert {path.stem for path in page_of("metrics").parent.iterdir()} == TABLES.keys()


def test_documented_commands_are_those_of_run_py() -> None:
    told = subprocess.run(
        [sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = set(re.findall(r"python run\.py (\w+)", "".join(page.read_text() for page in PAGES)))
    known = set(re.findall(r"^  (\w+) ", told, re.MULTILINE))
    assert named == known


def test_first_screen_shows_a_tear_sheet_and_three_commands() -> None:
    first_screen = "\n".join(README.read_text().splitlines()[:20])
    assert re.findall(r"^!\[.+\]\((.+)\)$", first_screen, re.MULTILINE) == ["docs/pictures/tear_sheet.png"]
    assert re.findall(r"^python run\.py (\w+)", first_screen, re.MULTILINE) == ["demo", "prod", "test"]


def test_readme_stays_short() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= MAX_README_LINES
    [client] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(client.strip().splitlines()) <= MAX_CLIENT_LINES


def test_contributing_guide_stays_short() -> None:
    assert len(CONTRIBUTING.read_text().splitlines()) <= MAX_CONTRIBUTING_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_json_examples_are_json(page: Path) -> None:
    for block in re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL):
        json.loads(block)


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert {page for page in PAGES if page.resolve() not in linked} <= {README}
