"""Closed lists whose members requests may write in any case."""

from __future__ import annotations

from enum import StrEnum


class AnyCase(StrEnum):
    """An enum with values in upper case; `AnyCase("best")` is the member BEST."""

    @classmethod
    def _missing_(cls, value: object) -> AnyCase | None:
        return cls._value2member_map_.get(value.upper()) if isinstance(value, str) else None  # type: ignore[return-value]
