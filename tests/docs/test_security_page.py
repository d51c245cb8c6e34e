"""The pages on security and privacy name tests, settings and errors that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from src.settings import Settings
from tests.architecture.test_floors import ROOT

PAGES = [ROOT / "docs" / "security.md", ROOT / "docs" / "privacy.md", ROOT / "SECURITY.md"]
THREATS = re.findall(r"^\| (.+) \| .+ \| (.*) \|$", PAGES[0].read_text().partition("## What could be done")[2], re.M)
UNTESTED = {"a library with a hole"}


def test_each_threat_names_tests_that_exist() -> None:
    rows = [(threat, shown) for threat, shown in THREATS if threat not in {"threat", "---"}]
    assert len(rows) >= 15
    assert {threat for threat, shown in rows if "`tests/" not in shown} == UNTESTED
    named = {path for _, shown in rows for path in re.findall(r"`(tests/[\w/.]+)`", shown)}
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_settings_that_exist(page: Path) -> None:
    named = {name.partition("=")[0] for name in re.findall(r"`([A-Z][A-Z0-9_]{3,}(?:=\w+)?)`", page.read_text())}
    assert [name for name in sorted(named) if name.lower() not in Settings.model_fields] == []
