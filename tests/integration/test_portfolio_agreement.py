"""Compare portfolios with vectorbt's shared cash, where it can express them: long, at the close or the open."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.order_rules import Sizing
from src.domain.portfolio import PortfolioSimulation
from src.domain.simulation import Side
from src.domain.trading import FillTiming, TradingRules
from src.engines.portfolio import run_portfolio
from src.metrics.portfolio import build_index, merge_runs
from src.metrics.summary import measure
from tests.market import random_bars
from tests.simulations import random_signals

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import vectorbt as vbt

SYMBOLS, BARS = 6, 700

SIZES: dict[str, tuple[Sizing, dict[str, Any]]] = {
    "all cash": (Sizing(equity_fraction=1.0), {"size": math.inf}),
    "units, cash for all": (Sizing(fixed_units=3.0), {"size": 3.0, "size_type": "amount"}),
    "units, cash for some": (Sizing(fixed_units=40.0), {"size": 40.0, "size_type": "amount"}),
}


def portfolio_of_vectorbt(
    bars: Sequence[Bars], action: NDArray[np.int8], rules: TradingRules, size: dict[str, Any]
) -> Any:
    """Simulate with shared cash: at each time sales first, then purchases in the order of the columns."""
    index = pd.to_datetime(bars[0].open_time_ms, unit="ms", utc=True)
    close = pd.DataFrame({own.symbol: own.close for own in bars}, index=index)
    price = close
    if rules.fill is FillTiming.NEXT_OPEN:
        action = np.concatenate((np.zeros((1, len(bars)), np.int8), action[:-1]))
        price = pd.DataFrame({own.symbol: own.open for own in bars}, index=index)
    sales_first = np.argsort(action >= 0, axis=1, kind="stable")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vbt.Portfolio.from_signals(
            close,
            pd.DataFrame(action == 1, index=index, columns=close.columns),
            pd.DataFrame(action == -1, index=index, columns=close.columns),
            price=price,
            init_cash=rules.initial_cash,
            fees=rules.fee_rate,
            slippage=rules.slippage_rate,
            cash_sharing=True,
            group_by=True,
            call_seq=sales_first,
            freq="1D",
            **size,
        )


def draw(share: float) -> tuple[list[Bars], list[Any], NDArray[np.int8]]:
    bars = [replace(random_bars(BARS, seed=seed, volatility=0.03), symbol=f"S{seed}") for seed in range(SYMBOLS)]
    signals = [random_signals(BARS, 100 + seed, share) for seed in range(SYMBOLS)]
    return bars, signals, np.column_stack([own.action for own in signals])


@pytest.mark.parametrize("fill", FillTiming)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("costs", [(0.0, 0.0), (0.001, 0.002)])
def test_portfolio_equals_shared_cash_of_vectorbt(size: str, costs: tuple[float, float], fill: FillTiming) -> None:
    sizing, theirs = SIZES[size]
    rules = TradingRules(fill=fill, fee_rate=costs[0], slippage_rate=costs[1], sizing=sizing)
    bars, signals, action = draw(0.08)
    found = run_portfolio(bars, signals, [rules] * SYMBOLS, most_open=SYMBOLS)
    expected = portfolio_of_vectorbt(bars, action, rules, theirs)
    assert_same_orders(found, expected)
    np.testing.assert_allclose(found.equity, expected.value().to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.cash, expected.cash().to_numpy(), rtol=1e-9, atol=1e-6)


def assert_same_orders(found: PortfolioSimulation, expected: Any) -> None:
    records = expected.orders.values
    assert sum(len(own.fills) for own in found.runs) == len(records) >= 50
    for column, own in enumerate(found.runs):
        theirs = records[records["col"] == column]
        assert len(own.fills) == len(theirs)
        np.testing.assert_array_equal(own.fills["bar"], theirs["idx"])
        np.testing.assert_array_equal(own.fills["side"], np.where(theirs["side"] == 0, Side.BUY, Side.SELL))
        for ours, name in (("quantity", "size"), ("price", "price"), ("fee", "fees")):
            np.testing.assert_allclose(own.fills[ours], theirs[name], rtol=1e-9)


def test_metrics_of_portfolio_equal_those_of_vectorbt() -> None:
    sizing, theirs = SIZES["units, cash for some"]
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, sizing=sizing)
    bars, signals, action = draw(0.08)
    found = run_portfolio(bars, signals, [rules] * SYMBOLS, most_open=SYMBOLS)
    index = build_index(bars, found.time_ms)
    metrics = measure(merge_runs(found, bars, index), index, initial_cash=rules.initial_cash, strategy_name="drawn")
    expected = portfolio_of_vectorbt(bars, action, rules, theirs)
    closed, market = expected.trades.closed, sum(own.close / own.close[0] for own in bars) / SYMBOLS
    assert metrics.total_return == pytest.approx(expected.total_return() * 100)
    assert metrics.sharpe_ratio == pytest.approx(expected.sharpe_ratio())
    assert metrics.max_drawdown == pytest.approx(-expected.max_drawdown() * 100)
    assert metrics.total_fees == pytest.approx(expected.orders.fees.sum())
    assert metrics.total_trades == closed.count()
    assert metrics.win_rate == pytest.approx(closed.win_rate() * 100)
    assert metrics.average_trade_duration == pytest.approx(closed.duration.mean())
    assert metrics.buy_and_hold_return == pytest.approx((market[-1] / market[0] - 1) * 100)
