"""Parse the dates and instants that clients send, and format milliseconds since the epoch (UTC) for them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from src.domain.error_text import quote
from src.domain.errors import InvalidInput, bad_value

_DAY_MS: Final = 86_400_000
_BARE_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Python parses more of ISO 8601 (20240110, 2024-W02-3), but does not distinguish a day from its first instant.
_INSTANT: Final = re.compile(
    rf"{_BARE_DATE.pattern}[T ]\d{{2}}:\d{{2}}(:\d{{2}}([.,]\d+)?)?(Z|[+-]\d{{2}}(:?\d{{2}})?)?", re.ASCII
)
MIN_YEAR, MAX_YEAR = 1970, 2200
_ALLOWED: Final = (
    "YYYY-MM-DD, or an instant YYYY-MM-DDTHH:MM[:SS[.fff]] with Z or +HH:MM (UTC if no zone is given), "
    f"{MIN_YEAR} to {MAX_YEAR}"
)
_YEAR: Final = r"(19[7-9]\d|2[01]\d\d|2200)"
_LEAP_YEAR: Final = r"(19(7[26]|8[048]|9[26])|2[01](0[48]|[2468][048]|[13579][26])|2000)"
_DAY: Final = r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
_HOUR_AND_MINUTE: Final = r"([01]\d|2[0-3]):[0-5]\d"
MIN_TIME_MS: Final = int(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 1000
MAX_TIME_MS: Final = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * 1000 + 999
"""The times that `format_instant` can write: years of four digits."""

INSTANT_PATTERN: Final = (
    rf"^({_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"
    rf"([T ]{_HOUR_AND_MINUTE}(:[0-5]\d([.,]\d+)?)?(Z|[+-]([01]\d|2[0-3])(:?\d{{2}})?)?)?$"
)
"""What `parse_instant` allows, as a regular expression of JSON Schema; blanks around it are allowed as well."""


def parse_instant(text: str, *, field: str, is_end: bool = False) -> int:
    """Parse a date or an ISO 8601 instant to milliseconds since the epoch (UTC); raises InvalidInput.

    A date without a time is its first millisecond, or with `is_end` its last. An instant without a zone is UTC.
    """
    written = text.strip()
    is_bare = _BARE_DATE.fullmatch(written) is not None
    if not is_bare and not _INSTANT.fullmatch(written):
        raise _not_an_instant(text, field)
    try:
        instant = datetime.fromisoformat(written)
    except ValueError as error:
        raise _not_an_instant(text, field) from error
    if not MIN_YEAR <= instant.year <= MAX_YEAR:
        raise _not_an_instant(text, field)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    first_ms = int(instant.timestamp() * 1000)
    return first_ms + _DAY_MS - 1 if is_end and is_bare else first_ms


def check_times(**times_ms: int | None) -> None:
    """Raise ValueError, which names the time, if one of these is outside the years 1 to 9999; None is skipped."""
    for name, time_ms in times_ms.items():
        if time_ms is not None and not MIN_TIME_MS <= time_ms <= MAX_TIME_MS:
            raise ValueError(f"{name} is {quote(time_ms)}, which is not a time in the years 1 to 9999")


def format_instant(time_ms: int) -> str:
    """Format milliseconds since the epoch as an ISO 8601 instant in UTC: `2017-08-17T00:00:00Z` (see `check_times`)."""
    instant = datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)
    precision = "milliseconds" if time_ms % 1000 else "seconds"
    return instant.isoformat(timespec=precision).replace("+00:00", "Z")


def iso_time(time_ms: int) -> str:
    """Write a time for people, without zero seconds: `2018-02-08T00:28Z`, or only the date at midnight."""
    text = format_instant(time_ms)
    return text.removesuffix("T00:00:00Z") if time_ms % _DAY_MS == 0 else text.replace(":00Z", "Z")


def _not_an_instant(text: str, field: str) -> InvalidInput:
    return bad_value(field, got=text, allowed=_ALLOWED)
