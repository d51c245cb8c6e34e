"""ariadne-codegen generates a client without further configuration, and its user runs backtests with it.

It needs older versions of graphql-core and ruff than the service's own tools, so it is no development requirement: the
tests run if it is on the PATH, or where ARIADNE_CODEGEN says (`pip install ariadne-codegen` in an environment of its
own).
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.client.generated import run_program, run_python, write_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "generated_graphql"
ADDRESS = "http://127.0.0.1:5050"


@pytest.fixture(scope="module")
def generated(service: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a client that was generated from the schema of the running service."""
    generator = os.environ.get("ARIADNE_CODEGEN") or shutil.which("ariadne-codegen")
    if generator is None:
        pytest.skip("ariadne-codegen is not on the PATH, nor named by ARIADNE_CODEGEN")
    folder = tmp_path_factory.mktemp("generated")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    settings = folder / "ariadne.toml"
    assert ADDRESS in settings.read_text()
    settings.write_text(settings.read_text().replace(ADDRESS, service))
    run_program(generator, "--config", settings.name, folder=folder)
    return folder


def test_generated_graphql_client_runs_backtests(generated: Path, service: str, tmp_path: Path) -> None:
    model = str(write_model(tmp_path))
    script = str(generated / "run.py")
    lines = run_python(script, f"{service}/graphql", model, folder=tmp_path, PYTHONPATH=str(generated)).splitlines()
    strategy, with_model, listed, read = lines
    assert re.fullmatch(r"strategy: -?\d+\.\d\d %, [A-Z_]+, signal", strategy)
    assert re.fullmatch(r"model: -?\d+\.\d\d %, [A-Z_]+", with_model)
    assert listed.count("trades") >= 2
    assert "RSI" in listed
    assert read == "read: True 10000.0"
