"""Run every example of the README and of `docs/` as written, except for the address of the service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.architecture.test_floors import ROOT

ADDRESS = "http://localhost:5050"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCKS = [block for page in PAGES for block in re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.DOTALL)]
NOT_HERE = ("python run.py", "docker", 'echo "MONGO_PASSWORD', "kubectl", "export MONGODB_URI")
"""Commands that make environments, images and deployments: seen to work by CI and by hand."""


def blocks(language: str) -> list[Any]:
    found = [text for name, text in BLOCKS if name == language]
    assert found, f"no page has a {language} example"
    return [pytest.param(text, id=f"{language}-{number}") for number, text in enumerate(found)]


def run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", [block for block in blocks("bash") if not block.values[0].startswith(NOT_HERE)])
def test_readme_shell_examples_run(service: str, script: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    script = script.replace(ADDRESS, service).replace(".venv/bin/python -c", f"{sys.executable} -c")
    answers = run(["bash", "-euc", script])
    for answer in re.findall(r"\{.*?\}(?=\{|\s*$)", answers, re.DOTALL):
        read = json.loads(answer)
        assert "errors" not in read, read
        assert read.get("success", True) is True, read
    assert "{" in answers


@pytest.mark.parametrize("script", blocks("python"))
def test_readme_python_example_runs(service: str, script: str) -> None:
    assert run([sys.executable, "-c", script.replace(ADDRESS, service)])


@pytest.mark.parametrize("script", blocks("javascript"))
def test_readme_javascript_example_runs(service: str, script: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    printed = json.loads(run(["node", "--input-type=module", "-e", script.replace(ADDRESS, service)]))
    assert all(printed.values())


@pytest.mark.parametrize("document", blocks("graphql"))
def test_readme_graphql_examples_run(service: str, document: str) -> None:
    answer = httpx.post(f"{service}/graphql", json={"query": document}, timeout=60).json()
    assert "errors" not in answer, answer
    assert answer["data"]
