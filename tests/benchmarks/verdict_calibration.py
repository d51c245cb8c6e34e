"""How often the verdict lets a strategy without an edge pass, and finds one with an edge, on simulated paths.

`python -m tests.benchmarks.verdict_calibration` makes the table of docs/judgement.md anew, with a fresh seed that is
printed; `--seed` repeats a table. It takes some minutes. `python run.py bench` runs a short version.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.verdict import VerdictLevel
from tests.benchmarks.measurement import Measurement
from tests.calibration import Cell, cells, judge_path, simulate_path
from tests.conftest import SHARED_DATA
from tests.market import read_klines

LENGTHS: Final = (500, 1_000, 3_000)
PATHS: Final = 1_500
QUICK_PATHS: Final = 40
MAX_PASSES: Final = 0.05
PAGE: Final = Path(__file__).parents[2] / "docs" / "judgement.md"
MARKS: Final = ("<!-- calibration -->", "<!-- /calibration -->")
LEVELS: Final = tuple(level for level in VerdictLevel if level is not VerdictLevel.DISPROVED)


def real_returns() -> NDArray[np.float64] | None:
    """Return the daily returns of BTCUSDT if the shared data is there."""
    file = SHARED_DATA / "BTCUSDT-1d.csv.gz"
    if not file.exists():
        return None
    close = read_klines(file, interval="1d").close
    return close[1:] / close[:-1] - 1


def count_levels(cell: int, bars: int, paths: range, seed: int) -> Counter[str]:
    """Return how many of some paths of a cell get each level."""
    chosen = cells(real_returns())[cell]
    return Counter(judge_path(chosen, bars, (seed, cell, bars, path)) for path in paths)


def measure_table(paths: int, seed: int) -> dict[tuple[str, int], Counter[str]]:
    """Return the counts of every cell and length, on all processors; progress goes to stderr."""
    table: dict[tuple[str, int], Counter[str]] = {}
    known = cells(real_returns())
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    step = max(1, paths // (4 * workers))
    with ProcessPoolExecutor(workers) as pool:
        for number, cell in enumerate(known):
            for bars in LENGTHS:
                start = time.perf_counter()
                parts = [range(first, min(first + step, paths)) for first in range(0, paths, step)]
                tasks = [pool.submit(count_levels, number, bars, part, seed) for part in parts]
                table[cell.name, bars] = sum((task.result() for task in tasks), Counter())
                passed = share_of(table[cell.name, bars], VerdictLevel.NO_OBJECTION)
                taken_s = time.perf_counter() - start
                print(f"{cell.name}, {bars:,} bars: {passed:.1%} pass ({taken_s:.0f} s)", file=sys.stderr, flush=True)
    return table


def share_of(counts: Mapping[str, int], level: VerdictLevel) -> float:
    return counts.get(level, 0) / sum(counts.values())


def write_table(
    table: Mapping[tuple[str, int], Mapping[str, int]], known: Sequence[Cell], paths: int, seed: int
) -> str:
    """Return the table in Markdown: shares of paths per level, in per cent."""
    lines = [
        f"{paths:,} paths in each row, seed {seed}; shares of the verdicts in per cent.",
        "",
        "| strategy | bars | " + " | ".join(f"`{level}`" for level in reversed(LEVELS)) + " |",
        "| --- | --- |" + " --- |" * len(LEVELS),
    ]
    for cell in known:
        for bars in LENGTHS:
            counts = table[cell.name, bars]
            shares = " | ".join(f"{share_of(counts, level) * 100:.1f}" for level in reversed(LEVELS))
            lines.append(f"| {cell.name} | {bars:,} | {shares} |")
    return "\n".join(lines)


def measure(*, quick: bool) -> list[Measurement]:
    """Measure the largest share of passes without an edge, and what judging costs beside simulating the same paths."""
    paths, bars = (QUICK_PATHS, 500) if quick else (5 * QUICK_PATHS, 1_000)
    known = [(number, cell) for number, cell in enumerate(cells()) if not cell.has_edge]
    start = time.perf_counter()
    passes = {
        cell.name: share_of(count_levels(number, bars, range(paths), seed=11), VerdictLevel.NO_OBJECTION)
        for number, cell in known
    }
    judged = time.perf_counter()
    for number, cell in known:
        for path in range(paths):
            simulate_path(cell, bars, (11, number, bars, path))
    simulated_s = time.perf_counter() - judged
    worst = max(passes, key=lambda name: passes[name])
    return [
        Measurement(
            name="verdicts on strategies without an edge",
            seconds=judged - start,
            units=f"{paths} paths of {bars:,} bars each: at most {passes[worst]:.1%} pass ({worst})",
            peer_name="the same paths simulated, not judged",
            peer_seconds=simulated_s,
            target=f"≤ {MAX_PASSES:.0%} pass, within chance",
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--paths", type=int, default=PATHS, help="paths of each row")
    parser.add_argument("--seed", type=int, default=None, help="a seed to repeat a table; a fresh one if absent")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    given = parser.parse_args()
    seed = secrets.randbits(32) if given.seed is None else given.seed
    print(f"seed {seed}", file=sys.stderr)
    text = write_table(measure_table(given.paths, seed), cells(real_returns()), given.paths, seed)
    print(text)
    if given.write:
        head, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
        _, tail = rest.split(MARKS[1])
        PAGE.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
