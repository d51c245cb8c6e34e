"""Rows of stored results: their own bars again, ranges, points, and what happens if the bars are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.annualization import DEFAULT_ANNUALIZATION, annualize
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.errors import (
    Busy,
    Conflict,
    ExchangeUnavailable,
    InvalidInput,
    SourceNotFound,
    TimedOut,
)
from src.domain.market import MarketRequest, MarketSeries
from src.domain.runs import BacktestResult, Fingerprints
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.tearsheet import SERIES_COLUMNS, SeriesRequest, TradeOrder
from src.domain.trading import EngineName
from src.engines.registry import ENGINES
from src.judgement.benchmarks import hold_market
from src.service.computing import ComputeQueue
from src.service.sources import SourceCatalog
from src.service.tearsheets import TearSheets, fills_between, order_trades
from tests.factories import make_request, make_result
from tests.market import random_bars

BARS = random_bars(300, seed=9)


def make_stored(bars: Bars = BARS, **changes: Any) -> BacktestResult:
    """Return a stored result of a run on these bars."""
    request = make_request()
    action = np.zeros(len(bars), np.int8)
    action[[10, 200]] = Action.BUY, Action.SELL
    signals = Signals(action=action, strategy=StrategyDescription(name="by hand"))
    given: dict[str, Any] = {
        "request": request,
        "time_ms": bars.open_time_ms,
        "close": bars.close,
        "signals": signals,
        "simulation": ENGINES[request.engine].run(bars, signals, request.rules),
        "quality": DataQuality(expected_bars=len(bars), present_bars=len(bars)),
        "fingerprints": Fingerprints(bars=bars.fingerprint(), model=None, versions={}),
    }
    return make_result(**(given | changes))


class OneSource:
    """A source of bars made beforehand, or of an error; it counts how often it is asked."""

    def __init__(self, bars: Bars = BARS, error: Exception | None = None) -> None:
        self.bars = bars
        self.error = error
        self.asked: list[MarketRequest] = []

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        self.asked.append(market)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        assert market.start_ms is not None and market.end_ms is not None
        start, stop = np.searchsorted(self.bars.open_time_ms, [market.start_ms, market.end_ms + 1])
        bars = self.bars.slice(int(start), int(stop))
        quality = DataQuality(expected_bars=len(bars), present_bars=len(bars))
        return MarketSeries(bars=bars, quality=quality, origin="made by hand")


def make_sheets(sources: Mapping[str, Any] | None = None, *, timeout_s: float = 30.0) -> TearSheets:
    return TearSheets(
        sources=SourceCatalog(sources={"binance": OneSource()} if sources is None else sources),
        engines=ENGINES,
        computing=ComputeQueue(threads=1, max_waiting=8),
        timeout_s=timeout_s,
    )


def asked(*columns: str, **changes: Any) -> SeriesRequest:
    return SeriesRequest(**({"columns": columns or None, "max_rows": 1000} | changes))


async def test_all_columns_are_those_of_run_and_its_bars() -> None:
    result = make_stored()
    found = await make_sheets().series(result, asked())
    assert tuple(found.columns) == tuple(SERIES_COLUMNS)
    assert (found.total, found.length, found.bars_per_point, found.warnings) == (300, 300, 1, ())
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(found.columns[name], getattr(BARS, name)), name  # type: ignore[arg-type]
    for name in ("equity", "cash", "position"):
        assert np.array_equal(found.columns[name], getattr(result.simulation, name)), name  # type: ignore[arg-type]
    assert np.array_equal(found.columns["date"], BARS.open_time_ms)  # type: ignore[arg-type]
    assert np.array_equal(found.columns["signal"], result.signals.action)  # type: ignore[arg-type]
    assert found.columns["probability"] is None


@pytest.mark.parametrize("engine", list(EngineName))
async def test_buy_and_hold_ends_as_judgement_says(engine: EngineName) -> None:
    result = make_stored(request=make_request(engine=engine))
    found = await make_sheets().series(result, asked("buy_and_hold"))
    rules, year = result.request.rules, annualize(BARS, DEFAULT_ANNUALIZATION)
    judged = hold_market(BARS, rules, year, ENGINES[engine].run)
    curve: Any = found.columns["buy_and_hold"]
    assert judged is not None
    assert (curve[-1] / rules.initial_cash - 1) * 100 == judged.total_return
    # Bought with all cash at the first close: ten thousand ÷ 1.001 for the fee ÷ 1.001 for the slippage.
    assert curve[0] == pytest.approx(10_000 / 1.001 / 1.001)


async def test_rebased_equity_is_per_hundred_of_starting_cash() -> None:
    result = make_stored()
    found = await make_sheets(result).series(result, asked("rebased", "equity"))
    rebased: Any = found.columns["rebased"]
    assert rebased[0] == 100.0
    assert rebased[-1] == pytest.approx(100 + (result.simulation.equity[-1] / 10_000 - 1) * 100)
    reduced = await make_sheets(result).series(result, asked("rebased", points=30))
    last_of_first_point: Any = reduced.columns["rebased"]
    assert last_of_first_point[0] == rebased[9]


def test_fills_between_include_both_ends() -> None:
    result = make_stored()
    first, second = (int(time_ms) for time_ms in result.simulation.fills["time_ms"])
    assert list(fills_between(result, first, second)["time_ms"]) == [first, second]
    assert list(fills_between(result, first + 1, None)["time_ms"]) == [second]
    assert list(fills_between(result, None, second - 1)["time_ms"]) == [first]
    assert len(fills_between(result, first + 1, second - 1)) == 0


def test_trades_in_order_of_profit_keep_equal_ones_as_entered() -> None:
    result = make_stored()
    trades = np.repeat(result.simulation.trades, 4)
    trades["profit"] = [5.0, -2.0, 7.0, -2.0]
    trades["entry_bar"] = [0, 1, 2, 3]
    stored = replace(result, simulation=replace(result.simulation, trades=trades))
    assert list(order_trades(stored, TradeOrder.WORST)["entry_bar"]) == [1, 3, 0, 2]
    assert list(order_trades(stored, TradeOrder.BEST)["entry_bar"]) == [2, 0, 1, 3]
    assert list(order_trades(stored, TradeOrder.ENTRY)["entry_bar"]) == [0, 1, 2, 3]


async def test_stored_columns_need_no_bars() -> None:
    source = OneSource()
    columns = ("date", "close", "equity", "cash", "position", "drawdown", "signal", "probability")
    await make_sheets(sources={"binance": source}).series(make_stored(), asked(*columns))
    assert source.asked == []


async def test_simultaneous_readers_share_fetch_of_bars() -> None:
    source = OneSource()
    sheets = make_sheets(sources={"binance": source})
    found = await asyncio.gather(*(sheets.series(make_stored(), asked("open")) for _ in range(5)))
    assert len(source.asked) == 1
    assert all(np.array_equal(one.columns["open"], BARS.open) for one in found)  # type: ignore[arg-type]


async def test_range_includes_both_ends() -> None:
    times = BARS.open_time_ms
    found = await make_sheets().series(
        make_stored(), asked("date", "open", start_ms=int(times[5]), end_ms=int(times[7]))
    )
    assert np.array_equal(found.columns["date"], times[5:8])  # type: ignore[arg-type]
    assert np.array_equal(found.columns["open"], BARS.open[5:8])  # type: ignore[arg-type]
    between = await make_sheets().series(
        make_stored(), asked("date", start_ms=int(times[5]) + 1, end_ms=int(times[7]) - 1)
    )
    assert np.array_equal(between.columns["date"], times[6:7])  # type: ignore[arg-type]
    assert (between.total, between.length) == (1, 1)


async def test_range_and_hold_fetch_only_bars_they_need() -> None:
    source, times = OneSource(), BARS.open_time_ms
    request = asked("open", "buy_and_hold", "equity", start_ms=int(times[100]), end_ms=int(times[119]))
    found = await make_sheets(sources={"binance": source}).series(make_stored(), request)
    whole = await make_sheets().series(make_stored(), asked("buy_and_hold"))
    assert np.array_equal(found.columns["open"], BARS.open[100:120])  # type: ignore[arg-type]
    assert np.array_equal(found.columns["buy_and_hold"], whole.columns["buy_and_hold"][100:120])  # type: ignore[arg-type, index]
    assert [(one.start_ms, one.end_ms) for one in source.asked] == [(times[100], times[119]), (times[0], times[1])]


@pytest.mark.parametrize("changed", ["close", "open_time_ms"])
async def test_changed_bars_of_range_are_not_shown(changed: str) -> None:
    values = getattr(BARS, changed).copy()
    values[7] = BARS.low[7] if changed == "close" else values[7] + 1
    sheets = make_sheets(sources={"binance": OneSource(replace(BARS, **{changed: values}))})
    start_ms, end_ms = (int(BARS.open_time_ms[row]) for row in (5, 9))
    with pytest.raises(Conflict, match="have changed"):
        await sheets.series(make_stored(), asked("open", start_ms=start_ms, end_ms=end_ms))
    after = await sheets.series(make_stored(), asked("open", start_ms=end_ms))
    assert np.array_equal(after.columns["open"], BARS.open[9:])  # type: ignore[arg-type]


@pytest.mark.parametrize("points", [None, 10])
async def test_range_without_bars_has_no_rows(points: int | None) -> None:
    after = int(BARS.open_time_ms[-1]) + 1
    found = await make_sheets().series(make_stored(), asked("date", "equity", start_ms=after, points=points))
    assert (found.total, found.length) == (0, 0)
    assert all(len(values) == 0 for values in found.columns.values() if values is not None)


async def test_points_count_bars_of_range() -> None:
    start = int(BARS.open_time_ms[99])
    found = await make_sheets().series(make_stored(), asked("date", "close", "signal", start_ms=start, points=100))
    assert (found.total, found.length, found.bars_per_point) == (201, 67, 3)
    assert np.array_equal(found.columns["date"], BARS.open_time_ms[99::3])  # type: ignore[arg-type]
    assert found.columns["close_high"][0] == BARS.close[99:102].max()  # type: ignore[index]
    assert found.columns["signal"] is None


async def test_drawdown_of_range_knows_peak_before_it() -> None:
    result = make_stored()
    whole = await make_sheets().series(result, asked("drawdown"))
    start = int(BARS.open_time_ms[150])
    part = await make_sheets().series(result, asked("drawdown", start_ms=start))
    assert np.array_equal(part.columns["drawdown"], whole.columns["drawdown"][150:])  # type: ignore[arg-type, index]
    assert whole.columns["drawdown"].min() < 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "error", [Conflict("changed"), SourceNotFound("no dataset"), ExchangeUnavailable("the exchange is down")]
)
async def test_missing_bars_leave_other_columns(error: Exception) -> None:
    sheets = make_sheets(sources={"binance": OneSource(error=error)})
    found = await sheets.series(make_stored(), asked("date", "open", "equity", "buy_and_hold", points=100))
    assert found.columns["open"] is found.columns["buy_and_hold"] is found.columns["buy_and_hold_low"] is None
    assert len(found.columns["equity"]) == 100  # type: ignore[arg-type]
    [warning] = found.warnings
    assert "open, buy_and_hold are null" in warning and str(error) in warning
    for request in (asked("date", "open"), asked("open", "high"), asked("open", "equity", allows_nulls=False)):
        with pytest.raises(type(error)):
            await sheets.series(make_stored(), request)


async def test_changed_bars_are_not_shown() -> None:
    close = BARS.close.copy()
    close[7] = BARS.low[7]
    sheets = make_sheets(sources={"binance": OneSource(replace(BARS, close=close))})
    with pytest.raises(Conflict, match="have changed"):
        await sheets.series(make_stored(), asked("open"))


async def test_busy_service_is_no_reason_for_nulls() -> None:
    sheets = make_sheets(sources={"binance": OneSource(error=Busy("full"))})
    with pytest.raises(Busy):
        await sheets.series(make_stored(), asked("open", "equity"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_rows": 299}, "points is required for 300 bars: one response holds 299 rows"),
        ({"points": 1001}, "points is 1001. Allowed: a whole number from 1 to 1000"),
        ({"points": 0}, "points is 0"),
    ],
)
async def test_too_many_rows_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        await make_sheets().series(make_stored(), asked("date", **changes))
    assert caught.value.field == "points"


async def test_range_counts_in_limit_of_rows() -> None:
    found = await make_sheets().series(make_stored(), asked("date", end_ms=int(BARS.open_time_ms[99]), max_rows=100))
    assert found.length == 100


async def test_figures_are_those_of_stored_curve() -> None:
    result = make_stored()
    sheets = make_sheets()
    equity = result.simulation.equity
    months = await sheets.months(result)
    growth = np.prod([1 + year.total / 100 for year in months.years if year.total is not None])
    assert growth == pytest.approx(equity[-1] / 10_000)
    [deepest] = await sheets.drawdowns(result, first=1)
    peak = np.maximum.accumulate(np.maximum(equity, 10_000))
    assert deepest.depth == pytest.approx(float(((peak - equity) / peak).max() * 100))
    distribution = await sheets.distribution(result)
    assert distribution.worst == pytest.approx(np.diff(equity / equity[0]).min() * 100, rel=0.5)
    assert distribution.bars == 300
    costs = await sheets.costs(result)
    assert costs.net_profit == equity[-1] - 10_000
    assert costs.fees == pytest.approx(result.simulation.fills["fee"].sum())


@pytest.mark.parametrize("first", [0, 1001])
async def test_number_of_drawdowns_is_bounded(first: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 1000"):
        await make_sheets().drawdowns(make_stored(), first=first)


async def test_slow_source_ends_with_timeout() -> None:
    class SlowSource(OneSource):
        async def fetch(self, market: MarketRequest) -> MarketSeries:
            await asyncio.sleep(60)
            return await super().fetch(market)

    with pytest.raises(TimedOut, match=r"limit of 0\.05 s"):
        await make_sheets(sources={"binance": SlowSource()}, timeout_s=0.05).series(
            make_stored(), asked("open", "equity")
        )
