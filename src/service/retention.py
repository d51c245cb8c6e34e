"""Delete stored results and jobs that are older than the operator wants to keep, and the leftovers of dead hosts."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from src.domain.errors import ServiceError
from src.domain.intervals import DAY_MS
from src.ports.clock import Clock

_PAUSE_S: Final = 3600.0

logger = logging.getLogger(__name__)


class AgingStore(Protocol):
    """A ResultStore or a JobStore."""

    async def delete_older(self, before_ms: int, /) -> int:
        """Delete what is older than a time; return how many."""
        ...


class Retention:
    """Deletes what is older than `keep_days`, at the start and every hour; deletes nothing if it is 0.

    `kept` names in the log what the store holds.
    """

    def __init__(
        self, store: AgingStore, clock: Clock, *, keep_days: int, kept: str = "results", pause_s: float = _PAUSE_S
    ) -> None:
        self._kept = kept
        self._store = store
        self._clock = clock
        self._keep_days = keep_days
        self._pause_s = pause_s

    async def run(self) -> None:
        """Run until cancelled; a store that cannot be used is tried again after the pause."""
        while self._keep_days:
            try:
                deleted = await self._store.delete_older(self._clock.now_ms() - self._keep_days * DAY_MS)
            except ServiceError as error:
                logger.warning("old %s not deleted: error=%s", self._kept, error.message)
            else:
                if deleted:
                    logger.info("old %s deleted: count=%d keep_days=%d", self._kept, deleted, self._keep_days)
            await asyncio.sleep(self._pause_s)


class CleanableStore(Protocol):
    """Object storage that several hosts share."""

    async def clean(self) -> None:
        """Remove the leftovers of hosts that died during an upload."""
        ...


class Cleaning:
    """Cleans object storage at the start and every hour."""

    def __init__(self, store: CleanableStore, *, pause_s: float = _PAUSE_S) -> None:
        self._store = store
        self._pause_s = pause_s

    async def run(self) -> None:
        """Run until cancelled; a store that cannot be used is tried again after the pause."""
        while True:
            try:
                await self._store.clean()
            except ServiceError as error:
                logger.warning("object store not cleaned: error=%s", error.message)
            await asyncio.sleep(self._pause_s)
