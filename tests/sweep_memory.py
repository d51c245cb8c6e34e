"""Evaluate crossovers in chunks, and print the highest resident memory of this process after each number of rows.

python -m tests.sweep_memory BARS ROWS ROWS ...
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from src.sweeps.evaluation import Evaluator, SweepInputs
from tests.factories import make_request
from tests.market import random_bars
from tests.sweep_agreement import build_sweep


def read_peak() -> int:
    """Return the highest resident memory of this program; `getrusage` counts that of the one that started it too."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def peak_bytes(bars: int, sizes: list[int]) -> Iterator[int]:
    """Yield the peak after sweeps of so many rows each; all rows of a sweep are computed, none is kept."""
    request, _ = build_sweep(make_request(), {"fast": [1, 2], "slow": [10, 11]})
    evaluator = Evaluator(SweepInputs(request=request, bars=random_bars(bars, seed=1, interval="1h", volatility=0.01)))
    for rows in sizes:
        for first in range(0, rows, evaluator.chunk_rows):
            numbers = np.arange(first, min(rows, first + evaluator.chunk_rows))
            values = np.stack((5 + numbers // 100 % 100, 110 + numbers % 100), axis=1).astype(np.float64)
            evaluator.evaluate(values, first=first, total=rows)
        yield read_peak()


if __name__ == "__main__":
    for found in peak_bytes(int(sys.argv[1]), [int(word) for word in sys.argv[2:]]):
        print(found)
