"""The market, the symbols' shares and the correlations of a portfolio, by hand and by NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.exchange_rules import ExchangeRules
from src.domain.funding import Funding, FundingKind
from src.domain.funding_rates import build_rates
from src.domain.order_rules import Sizing
from src.domain.portfolio import PortfolioSimulation
from src.domain.trading import FillTiming, TradingRules
from src.engines.portfolio import run_portfolio
from src.metrics.portfolio import build_index, carry, correlate, merge_runs, summarize_symbol
from tests.market import bars_at, random_bars
from tests.simulations import random_signals

DAY = 86_400_000
RULES = TradingRules(fill=FillTiming.NEXT_OPEN, fee_rate=0.0, slippage_rate=0.0, sizing=Sizing(fixed_units=2.0))


def trade(bars: list[Bars], *, share: float = 0.2) -> PortfolioSimulation:
    signals = [random_signals(len(own), seed, share) for seed, own in enumerate(bars)]
    return run_portfolio(bars, signals, [RULES] * len(bars), most_open=len(bars))


def named(bars: Bars, symbol: str) -> Bars:
    return replace(bars, symbol=symbol)


def test_index_holds_equal_parts_from_first_closes() -> None:
    early, late = bars_at([0, DAY, 3 * DAY], [100, 110, 90]), bars_at([2 * DAY, 3 * DAY, 4 * DAY], [10, 20, 5])
    index = build_index([early, late], np.arange(5) * DAY)
    # Until its first bar a part is cash; without a bar it is what it was.
    assert index.close.tolist() == pytest.approx(
        [(1 + 1) / 2, (1.1 + 1) / 2, (1.1 + 1) / 2, (0.9 + 2) / 2, (0.9 + 0.5) / 2]
    )


def test_carried_value_is_last_one_known() -> None:
    own, times = np.array([2, 5, 6]), np.array([0, 2, 3, 6, 9])
    assert carry(np.array([1.0, 2.0, 3.0]), own, times, start=-1.0).tolist() == [-1.0, 1.0, 1.0, 3.0, 3.0]


def test_merged_run_keeps_fills_and_trades_of_all_symbols() -> None:
    bars = [named(random_bars(200, seed=seed), f"S{seed}") for seed in range(3)]
    bars[2] = named(bars[2].slice(50, 200), "S2")
    found = trade(bars)
    index = build_index(bars, found.time_ms)
    merged = merge_runs(found, bars, index)
    assert len(merged.fills) == sum(len(run.fills) for run in found.runs)
    assert (np.diff(merged.fills["time_ms"]) >= 0).all()
    assert (found.time_ms[merged.fills["bar"]] == merged.fills["time_ms"]).all()
    assert (found.time_ms[merged.trades["exit_bar"]] == merged.trades["exit_time_ms"]).all()
    assert (np.diff(merged.trades["exit_time_ms"]) >= 0).all()
    worth = found.equity - found.cash  # without borrowing, all but the cash is positions
    np.testing.assert_allclose(merged.position * index.close, worth, rtol=1e-9, atol=1e-6)


def test_symbols_share_is_its_trades() -> None:
    bars = [named(random_bars(200, seed=seed), f"S{seed}") for seed in range(2)]
    found = trade(bars)
    for run, own in zip(found.runs, bars, strict=True):
        share = summarize_symbol(run, own, RULES, fingerprint="f")
        closed = run.trades[~run.trades["is_open"]]
        assert share.profit == pytest.approx(run.trades["profit"].sum())
        assert share.contribution == pytest.approx(share.profit / RULES.initial_cash * 100)
        assert share.total_trades == len(closed)
        assert share.win_rate == pytest.approx((closed["profit"] > 0).mean() * 100)
        assert share.exposure == pytest.approx((run.position != 0).mean() * 100)
        assert share.buy_and_hold_return == pytest.approx((own.close[-1] / own.close[0] - 1) * 100)


def test_share_of_a_symbol_has_its_counts_and_steps() -> None:
    bars = [named(random_bars(200, seed=1), "S1")]
    [run] = trade(bars).runs
    run = replace(run, reduced_entries=1, dropped_entries=2, ambiguous_bars=3, liquidations=4)
    rates = build_rates(np.array([0]), np.array([0.0001]))
    rules = replace(
        RULES,
        exchange=ExchangeRules(tick_size=0.5, step_size=0.25, min_notional=5.0),
        funding=Funding(kind=FundingKind.HISTORY).with_rates(rates),
    )
    share = summarize_symbol(run, bars[0], rules, fingerprint="f")
    counts = (share.reduced_entries, share.dropped_entries, share.ambiguous_bars, share.liquidations)
    assert counts == (1, 2, 3, 4)
    assert (share.tick_size, share.step_size, share.min_notional) == (0.5, 0.25, 5.0)
    assert share.funding_fingerprint == rates.fingerprint


def test_correlations_equal_those_of_numpy_where_both_were_held() -> None:
    bars = [named(random_bars(300, seed=seed), f"S{seed}") for seed in range(3)]
    found = trade(bars, share=0.1)
    before = np.concatenate(([RULES.initial_cash], found.equity[:-1]))
    returns = [np.diff(run.profit, prepend=0.0) / before for run in found.runs]
    held = [(run.position != 0) | np.concatenate(([False], run.position[:-1] != 0)) for run in found.runs]
    moved = [own | (gain != 0) for own, gain in zip(held, returns, strict=True)]
    matrix = np.array(correlate(found, initial_cash=RULES.initial_cash).values).reshape(3, 3)
    for row in range(3):
        for column in range(3):
            both = moved[row] & moved[column]
            assert both.sum() >= 30
            assert matrix[row, column] == pytest.approx(np.corrcoef(returns[row][both], returns[column][both])[0, 1])


def test_symbol_twice_has_correlation_one_and_never_traded_symbol_none() -> None:
    twin, idle = random_bars(200, seed=1), random_bars(200, seed=2)
    bars = [named(twin, "A"), named(twin, "B"), named(idle, "IDLE")]
    signals = [random_signals(200, 5, 0.2), random_signals(200, 5, 0.2), random_signals(200, 6, 0.0)]
    found = run_portfolio(bars, signals, [RULES] * 3, most_open=3)
    correlations = correlate(found, initial_cash=RULES.initial_cash)
    assert correlations.symbols == ("A", "B")
    assert correlations.values == pytest.approx((1.0, 1.0, 1.0, 1.0))
    assert correlations.mean == pytest.approx(1.0)


def test_few_common_times_give_no_correlation() -> None:
    bars = [named(random_bars(20, seed=seed), f"S{seed}") for seed in range(2)]
    correlations = correlate(trade(bars, share=0.6), initial_cash=RULES.initial_cash)
    assert set(correlations.values) == {None}
    assert correlations.mean is None
