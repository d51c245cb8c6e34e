"""The check of the REST API has two names, for the user's document calls it from the root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("script", ["test_upload_api.py", "tests/test_upload_api.py"])
def test_both_names_run_the_same_steps(script: str) -> None:
    words = [sys.executable, script, "--url", NOWHERE]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "1. made a model" in ran.stdout
    assert f"no service answers at {NOWHERE}" in ran.stderr
    assert ran.returncode == 1


def test_pytest_finds_its_test_once() -> None:
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "test_upload_api.py", "tests/test_upload_api.py"]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False).stdout
    assert [line for line in found.splitlines() if "::" in line] == ["tests/test_upload_api.py::test_upload_api"]
