"""A portfolio against the single run of each symbol, its own first bars, and the sums that cash must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.bars import Bars
from src.domain.order_rules import Sizing
from src.domain.portfolio import PortfolioSimulation, Rank
from src.domain.simulation import FillReason
from src.domain.trading import Direction, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.portfolio import join_times, measure_rank, run_portfolio
from tests.market import random_bars
from tests.simulations import FUNDED, LEVERAGED, RULES, Market, markets, random_market, random_signals
from tests.thoroughness import examples

ANY_RULES = st.one_of(RULES, LEVERAGED, FUNDED)


@st.composite
def symbols(draw: st.DrawFn) -> list[Market]:
    """One to five symbols whose bars begin and end at other times, with gaps."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        bars, signals = draw(markets())
        kept = np.array(draw(st.lists(st.sampled_from([True, True, True, False]), min_size=len(bars),
                                      max_size=len(bars))))  # fmt: skip
        kept[draw(st.integers(0, len(bars) - 1))] = True
        shift = draw(st.integers(0, 20)) * bars.interval.milliseconds
        found.append((_take(bars, kept, shift, f"S{number}"), replace(signals, action=signals.action[kept])))
    return found


def _take(bars: Bars, kept: np.ndarray, shift_ms: int, symbol: str) -> Bars:
    columns = {name: getattr(bars, name)[kept] for name in ("open", "high", "low", "close", "volume")}
    return replace(bars, symbol=symbol, open_time_ms=bars.open_time_ms[kept] + shift_ms, **columns)


def run(markets_: Sequence[Market], rules: TradingRules, most_open: int, rank: Rank = Rank.LISTED,
        rank_bars: int = 3) -> PortfolioSimulation:  # fmt: skip
    bars, signals = [bars for bars, _ in markets_], [signals for _, signals in markets_]
    return run_portfolio(bars, signals, [rules] * len(bars), most_open=most_open, rank=rank, rank_bars=rank_bars)


@given(market=markets(), rules=st.one_of(RULES.filter(lambda rules: rules.direction is Direction.LONG), LEVERAGED))
def test_portfolio_of_one_symbol_equals_its_run(market: Market, rules: TradingRules) -> None:
    bars, signals = market
    alone = EventDrivenEngine().run(bars, signals, rules)
    found = run([market], rules, 1)
    [own] = found.runs
    assert np.array_equal(own.fills, alone.fills)
    assert np.array_equal(own.trades, alone.trades)
    assert np.array_equal(own.position, alone.position)
    np.testing.assert_allclose(found.equity, alone.equity, rtol=1e-12, atol=1e-9)
    assert (own.reduced_entries, own.dropped_entries, own.ambiguous_bars, own.liquidations) == (
        alone.reduced_entries, alone.dropped_entries, alone.ambiguous_bars, alone.liquidations
    )  # fmt: skip


@given(markets_=symbols(), rules=ANY_RULES, most_open=st.integers(1, 5), rank=st.sampled_from(Rank))
def test_cash_and_positions_add_up(markets_: list[Market], rules: TradingRules, most_open: int, rank: Rank) -> None:
    found = run(markets_, rules, most_open, rank)
    scale = rules.initial_cash + float(found.equity.max())
    gained = sum(_carried(own.profit, own.open_time_ms, found.time_ms) for own in found.runs)
    np.testing.assert_allclose(found.equity, rules.initial_cash + gained, rtol=1e-9, atol=1e-9 * scale)
    held = sum(_carried((own.position != 0).astype(float), own.open_time_ms, found.time_ms) for own in found.runs)
    assert np.array_equal(found.open_positions, held)
    assert found.open_positions.max() <= most_open
    assert found.equity.min() >= -1e-9 * scale
    assert found.cash.min() >= -1e-9 * scale
    for own in found.runs:
        assert float(own.trades["profit"].sum()) == pytest.approx(float(own.profit[-1]), rel=1e-9, abs=1e-9 * scale)


def _carried(values: np.ndarray, own_ms: np.ndarray, times_ms: np.ndarray) -> np.ndarray:
    """Return the last value at each time by a plain loop over them."""
    known, found = dict(zip(own_ms.tolist(), values.tolist(), strict=True)), []
    last = 0.0
    for time in times_ms.tolist():
        last = known.get(time, last)
        found.append(last)
    return np.array(found)


@given(markets_=symbols(), rules=ANY_RULES, most_open=st.integers(1, 5), rank=st.sampled_from(Rank),
       share=st.floats(0, 1))  # fmt: skip
def test_first_times_do_not_depend_on_later_ones(
    markets_: list[Market], rules: TradingRules, most_open: int, rank: Rank, share: float
) -> None:
    whole = run(markets_, rules, most_open, rank)
    end = int(whole.time_ms[int(share * (len(whole.time_ms) - 1))])
    cut = []
    for bars, signals in markets_:
        count = int(np.searchsorted(bars.open_time_ms, end, side="right"))
        if count:
            cut.append((bars.slice(0, count), replace(signals, action=signals.action[:count])))
        else:  # a symbol that begins later is there, and has no bar yet: one far ahead stands for it
            first = bars.slice(0, 1)
            cut.append(
                (replace(first, open_time_ms=first.open_time_ms + 10**12), replace(signals, action=signals.action[:1]))
            )
    part = run(cut, rules, most_open, rank)
    count = int(np.searchsorted(whole.time_ms, end, side="right"))
    assert np.array_equal(part.equity[:count], whole.equity[:count])
    assert np.array_equal(part.cash[:count], whole.cash[:count])
    for own, all_of_it in zip(part.runs, whole.runs, strict=True):
        known = all_of_it.fills[all_of_it.fills["time_ms"] <= end]
        assert np.array_equal(own.fills[own.fills["time_ms"] <= end], known)


@given(markets_=symbols(), rules=ANY_RULES, rank=st.sampled_from(Rank))
def test_places_inside_a_bar_are_used_once(markets_: list[Market], rules: TradingRules, rank: Rank) -> None:
    """With one place, two symbols never enter inside one bar, and none enters inside a bar in which another closes."""
    found = run(markets_, rules, 1, rank)
    inside = {int(FillReason.LIMIT), int(FillReason.STOP)}
    entered: dict[int, set[str]] = {}
    for own in found.runs:
        for fill in own.fills[np.isin(own.fills["reason"], list(inside))]:
            entered.setdefault(int(fill["time_ms"]), set()).add(own.symbol)
    assert all(len(names) == 1 for names in entered.values())


@settings(max_examples=examples(30))
@given(seed=st.integers(0, 10_000), rules=RULES)
def test_symbols_with_enough_cash_trade_as_if_alone(seed: int, rules: TradingRules) -> None:
    rules = replace(rules, initial_cash=1e9, sizing=Sizing(fixed_units=0.5), direction=Direction.LONG)
    markets_ = [random_market(60, seed + number) for number in range(4)]
    found = run(markets_, rules, 4)
    for own, (bars, signals) in zip(found.runs, markets_, strict=True):
        alone = EventDrivenEngine().run(bars, signals, rules)
        assert np.array_equal(own.fills, alone.fills)
        assert not own.refused_entries


def test_momentum_is_the_return_of_the_last_bars() -> None:
    bars = random_bars(40, seed=3)
    found = measure_rank(bars, Rank.MOMENTUM, 7)
    assert np.isnan(found[:7]).all()
    assert found[7:] == pytest.approx(bars.close[7:] / bars.close[:-7] - 1)


def test_volume_is_the_traded_value_of_bars() -> None:
    bars = random_bars(40, seed=3)
    found = measure_rank(bars, Rank.VOLUME, 7)
    assert np.isnan(found[:6]).all()
    expected = [float((bars.close * bars.volume)[bar - 6 : bar + 1].sum()) for bar in range(6, 40)]
    assert found[6:] == pytest.approx(expected)


@pytest.mark.parametrize("rank", [Rank.MOMENTUM, Rank.VOLUME])
def test_rank_of_fewer_bars_than_asked_is_unknown(rank: Rank) -> None:
    assert np.isnan(measure_rank(random_bars(5), rank, 9)).all()


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, unique=True).map(sorted), min_size=1, max_size=4))
def test_joined_times_are_all_times_once(times: list[list[int]]) -> None:
    found = join_times([np.array(own, dtype=np.int64) for own in times])
    assert found.tolist() == sorted(set().union(*times))


def test_signals_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="4 signals for 5 bars"):
        run([(random_bars(5), random_signals(4, 1))], TradingRules(fill="NEXT_OPEN"), 1)  # type: ignore[arg-type]
