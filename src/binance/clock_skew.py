"""How far this machine's clock is from the exchange's, by the `Date` of the exchange's answers."""

from __future__ import annotations

import logging
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

logger = logging.getLogger(__name__)

_DATE_STEP_MS: Final = 1000
"""`Date` is cut to whole seconds."""
_WORTH_SAYING_MS: Final = 5_000


class ClockSkew:
    """What the answers so far tell of the difference; the last one counts, as clocks are set and drift.

    A clock that is ahead would take a candle for closed that is still forming, and keep it for ever. So where ours is
    certainly ahead, the exchange's decides; where it is behind, our own does, which at worst asks for less.
    """

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._is_said = False

    @property
    def ahead_ms(self) -> int:
        """Return how far our clock is certainly ahead; below 0 where it is behind, 0 where the two may agree."""
        return self._ahead_ms

    def observe(self, date: str, *, asked_ms: int, answered_ms: int) -> int:
        """Take in the `Date` of an answer, and return the time by which to tell which of its candles are closed.

        Parameters
        ----------
        asked_ms, answered_ms
            Our clock before the question and after the answer.
        """
        date_ms = _milliseconds(date)
        if date_ms is None:
            return asked_ms
        if asked_ms >= date_ms + _DATE_STEP_MS:
            self._ahead_ms = asked_ms - date_ms
        else:
            self._ahead_ms = min(0, answered_ms - date_ms)
        self._log()
        return min(asked_ms, date_ms) if self._ahead_ms > 0 else asked_ms

    def now_ms(self, our_ms: int) -> int:
        """Return what the exchange's clock shows when ours shows `our_ms`, or an earlier time."""
        return our_ms - max(0, self._ahead_ms)

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence where the clocks differ by more than a few seconds."""
        seconds = f"{abs(self._ahead_ms) / 1000:,.0f} s"
        if self._ahead_ms >= _WORTH_SAYING_MS:
            return (
                f"This machine's clock is {seconds} ahead of the exchange's; the exchange's decided which candles are "
                "closed. Set the machine's clock.",
            )
        if self._ahead_ms <= -_WORTH_SAYING_MS:
            return (
                f"This machine's clock is {seconds} behind the exchange's, so the newest candles may be missing. Set "
                "the machine's clock.",
            )
        return ()

    def _log(self) -> None:
        sentences = self.warnings()
        if sentences and not self._is_said:
            logger.warning("%s", sentences[0])
        self._is_said = bool(sentences)


def _milliseconds(date: str) -> int | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": a time in UTC whose zone is not told
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000
