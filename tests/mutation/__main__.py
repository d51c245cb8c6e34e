"""`python run.py mutate [ROOM[/MODULE] ...]`: plant faults in the rooms of calculation and see which the tests miss.

Each room is judged by its own tests alone (`ROOMS`), so that what a wider suite finds by luck counts as missed.
A mutant that no test of the room notices is printed as a diff; some change nothing that can be seen and stay.

Why not a library: mutmut 3.8.1 leaves decorated functions alone, which are all rules of the event-driven engine (it
makes 17 mutants of `account`, `orders` and `book`; this makes 317). cosmic-ray 8.7.0 makes 993, each in a new process
that would compile the engine anew (8 s of processor time), as numba's own switch to plain Python does not run it (see
`interpreted.py`); it brings a dozen packages.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.mutation.operators import Mutant, find_mutants
from tests.mutation.running import ROOT, Outcome, Workspace, prepare, run_mutants, run_unchanged

ROOMS: Final = {
    "engines": (
        "tests/unit/engines",
        "tests/scenarios",
        "--ignore=tests/unit/engines/test_vectorbt_types.py",
        # It runs vectorbt's own numba code: compiled for half a minute, and none of it ours.
        "--deselect=tests/unit/engines/test_vectorized.py::test_vectorbt_without_compiled_half_simulates_equally",
    ),
    "features": ("tests/unit/features",),
    "indicators": ("tests/unit/indicators", "tests/contracts/test_indicators.py"),
    "judgement": ("tests/unit/judgement", "--ignore=tests/unit/judgement/test_coverage.py"),
    "metrics": ("tests/unit/metrics",),
    "strategies": ("tests/unit/strategies", "tests/contracts/test_strategies.py"),
}
"""What pytest runs for each room."""

LEFT_OUT: Final = {"src/engines/vectorbt_types.py"}
"""No calculation, but the import of vectorbt; its tests start an interpreter each."""

REPORT_EVERY_S: Final = 15.0
MIN_LIMIT_S: Final = 20.0


def sources_of(target: str) -> list[str]:
    """Return the source files of a target, as paths from the root: `metrics` has several, `engines/book` one."""
    room, _, module = target.partition("/")
    if room not in ROOMS:
        raise ValueError(f"Unknown room {room!r}. Known rooms: {', '.join(ROOMS)}.")
    paths = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "src" / room).glob(f"{module or '*'}.py")))
    if not (found := [path for path in paths if not path.endswith("__init__.py") and path not in LEFT_OUT]):
        raise ValueError(f"{target} has no source file to mutate.")
    return found


def draw(target: str, sample: int | None, seed: int) -> tuple[list[Mutant], int]:
    """Return the mutants of a target, or `sample` of them drawn with the seed, and how many there are."""
    mutants = [mutant for path in sources_of(target) for mutant in find_mutants(path, (ROOT / path).read_bytes())]
    if sample is None or sample >= len(mutants):
        return mutants, len(mutants)
    drawn = random.Random(seed).sample(range(len(mutants)), sample)
    return [mutants[index] for index in sorted(drawn)], len(mutants)


def mutate(target: str, options: argparse.Namespace, workspaces: Sequence[Workspace]) -> str:
    """Test the mutants of one target, print those that survive, and return the line of its score."""
    mutants, known = draw(target, options.sample, options.seed)
    tests = ROOMS[target.partition("/")[0]]
    print(f"{target}: {len(mutants)} of {known} mutants, seed {options.seed}", flush=True)
    alone_s = run_unchanged(workspaces[0], tests)
    limit_s = max(MIN_LIMIT_S, 5 * len(workspaces) * alone_s)
    print(f"{target}: its tests take {alone_s:.1f} s; a mutant gets {limit_s:.0f} s", flush=True)
    counts: Counter[Outcome] = Counter()
    reported = time.monotonic()
    for mutant, outcome in run_mutants(mutants, workspaces, tests, limit_s):
        counts[outcome] += 1
        if outcome is Outcome.SURVIVED:
            print(
                f"survived: {mutant.path}:{mutant.line}\n{mutant.diff((ROOT / mutant.path).read_bytes())}", flush=True
            )
        if time.monotonic() - reported > REPORT_EVERY_S:
            reported = time.monotonic()
            print(f"{target}: {counts.total()} of {len(mutants)} done", flush=True)
    return score(target, counts, options.seed)


def score(target: str, counts: Counter[Outcome], seed: int) -> str:
    """Say how many mutants were killed; one that runs into the time limit counts as killed."""
    total = counts.total()
    killed = total - counts[Outcome.SURVIVED]
    late = f", {counts[Outcome.TIMED_OUT]} of them by the time limit" * bool(counts[Outcome.TIMED_OUT])
    return f"{target}: {killed} of {total} killed ({killed / max(total, 1):.0%}), seed {seed}{late}"


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python run.py mutate", description="Plant faults in the source and see which the tests miss."
    )
    parser.add_argument("targets", nargs="*", metavar="ROOM[/MODULE]", help=f"of {', '.join(ROOMS)}; all if none")
    parser.add_argument("--sample", type=int, metavar="N", help="test N mutants of each target, drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument("--processes", type=int, default=2, help="mutants tested at once (default: 2)")
    options = parser.parse_args(words)
    options.targets = options.targets or list(ROOMS)
    if options.processes < 1 or (options.sample is not None and options.sample < 1):
        parser.error("--sample and --processes must be at least 1.")
    try:
        for target in options.targets:
            sources_of(target)
    except ValueError as error:
        parser.error(str(error))
    return options


def main(words: Sequence[str]) -> int:
    options = parse(words)
    prepare()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        workspaces = [Workspace(Path(folder) / str(number)) for number in range(options.processes)]
        try:
            scores = [mutate(target, options, workspaces) for target in options.targets]
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
    print("\n".join(scores))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
