"""Memory does not grow with the number of rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_memory_of_many_rows_is_that_of_few() -> None:
    words = [sys.executable, "-m", "tests.sweep_memory", "500", "5000", "100000"]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    few, many = map(int, output.split())
    assert many - few < 30e6
