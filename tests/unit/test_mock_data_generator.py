"""The command that writes simulated bars to a file."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.bars.simulated import simulate_bars
from src.domain.intervals import INTERVALS
from src.mockDataGenerator import DEFAULT_OUTPUT, main

ROOT = Path(__file__).parents[2]


def test_documented_command_writes_the_documented_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "src.mockDataGenerator"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Wrote 1,000 simulated 1d bars of BTCUSDT (seed 42) to")
    assert Path("src/data/mock_backtest_data.csv") == DEFAULT_OUTPUT
    lines = (tmp_path / DEFAULT_OUTPUT).read_text().splitlines()
    assert lines[0] == "Date,Open,High,Low,Close,Volume"
    assert lines[1].startswith("2022-01-01T00:00:00Z,")
    assert len(lines) == 1001


def test_every_option_counts_and_numbers_are_exact(tmp_path: Path) -> None:
    output = tmp_path / "new" / "bars.csv"
    options = ["--seed", "7", "--bars", "300", "--interval", "4h", "--symbol", "eth/usdt"]
    assert main([*options, "--start", "2023-03-01T05:00:00+01:00", "--output", str(output)]) == 0
    expected = simulate_bars("ETHUSDT", INTERVALS["4h"], 1_677_643_200_000, 300, 7)
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["Date"] == "2023-03-01T04:00:00Z"
    for name in ("Open", "High", "Low", "Close", "Volume"):
        assert [float(row[name]) for row in rows] == getattr(expected, name.lower()).tolist()
    assert [entry.name for entry in output.parent.iterdir()] == ["bars.csv"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--bars", "0"], "bars is 0. Allowed: a whole number ≥ 1."),
        (["--bars", "99999999999"], "Allowed: a whole number from 1 to 10,000,000"),
        (["--interval", "1x"], "interval is '1x'. Allowed: 1s, 1m"),
        (["--symbol", "../x"], "symbol is '../x'"),
        (["--start", "yesterday"], "start is 'yesterday'. Allowed: YYYY-MM-DD"),
        (["--start", "1815-01-01"], "1970 to 9999"),
        (["--bars", "9999999", "--interval", "1M"], "after the year 9999"),
    ],
)
def test_wrong_input_is_explained_and_writes_nothing(
    options: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, "--output", str(tmp_path / "bars.csv")]) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bars.csv"
    folder.mkdir()
    assert main(["--bars", "5", "--output", str(folder)]) == 1
    assert "could not be written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [folder]


def test_output_that_is_no_file_is_unchanged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["--bars", "3", "--output", str(tmp_path / "pipe")]) == 1
    assert "not an ordinary file" in capsys.readouterr().err
    assert (tmp_path / "pipe").is_fifo()


def test_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert main(["--bars", "3", "--output", str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert len((tmp_path / "real.csv").read_text().splitlines()) == 4
