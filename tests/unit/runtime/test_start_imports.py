"""A worker imports only what its start needs: each library named here costs 50 to 400 ms of every start."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.architecture.test_floors import ROOT

UNNEEDED = {
    "pandas",
    "plotly",
    "ipywidgets",
    "IPython",
    "matplotlib",
    "scipy.optimize",
    "sklearn",
    "optuna",
    "lark",
    "distributed",
}


def test_application_imports_no_unneeded_library() -> None:
    program = "import json, sys, src.backtest_API; print(json.dumps([*sys.modules]))"
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert UNNEEDED.intersection(json.loads(done.stdout)) == set()
