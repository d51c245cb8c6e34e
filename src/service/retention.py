"""Delete stored results that are older than the operator keeps them."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from src.domain.errors import ServiceError
from src.domain.intervals import DAY_MS
from src.ports import Clock, ResultStore

_PAUSE_S: Final = 3600.0

logger = logging.getLogger(__name__)


class Retention:
    """Deletes results older than `keep_days`, at the start and every hour; never any if it is 0."""

    def __init__(self, store: ResultStore, clock: Clock, *, keep_days: int, pause_s: float = _PAUSE_S) -> None:
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
                logger.warning("old results not deleted: error=%s", error.message)
            else:
                if deleted:
                    logger.info("old results deleted: count=%d keep_days=%d", deleted, self._keep_days)
            await asyncio.sleep(self._pause_s)
