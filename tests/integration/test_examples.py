"""Check the example for newcomers against a running service."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.test_floors import ROOT
from tests.model_factory import require_libraries


def test_model_in_four_formats_gives_equal_signals(service: str) -> None:
    require_libraries()
    command = [sys.executable, "examples/train_and_backtest.py", "--url", service]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("4 formats, the same signal at every bar.\n")


def test_example_without_service_says_how_to_start() -> None:
    command = [sys.executable, "examples/train_and_backtest.py", "--url", "http://127.0.0.1:9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "python run.py dev" in done.stderr
