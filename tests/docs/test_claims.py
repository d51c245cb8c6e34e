"""The commands of `docs/claims.md` exist, select tests, and the cheap ones succeed."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys

import pytest

from tests.architecture.test_floors import ROOT

PAGE = ROOT / "docs" / "claims.md"
CLAIMS = re.findall(r"^\| (.+) \| `python (.+)` \|$", PAGE.read_text(), re.MULTILINE)
SUITE = "run.py test "
SELECTIONS = [shlex.split(command.removeprefix(SUITE)) for _, command in CLAIMS if command.startswith(SUITE)]
OTHERS = [command for _, command in CLAIMS if not command.startswith(SUITE)]
CHEAP = (
    "run.py test tests/unit/features",
    "run.py test tests/unit/api/http/test_cross_site.py",
    "run.py test tests/unit/judgement/test_verdict.py",
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def test_page_has_one_command_per_claim() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert len(CLAIMS) == len(rows) - 2  # the head and the line below it
    assert len({claim for claim, _ in CLAIMS}) == len(CLAIMS) > 20
    assert {command for _, command in CLAIMS}.issuperset(CHEAP)


def test_every_selection_has_tests() -> None:
    wanted = [word for selection in SELECTIONS for word in selection]
    assert [word for word in wanted if not (ROOT / word.partition("::")[0]).exists()] == []
    named = [word for word in wanted if "::" in word]
    done = run("-m", "pytest", "--collect-only", "-q", "-n0", "-p", "no:cacheprovider", *named)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(word in done.stdout for word in named)
    for word in set(wanted).difference(named):
        path = ROOT / word
        assert path.is_file() or any(path.rglob("test_*.py")), word


@pytest.mark.parametrize("command", OTHERS)
def test_other_command_exists(command: str) -> None:
    name, _, words = command.partition(" ")
    if name == "run.py":
        known, _, options = words.partition(" ")
        assert f"  {known} " in run("run.py", "--help").stdout
        if options:
            assert (known, options.split()[0]) == ("bench", "--only")
            assert (ROOT / "tests" / "benchmarks" / f"{options.split()[1]}.py").is_file()
    else:
        assert name == "-m"
        assert importlib.util.find_spec(words) is not None


@pytest.mark.parametrize("command", CHEAP)
def test_cheap_command_succeeds(command: str) -> None:
    done = run("run.py", "test", "--no-venv", *command.removeprefix(SUITE).split(), "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
