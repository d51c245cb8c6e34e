"""What the tests of generated clients share: a model file, and programs that run beside the tests."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

from tests.model_factory import train_network

TIMEOUT_S = 120
"""For a busy machine: to generate a client takes 3 s of one core."""


def write_model(folder: Path) -> Path:
    """Write a model file that predicts from the service's features, and return its path."""
    model = folder / "trend.pkl"
    model.write_bytes(pickle.dumps(train_network(None)[0]))
    return model


def run_python(*command: str, folder: Path, **variables: str) -> str:
    """Run a Python program of this environment in a folder; return what it prints."""
    return run_program(sys.executable, *command, folder=folder, **variables)


def run_program(*command: str, folder: Path, **variables: str) -> str:
    """Run a program in a folder, with this environment's programs on the PATH; return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    finished = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
    return finished.stdout + finished.stderr
