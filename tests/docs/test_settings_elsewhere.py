"""The counts of `docs/settings_elsewhere.md` are those of the cases that the tests fill."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.architecture.test_floors import ROOT
from tests.scenarios.foreign_cases import Outcome, count_outcomes

PAGE = (ROOT / "docs" / "settings_elsewhere.md").read_text()
SECTIONS = {
    found[1]: section
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)
    if (found := re.search(r"`tests/scenarios/(\w+)\.py`", section))
}


def test_every_file_of_cases_has_a_section() -> None:
    files = {path.stem for path in (ROOT / "tests" / "scenarios").glob("*_cases.py") if path.stem[:5] != "test_"}
    assert set(SECTIONS) == files - {"foreign_cases"}


@pytest.mark.parametrize("module", SECTIONS)
def test_counts_of_cases_are_those_of_page(module: str) -> None:
    section = SECTIONS[module]
    counts = count_outcomes(importlib.import_module(f"tests.scenarios.{module}").CASES)
    said = re.search(r"(\d+) fill here as there, (\d+) differ by a rule, (\d+) cannot be written here\.", section)
    assert said is not None
    assert [int(number) for number in said.groups()] == [counts[outcome] for outcome in Outcome]
    rows = re.findall(r"^\| (\d+)( \(not here\))? \|", section, re.MULTILINE)
    assert sum(int(number) for number, absent in rows if not absent) == counts[Outcome.DIFFERS]
    assert sum(int(number) for number, absent in rows if absent) == counts[Outcome.MISSING]
