"""Look at the outcomes of work that several callers share."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

logger = logging.getLogger(__name__)


def mark_as_seen(outcome: asyncio.Future[Any]) -> None:
    """Read the exception, so that asyncio does not report it if every caller was cancelled."""
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        logger.debug("shared work failed: error=%s", error)
