"""The client is a package of its own: it imports nothing of the service, and only what it declares."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "backtesting_client"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]


def imported_packages() -> Iterator[str]:
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]


def test_client_imports_only_what_it_declares() -> None:
    declared = {requirement.partition(">")[0] for requirement in PROJECT["dependencies"]}
    brought_along = {"numpy"}  # pandas needs it
    others = set(imported_packages()) - set(sys.stdlib_module_names) - {"backtesting_client"} - brought_along
    assert others <= declared


def test_installed_package_works_outside_the_repository(tmp_path: Path) -> None:
    if find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed, and building may not download it")
    source = shutil.copytree(FOLDER, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / "installed"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True, timeout=120)
    installed = {path.name for path in (target / "backtesting_client").iterdir()} - {"__pycache__"}
    assert installed == {path.name for path in FOLDER.glob("*.py")} | {"py.typed"}
    (metadata,) = target.glob("*.dist-info/METADATA")
    assert "docs/client.md" in metadata.read_text()
    code = "import backtesting_client as b; print(b.__file__, *b.__all__)"
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(target)}
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert told.startswith(str(target))
    assert "Client" in told.split()
