"""Measure the difference between this machine's clock and the exchange's, from the `Date` header of its pages."""

from __future__ import annotations

import logging
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

logger = logging.getLogger(__name__)

_DATE_STEP_MS: Final = 1000
"""`Date` is truncated to whole seconds."""
_MIN_WARNED_MS: Final = 5_000


class ClockSkew:
    """The difference between the clocks according to the latest page, because clocks drift and are adjusted.

    If our clock is ahead, a bar that is still forming would count as closed and be stored forever. So if ours is
    certainly ahead, the exchange's clock decides; if it is behind, ours does, which at worst fetches fewer bars.
    """

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._is_logged = False

    @property
    def ahead_ms(self) -> int:
        """Milliseconds that our clock is certainly ahead; negative if it is behind, 0 if the two may agree."""
        return self._ahead_ms

    def observe(self, date: str, *, sent_ms: int, received_ms: int) -> int:
        """Update the difference from the `Date` of a page; return the time that decides which of its bars are closed.

        Parameters
        ----------
        sent_ms, received_ms
            Our clock before the request and after the page.
        """
        date_ms = _milliseconds(date)
        if date_ms is None:
            return sent_ms
        if sent_ms >= date_ms + _DATE_STEP_MS:
            self._ahead_ms = sent_ms - date_ms
        else:
            self._ahead_ms = min(0, received_ms - date_ms)
        self._log()
        return min(sent_ms, date_ms) if self._ahead_ms > 0 else sent_ms

    def now_ms(self, our_ms: int) -> int:
        """Return the time of the exchange's clock, or an earlier one, when ours shows `our_ms`."""
        return our_ms - max(0, self._ahead_ms)

    def warnings(self) -> tuple[str, ...]:
        """Return a warning if the clocks differ by more than a few seconds."""
        seconds = f"{abs(self._ahead_ms) / 1000:,.0f} s"
        if self._ahead_ms >= _MIN_WARNED_MS:
            return (
                f"This machine's clock is {seconds} ahead of the exchange's; the exchange's decided which bars are "
                "closed. Set the machine's clock.",
            )
        if self._ahead_ms <= -_MIN_WARNED_MS:
            return (
                f"This machine's clock is {seconds} behind the exchange's, so the newest bars may be missing. Set "
                "the machine's clock.",
            )
        return ()

    def _log(self) -> None:
        is_large = abs(self._ahead_ms) >= _MIN_WARNED_MS
        if is_large and not self._is_logged:
            logger.warning("clock differs from the exchange's: ahead_ms=%d", self._ahead_ms)
        self._is_logged = is_large


def _milliseconds(date: str) -> int | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": UTC without a zone
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000
