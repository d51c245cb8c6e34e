"""The costs that a run's settings leave out of its prices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.funding import Funding, FundingKind
from src.domain.order_rules import Margin
from src.domain.trading import Direction, FillTiming, TradingRules
from src.domain.volume_rules import VolumeRules
from src.judgement.unpriced import find_unpriced_costs

LONG = TradingRules(fill=FillTiming.NEXT_OPEN)
SHORT = replace(LONG, direction=Direction.SHORT)
BOTH = replace(LONG, direction=Direction.BOTH)
LEVERAGED = replace(LONG, margin=Margin(leverage=1.5, maintenance_rate=0.01))
PAID = Funding(kind=FundingKind.CONSTANT, rate=0.0001)


def codes(rules: TradingRules) -> list[str]:
    return [code for code, _ in find_unpriced_costs(rules)]


@pytest.mark.parametrize("rules", [SHORT, BOTH, LEVERAGED])
def test_borrowing_is_free_without_funding(rules: TradingRules) -> None:
    assert codes(rules) == ["FUNDING", "MARKET_IMPACT"]
    assert codes(replace(rules, funding=PAID)) == ["MARKET_IMPACT"]


def test_long_runs_of_own_cash_borrow_nothing() -> None:
    assert codes(LONG) == ["MARKET_IMPACT"]


def test_impact_is_priced_with_an_impact() -> None:
    assert codes(replace(LONG, volume=VolumeRules(impact=0.1))) == []


def test_cut_entries_still_move_no_price() -> None:
    cut = dict(find_unpriced_costs(replace(LONG, volume=VolumeRules(max_share=0.1))))
    whole = dict(find_unpriced_costs(LONG))
    assert cut["MARKET_IMPACT"].startswith("Entries are cut to a share of the volume")
    assert whole["MARKET_IMPACT"].startswith("Orders are filled whatever their size")
