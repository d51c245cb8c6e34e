"""Check one result against its user's quota, for every store."""

from __future__ import annotations

from typing import Final

from src.domain.errors import TooLarge
from src.domain.runs import ResultQuota

_MEBIBYTE: Final = 1024 * 1024


def check_result_size(size_bytes: int, quota: ResultQuota | None) -> None:
    """Raise TooLarge if a result alone takes more than all results of a user may."""
    if quota is not None and size_bytes > quota.max_bytes:
        raise TooLarge(
            "The result takes {size:.1f} MiB. Maximum for all results of a user: {most:g} MiB "
            "(MAX_RESULT_MB_PER_USER). Ask for fewer bars ({@limit}).",
            size=size_bytes / _MEBIBYTE,
            most=quota.max_bytes / _MEBIBYTE,
        )
