"""Count work instead of timing it: the same on every machine, however busy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CallCount:
    """The Python functions called so far."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.calls += event == "call"


@contextmanager
def counted_calls() -> Iterator[CallCount]:
    """Count the Python functions that this thread calls, and each step of a coroutine or generator as one."""
    count, previous = CallCount(), sys.getprofile()
    sys.setprofile(count)
    try:
        yield count
    finally:
        sys.setprofile(previous)
