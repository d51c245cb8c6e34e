"""Do a store's blocking work on the disk in threads."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from src.domain.errors import StoreUnavailable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class DiskWork:
    """The work of one store on the disk.

    Parameters
    ----------
    contents
        What the store holds, for messages.
    raised
        OSErrors that `run` raises as they are.
    """

    def __init__(self, contents: str, *, raised: tuple[type[OSError], ...] = ()) -> None:
        self._contents = contents
        self._raised = raised

    async def run(self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Run `work` on a worker thread; raises StoreUnavailable for an OSError."""
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except self._raised:
            raise
        except OSError as error:
            raise self.translate(error) from error

    def translate(self, error: OSError) -> StoreUnavailable:
        """Return what to raise for an error of the disk."""
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "the disk is full" if is_full else "its folder cannot be read or written"
        return StoreUnavailable(
            "The store of {contents} cannot be used: {reason}.", contents=self._contents, reason=reason
        )
