"""Present what a user has used of the limits, for both APIs."""

from __future__ import annotations

import math
from typing import Any, Final

from src.domain.user_usage import Usage

_MIB: Final = 1024 * 1024


def present_rates(usage: Usage) -> list[dict[str, Any]]:
    """Return the limits per time by field; `free_after_s` is rounded up."""
    return [
        {
            "name": use.limit.rate.value,
            "used": round(use.used, 3),
            "allowed": use.limit.allowed,
            "window_s": use.limit.window_s,
            "free_after_s": math.ceil(use.free_after_s),
            "setting": use.limit.setting,
        }
        for use in usage.rates
    ]


def present_stored(usage: Usage) -> list[dict[str, Any]]:
    """Return what is stored by field; sizes in MiB."""
    return [
        {
            "name": stored.kind,
            "count": stored.count,
            "size_mb": round(stored.size_bytes / _MIB, 3),
            "max_count": stored.quota.max_count,
            "max_mb": None if stored.quota.max_bytes is None else stored.quota.max_bytes / _MIB,
        }
        for stored in usage.stored
    ]
