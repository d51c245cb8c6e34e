"""Read what a client declares about a file of bars, by either API."""

from __future__ import annotations

from src.domain.datasets import BarFileDeclaration, DateFormat, DecimalMark, TimeUnit
from src.domain.errors import missing
from src.domain.intervals import Interval
from src.domain.symbols import normalize_symbol


def build_declaration(
    *,
    symbol: str | None,
    interval: str | None,
    timezone: str | None,
    unit: str | None,
    date_format: str | None,
    decimal: str | None,
) -> BarFileDeclaration:
    """Check the declaration of a file; empty text counts as absent.

    Raises
    ------
    InvalidInput
        Naming the field, what was sent, and what is allowed.
    """
    if not symbol:
        raise missing("symbol")
    return BarFileDeclaration(
        symbol=normalize_symbol(symbol),
        interval=Interval.named(interval) if interval else None,
        timezone=timezone or None,
        unit=TimeUnit.named(unit) if unit else None,
        date_format=DateFormat.named(date_format) if date_format else None,
        decimal=DecimalMark.named(decimal) if decimal else None,
    )
