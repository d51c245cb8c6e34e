"""Remember which user pays for the work of a task, and measure the processor time of functions in threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar, TypeVarTuple, Unpack

Outcome = TypeVar("Outcome")
Arguments = TypeVarTuple("Arguments")

_PAYER: Final[ContextVar[str | None]] = ContextVar("payer", default=None)


@contextmanager
def paid_by(user_id: str) -> Iterator[None]:
    """Let a user pay for what this task does in the block, and what it starts there."""
    before = _PAYER.get()
    _PAYER.set(user_id)
    try:
        yield
    finally:
        # Not reset by its token: a generator may be closed in another context than it began in.
        _PAYER.set(before)


def payer() -> str | None:
    """Return the user who pays for what this task does; None outside of `paid_by`."""
    return _PAYER.get()


def charging(
    function: Callable[[Unpack[Arguments]], Outcome], charge: Callable[[str, float], None]
) -> Callable[[Unpack[Arguments]], Outcome]:
    """Return a function for a thread that charges the payer of this task for the thread's processor time.

    Threads that the function starts itself are not measured.
    """
    user_id = _PAYER.get()
    if user_id is None:
        return function

    def run(*arguments: *Arguments) -> Outcome:
        started_s = time.thread_time()
        try:
            return function(*arguments)
        finally:
            charge(user_id, time.thread_time() - started_s)

    return run
