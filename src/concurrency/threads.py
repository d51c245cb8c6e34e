"""Run work in threads, and wait for it even if the task is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import ParamSpec, TypeVar, TypeVarTuple, Unpack

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Positional = TypeVarTuple("Positional")


async def in_thread(
    work: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Run `work` in a thread and wait for it even if cancelled, because a held lock must outlast the work."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **options))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return running.result()


async def run_in_pool(
    pool: Executor, function: Callable[[Unpack[Positional]], Result], *arguments: *Positional
) -> Result:
    """Call a function in a pool's thread with the caller's context variables, as `asyncio.to_thread` does.

    A call that has not begun can be cancelled.
    """
    return await asyncio.get_running_loop().run_in_executor(pool, copy_context().run, function, *arguments)
