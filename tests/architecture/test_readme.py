"""The README says what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.architecture.readme_tables import README, with_tables
from tests.architecture.test_floors import ROOT


def test_its_tables_are_those_of_the_code() -> None:
    text = README.read_text()
    assert text == with_tables(text), "write them anew with: python -m tests.architecture.readme_tables"


def test_its_commands_are_those_of_run_py() -> None:
    told = subprocess.run(
        [sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = set(re.findall(r"python run\.py (\w+)", README.read_text()))
    known = set(re.findall(r"^  (\w+) ", told, re.MULTILINE))
    assert named <= known, f"the README names {named - known}, run.py has {known}"
    assert known - named <= {"setup"}, f"the README does not tell of {known - named}"


def test_its_first_screen_says_how_to_see_it_work_and_how_to_test_it() -> None:
    first_screen = "\n".join(README.read_text().splitlines()[:30])
    assert "python run.py demo" in first_screen
    assert "python run.py test" in first_screen


def test_its_json_examples_are_json() -> None:
    for block in re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL):
        json.loads(block)
