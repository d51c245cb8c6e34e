"""Name the costs that a run's settings leave out of its prices."""

from __future__ import annotations

from collections.abc import Iterator

from src.domain.trading import Direction, TradingRules


def find_unpriced_costs(rules: TradingRules) -> Iterator[tuple[str, str]]:
    """Yield the code of each cost that is not charged, and why it matters."""
    if not rules.funding.is_paid and (rules.direction is not Direction.LONG or rules.margin.leverage > 1):
        yield "FUNDING", "Funding, and interest on what shorts and leverage borrow, are not charged."
    if rules.volume.impact == 0:
        yield (
            "MARKET_IMPACT",
            "Orders are filled whatever their size: how much the market could take is not in the bars."
            if rules.volume.max_share is None
            else "Entries are cut to a share of the volume, but no order moves the price.",
        )
