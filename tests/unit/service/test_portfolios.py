"""Portfolios as they are read: sizes, balances as pages and points, fills with the trades that they belong to."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.errors import InvalidInput, UnreadableResult
from src.domain.portfolio import MAX_SYMBOL_BARS, MAX_SYMBOLS, check_symbols
from src.service.portfolio_runs import PortfolioTables, build_tables, from_bytes, read_inputs, to_bytes, trade
from src.service.portfolios import PortfolioRows, check_size, list_balances
from tests.equality import assert_identical
from tests.factories import make_market
from tests.portfolios import SYMBOLS, SeveralBars, make_portfolio

KNOWN = 400


@pytest.fixture(scope="module")
def tables() -> PortfolioTables:
    request, source = make_portfolio(), SeveralBars(known=KNOWN, bars=KNOWN)
    inputs = []
    for symbol in SYMBOLS:
        backtest = replace(request.backtest, market=replace(request.backtest.market, symbol=symbol))
        inputs.append(read_inputs(backtest, _series(source, symbol), None))
    return build_tables(trade(request, inputs))


def _series(source: SeveralBars, symbol: str) -> Any:
    from src.domain.bar_quality import DataQuality
    from src.domain.market import MarketSeries

    own = source.series[symbol]
    bars = own.bars.slice(0, own.known)
    quality = DataQuality(expected_bars=len(bars), present_bars=len(bars))
    return MarketSeries(bars=bars, quality=quality, origin="made by hand", warnings=())


def rows_of(tables: PortfolioTables) -> PortfolioRows:
    return PortfolioRows(symbols=SYMBOLS, initial_cash=10_000.0, tables=tables)


def test_fill_names_the_trade_that_it_belongs_to(tables: PortfolioTables) -> None:
    assert len(set(tables.fill_symbol.tolist())) == len(SYMBOLS)
    assert np.all(np.diff(tables.fills["time_ms"]) >= 0)
    assert np.all(np.diff(tables.trades["entry_time_ms"]) >= 0)
    for fill, symbol in zip(tables.fills, tables.fill_symbol, strict=True):
        own = tables.trades[fill["trade"]]
        assert tables.trade_symbol[fill["trade"]] == symbol
        assert fill["time_ms"] in (own["entry_time_ms"], own["exit_time_ms"])
        assert fill["price"] in (own["entry_price"], own["exit_price"])


def test_stored_tables_are_read_back(tables: PortfolioTables) -> None:
    assert_identical(tuple(from_bytes(to_bytes(tables))), tuple(tables))


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:-40], lambda content: b"PK" + content]
)
def test_damaged_tables_cannot_be_read(tables: PortfolioTables, damage: Any) -> None:
    with pytest.raises(UnreadableResult):
        from_bytes(damage(to_bytes(tables)))


def test_tables_with_a_damaged_column_cannot_be_read(tables: PortfolioTables) -> None:
    content = bytearray(to_bytes(tables))
    content[200] ^= 0xFF
    with pytest.raises(UnreadableResult):
        from_bytes(bytes(content))


def test_page_of_balances_is_a_part_of_all(tables: PortfolioTables) -> None:
    every = list_balances(rows_of(tables), first=None, offset=0, points=None, max_rows=1000)
    assert every.total == len(every) == len(tables.time_ms)
    page = list_balances(rows_of(tables), first=7, offset=30, points=None, max_rows=1000)
    for name, values in every.columns.items():
        assert page.columns[name].tolist() == values[30:37].tolist()
    equity = every.columns["equity"]
    peak = np.maximum.accumulate(np.concatenate(([10_000.0], equity)))[1:]
    assert every.columns["drawdown"] == pytest.approx((equity / peak - 1) * 100, abs=1e-9)
    assert every.columns["buy_and_hold"] == pytest.approx(tables.market * 10_000)


def test_points_keep_the_last_balance_and_the_deepest_fall(tables: PortfolioTables) -> None:
    every = list_balances(rows_of(tables), first=None, offset=0, points=None, max_rows=1000)
    points = list_balances(rows_of(tables), first=None, offset=0, points=50, max_rows=1000)
    each = -(-every.total // 50)
    assert (points.times_per_point, len(points)) == (each, -(-every.total // each))
    for name, reduce in {
        "date": lambda part: part[0], "equity": lambda part: part[-1], "cash": lambda part: part[-1],
        "buy_and_hold": lambda part: part[-1], "drawdown": min, "open_positions": max,
    }.items():  # fmt: skip
        parts = [every.columns[name][at : at + each] for at in range(0, every.total, each)]
        assert points.columns[name].tolist() == [reduce(part) for part in parts], name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": 0}, "points is 0. Allowed: a whole number from 1 to 1000 (MAX_ROWS_PER_ANSWER)."),
        ({"points": 1001}, "points is 1001. Allowed: a whole number from 1 to 1000 (MAX_ROWS_PER_ANSWER)."),
        ({"points": 5, "first": 3}, "points and first are both given. Allowed: one of them."),
        ({"points": 5, "offset": 3}, "points and offset are both given. Allowed: one of them."),
    ],
)
def test_points_out_of_bounds_are_refused(tables: PortfolioTables, given: dict[str, int], message: str) -> None:
    asked: dict[str, Any] = {"first": None, "offset": 0, "points": None} | given
    with pytest.raises(InvalidInput, match=re.escape(message)):
        list_balances(rows_of(tables), **asked, max_rows=1000)


def test_size_over_all_symbols_is_bounded() -> None:
    most = MAX_SYMBOL_BARS // 2
    request = replace(make_portfolio(), symbols=SYMBOLS[:2])
    fitting = replace(request.backtest, market=make_market(symbol=SYMBOLS[0], limit=most))
    check_size(replace(request, backtest=fitting))
    with pytest.raises(InvalidInput) as caught:
        check_size(replace(request, backtest=replace(fitting, market=replace(fitting.market, limit=most + 1))))
    assert caught.value.field == "symbols"
    assert caught.value.message == "symbols (2) × limit (5,000,001) are 10,000,002 bars. Maximum: 10,000,000."


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ((), "symbols has 0 symbols. Allowed: 1 to 100 different ones."),
        (tuple(f"A{number}" for number in range(MAX_SYMBOLS + 1)), "symbols has 101 symbols."),
        (("BTCUSDT", "ETHUSDT", "btc/usdt"), "symbols.2 is 'BTCUSDT', which is listed before."),
        (("BTCUSDT", "$"), "symbols.1 is '$'. Allowed: 1 to 32 letters and digits"),
    ],
)
def test_wrong_symbols_are_refused_by_place(symbols: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        check_symbols(symbols)


def test_exposure_counts_times_with_positions_that_cancel() -> None:
    request, source = make_portfolio(), SeveralBars(known=KNOWN, bars=KNOWN)
    inputs = []
    for symbol in SYMBOLS:
        backtest = replace(request.backtest, market=replace(request.backtest.market, symbol=symbol))
        inputs.append(read_inputs(backtest, _series(source, symbol), None))
    run = trade(request, inputs)
    expected = np.count_nonzero(run.simulation.open_positions) / len(run.simulation.time_ms) * 100
    assert run.metrics.exposure == pytest.approx(expected)
    assert 0 < run.metrics.exposure < 100
