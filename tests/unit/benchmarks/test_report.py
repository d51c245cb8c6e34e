from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks.measurement import Measurement, best_of, best_of_both

FAST = Measurement(
    name="engine", seconds=0.002, units="1,000 bars", peer_name="other", peer_seconds=0.05, target="≥ 20×"
)
SLOW = Measurement(name="list", seconds=2.0, units="rows", peer_name="limit", peer_seconds=0.5)


def test_the_ratio_says_how_many_times_faster() -> None:
    assert (FAST.ratio, SLOW.ratio) == (25.0, 0.25)


def test_each_measurement_is_a_line() -> None:
    lines = bench.table([FAST, SLOW]).splitlines()
    assert lines[0].split() == ["measured", "work", "ours", "peer", "peer's", "time", "ratio", "target"]
    assert lines[2].split() == ["engine", "1,000", "bars", "2", "ms", "other", "50", "ms", "25×", "≥", "20×"]
    assert lines[3].split() == ["list", "rows", "2", "s", "limit", "500", "ms", "0.25×"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(75.31, "75.3 s"), (0.0123, "12.3 ms"), (4.2e-6, "4.2 µs"), (8e-8, "80 ns")]
)
def test_times_have_a_unit_that_fits(seconds: float, text: str) -> None:
    assert bench.duration(seconds) == text


def test_the_report_holds_the_machine_and_the_figures() -> None:
    document = json.loads(json.dumps(bench.report([FAST], bench.machine())))
    assert document["machine"]["cores"] >= 1
    assert document["machine"]["libraries"]["numpy"]
    assert document["measurements"] == [
        {
            "name": "engine",
            "units": "1,000 bars",
            "seconds": 0.002,
            "peer_name": "other",
            "peer_seconds": 0.05,
            "ratio": 25.0,
            "target": "≥ 20×",
        }
    ]


def test_every_module_has_something_to_measure() -> None:
    folder = Path(bench.__file__).parent
    assert "measurement" not in bench.names()
    for name in bench.names():
        assert "def measure(" in (folder / f"{name}.py").read_text(), name


def test_an_unknown_name_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.main(["--only", "dancing"])
    error = capsys.readouterr().err
    assert all(name in error for name in bench.names())


def test_the_best_of_several_runs_leaves_the_first_out() -> None:
    runs = []
    assert best_of(lambda: runs.append(1), repeats=3) >= 0
    assert len(runs) == 4


def test_both_run_in_turns_and_the_first_of_each_is_left_out() -> None:
    runs: list[str] = []
    ours, peer = best_of_both(lambda: runs.append("ours"), lambda: runs.append("peer"), repeats=2)
    assert min(ours, peer) >= 0
    assert runs == ["ours", "peer"] * 3
