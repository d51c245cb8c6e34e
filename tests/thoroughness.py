"""How often a test repeats what chance or a race decides: some times for each commit, more often if asked.

`THOROUGH=1 python run.py test` repeats all of it as often as when it was written. Examples are drawn from the same seed
each time, so that more of them find something once, and not at every commit.
"""

from __future__ import annotations

import os
from typing import Final, TypeVar

IS_THOROUGH: Final = os.environ.get("THOROUGH", "") not in ("", "0")
MIN_EXAMPLES: Final = 20

Number = TypeVar("Number", int, float)


def often(each_commit: Number, thorough: Number) -> Number:
    """Return how often something is repeated now, or with which pause."""
    return thorough if IS_THOROUGH else each_commit


def examples(thorough: int) -> int:
    """Return how many examples of Hypothesis are tried now: a third of those of a thorough run, and 20 at least."""
    return often(max(min(MIN_EXAMPLES, thorough), thorough // 3), thorough)
