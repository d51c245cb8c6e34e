"""`python run.py bench`: measure the service against its peers in one run, as ratios, and keep a report.

Every other module of this package that has `measure() -> list[Measurement]` takes part; one that has
`measure(*, quick: bool)` is told whether a short run was asked for.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from tests import benchmarks
from tests.benchmarks.measurement import Measurement, Memory

REPORT = Path(__file__).parents[2] / ".bench" / "report.json"
LIBRARIES = ("numpy", "numba", "pandas", "vectorbt", "vectorbt-rust", "strawberry-graphql", "backtesting", "raptorbt")
HEAD = ("measured", "work", "ours", "peer", "peer's time", "ratio", "target")


def names() -> list[str]:
    """Return the modules that measure something."""
    plumbing = {"__main__", "measurement", "sweep_peers"}
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if name not in plumbing and not name.startswith("test_"))


def measure(name: str, *, quick: bool) -> list[Measurement | Memory]:
    """Run one module's measurements."""
    function = importlib.import_module(f"{benchmarks.__name__}.{name}").measure
    options: dict[str, Any] = {"quick": quick} if "quick" in inspect.signature(function).parameters else {}
    found: list[Measurement | Memory] = function(**options)
    return found


def machine() -> dict[str, object]:
    """Return what the figures depend on besides the code."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
    }


def duration(seconds: float) -> str:
    """Write a time in the unit that gives it one to three digits before the point."""
    for unit, length in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def table(measurements: Sequence[Measurement]) -> str:
    """Lay the measurements out, one a line."""
    rows = [
        (
            found.name,
            found.units,
            duration(found.seconds),
            found.peer_name,
            duration(found.peer_seconds),
            f"{found.ratio:.3g}×",
            found.target or "",
        )
        for found in measurements
    ]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    lines = [HEAD, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def memory_table(memories: Sequence[Memory]) -> str:
    """Lay the memory figures out, one a line."""
    width = max(len(found.name) for found in memories)
    return "\n".join(
        f"{found.name.ljust(width)}  {found.bytes / 1e6:,.0f} MB  {found.units}"
        + f"  ({found.target})" * bool(found.target)
        for found in memories
    )


def report(
    measurements: Sequence[Measurement], facts: dict[str, object], memories: Sequence[Memory] = ()
) -> dict[str, object]:
    """Return the same as a plain document, times in seconds."""
    fields = ("name", "units", "seconds", "peer_name", "peer_seconds", "ratio", "target")
    return {
        "memory": [asdict(found) for found in memories],
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": facts,
        "measurements": [{name: getattr(found, name) for name in fields} for found in measurements],
    }


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python run.py bench", description="Measure the service against its peers.")
    parser.add_argument("--only", metavar="NAME", choices=names(), help=f"one of: {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="less work and fewer repeats, where a module knows how")
    options = parser.parse_args(words)
    facts = machine()
    print(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}\n", flush=True)
    found: list[Measurement | Memory] = []
    for name in [options.only] if options.only else names():
        print(f"measuring {name} …", flush=True)
        try:
            found += measure(name, quick=options.quick)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in {"src", "tests"}:
                raise
            print(f"  left out: {error.name} is not installed")
    measurements = [one for one in found if isinstance(one, Measurement)]
    memories = [one for one in found if isinstance(one, Memory)]
    if not measurements:
        print("nothing was measured", file=sys.stderr)
        return 1
    print(f"\n{table(measurements)}\n\nratio: the peer's time ÷ ours, in the same run; above 1 we are faster")
    if memories:
        print(f"\nresident memory\n{memory_table(memories)}\n")
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report(measurements, facts, memories), indent=1, ensure_ascii=False))
    print(f"written: {REPORT.relative_to(REPORT.parents[1])}")
    return 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
