"""Measure what each start-up setting is worth: `python -m tests.start_up [NAME ...] [--rounds N]`.

Each is run with and without it in fresh processes, interleaved, so that a busy machine slows both alike. The medians
and their ratio are printed; the figures beside the code come from here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

PRELUDE: Final = """
import contextlib, gc, json, os, sys, time
WITH = sys.argv[1] == "with"
def resident_mb():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
def show(**figures):
    print(json.dumps(figures))
"""

VECTORBT_TYPES: Final = """
if not WITH:
    import vectorbt
import src.backtest_API
show(start_cpu_s=time.process_time(), resident_mb=resident_mb())
"""

FROZEN: Final = """
import src.backtest_API
from src.service.warm_up import settle_memory
from src.settings import read_settings
app = src.backtest_API.create_app(read_settings())
if WITH:
    settle_memory()
times = []
for _ in range(7):
    started = time.process_time()
    gc.collect()
    times.append(time.process_time() - started)
show(full_collection_ms=sorted(times)[3] * 1000)
"""

IMPORTS: Final = """
import uvicorn
from src.runtime.server import import_application
if WITH:
    import_application(uvicorn.Config("src.backtest_API:app"))
import src.backtest_API
from src.engines.registry import ENGINES
from src.service.warm_up import warm_up
from src.settings import read_settings
src.backtest_API.create_app(read_settings())
warm_up(ENGINES)
show(warm_cpu_s=time.process_time())
"""

ALLOCATOR: Final = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from src.runtime.allocator import return_freed_memory
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.features.ohlcv import build_features
from src.strategies.crossover import CrossoverParams
from src.strategies.crossover import Crossover
from tests.market import random_bars
if WITH:
    assert return_freed_memory()
def request(seed):
    bars = random_bars(500 + (seed * 7919) % 60_000, seed=seed)
    features = build_features(bars)
    signals = Crossover(CrossoverParams(fast=5, slow=20)).signals(StrategyInputs(bars=bars))
    simulation = VectorizedEngine().run(bars, signals, TradingRules(fill=FillTiming.NEXT_OPEN))
    return len(simulation.equity) + len(features.names)
request(1)
before = resident_mb()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(request, range(1500)))
show(growth_mb=resident_mb() - before)
"""

HUGE_PAGES: Final = """
import sklearn.ensemble, sklearn.pipeline, sklearn.neural_network, sklearn.svm
from src.sandbox import huge_pages
gc.collect(); gc.freeze()
if WITH:
    huge_pages.collapse()
times = []
for _ in range(200):
    started = time.process_time()
    pid = os.fork()
    if not pid:
        os._exit(0)
    times.append(time.process_time() - started)
    os.waitpid(pid, 0)
show(fork_cpu_ms=sorted(times)[100] * 1000)
"""

COMPILE_CACHE: Final = """
if not WITH:
    import tempfile
    folder = tempfile.TemporaryDirectory()
    os.environ["NUMBA_CACHE_DIR"] = folder.name
import src.runtime.warm_up
src.runtime.warm_up.main()
show(warm_up_cpu_s=time.process_time())
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """A program that prints its own figures, of each of which less is better, and how often it is run each way."""

    program: str
    rounds: int


TRIALS: Final = {
    "vectorbt_types": Trial(VECTORBT_TYPES, 5),
    "imports": Trial(IMPORTS, 5),
    "frozen": Trial(FROZEN, 5),
    "allocator": Trial(ALLOCATOR, 3),
    "huge_pages": Trial(HUGE_PAGES, 5),
    "compile_cache": Trial(COMPILE_CACHE, 1),
}


def run(program: str, word: str) -> dict[str, float]:
    """Run one program in a fresh process and return the figures of its last line."""
    command = [sys.executable, "-W", "ignore", "-c", PRELUDE + program, word]
    with tempfile.TemporaryDirectory() as storage:
        variables = {**os.environ, "STORAGE_DIR": storage, "MONGODB_URI": ""}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.start_up", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRIALS))
    parser.add_argument("--rounds", type=int, help="how often each is run with and without")
    options = parser.parse_args()
    if unknown := set(options.names) - set(TRIALS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(TRIALS)}")
    for name in options.names or TRIALS:
        trial = TRIALS[name]
        runs: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
        for _ in range(options.rounds or trial.rounds):
            for word, found in runs.items():
                found.append(run(trial.program, word))
        for figure in runs["with"][0]:
            medians = {word: statistics.median(one[figure] for one in found) for word, found in runs.items()}
            ratio = medians["without"] / medians["with"]
            print(
                f"{name:15} {figure:20} with {medians['with']:9.2f}  without {medians['without']:9.2f}  "
                f"ratio {ratio:.2f}  rounds {len(runs['with'])}",
                flush=True,
            )


if __name__ == "__main__":
    main()
