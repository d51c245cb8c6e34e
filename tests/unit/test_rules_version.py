"""The version of the rules: it changes with whatever text decides the figures, and with nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import talib

import src
from src.wiring.versions import RULES, rules_version, versions

PACKAGE = Path(src.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in RULES:
        if (PACKAGE / name).is_dir():
            shutil.copytree(PACKAGE / name, tmp_path / name)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(PACKAGE / name, tmp_path / name)
    return tmp_path


def test_results_name_the_rules() -> None:
    assert re.fullmatch("[0-9a-f]{12}", versions()["rules"])
    assert versions()["rules"] == rules_version(PACKAGE)


@pytest.mark.parametrize(
    "changed",
    [
        "domain/annualization.py",
        "engines/book.py",
        "features/ohlcv.py",
        "indicators/moving_average.py",
        "metrics/returns.py",
        "strategies/crossover.py",
    ],
)
def test_change_of_any_rule_changes_the_version(package: Path, changed: str) -> None:
    before = rules_version(package)
    assert before == rules_version(PACKAGE)
    (package / changed).write_text((package / changed).read_text() + "# changed\n")
    assert rules_version(package) != before


def test_results_name_the_library_of_indicators() -> None:
    assert versions()["ta-lib"] == talib.__version__


def test_moved_file_changes_the_version(package: Path) -> None:
    before = rules_version(package)
    (package / "engines" / "notes.txt").write_text("no rule")
    (package / "engines" / "__pycache__").mkdir(exist_ok=True)
    (package / "domain" / "errors.py").write_text("no rule either")
    assert rules_version(package) == before
    (package / "engines" / "book.py").rename(package / "engines" / "booked.py")
    assert rules_version(package) != before
