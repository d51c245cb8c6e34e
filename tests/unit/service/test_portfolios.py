"""Portfolios as they are read: sizes, balances as pages and points, fills with the trades that they belong to."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from src.domain.errors import InvalidInput, SourceNotFound, UnreadableResult
from src.domain.order_rules import Exits
from src.domain.portfolio import MAX_SYMBOL_BARS, MAX_SYMBOLS, PortfolioRequest, check_symbols
from src.domain.trading import FillTiming, IntrabarPolicy, TradingRules
from src.ports.market import DatasetStore
from src.service.jobs import JobService
from src.service.portfolio_runs import (
    PortfolioTables,
    SymbolInputs,
    build_tables,
    from_bytes,
    measure_fill_band,
    read_inputs,
    to_bytes,
    trade,
)
from src.service.portfolios import PortfolioRows, PortfolioService, check_size, list_balances
from src.service.sources import SourceCatalog
from tests.equality import assert_identical
from tests.factories import make_market
from tests.portfolios import BARS, SYMBOLS, SeveralBars, make_portfolio
from tests.unit.service.known_bars import make_service

KNOWN = 400


@pytest.fixture(scope="module")
def tables() -> PortfolioTables:
    request = make_portfolio()
    return build_tables(trade(request, inputs_of(request)))


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


def inputs_of(request: PortfolioRequest) -> list[SymbolInputs]:
    source = SeveralBars(known=KNOWN, bars=KNOWN)
    return [
        read_inputs(replace(request.backtest, market=make_market(symbol=symbol)), _series(source, symbol), None)
        for symbol in request.symbols
    ]


@pytest.mark.parametrize("own", IntrabarPolicy)
def test_fill_band_equals_runs_under_both_policies(own: IntrabarPolicy) -> None:
    found = {}
    for policy in IntrabarPolicy:
        rules = TradingRules(
            fill=FillTiming.NEXT_OPEN, exits=Exits(stop_loss_rate=0.01, take_profit_rate=0.01), intrabar=policy
        )
        request = make_portfolio(backtest=replace(make_portfolio().backtest, rules=rules))
        inputs = inputs_of(request)
        found[policy] = (request, inputs, trade(request, inputs))
    _, _, run = found[own]
    band = measure_fill_band(*found[own])
    assert band is not None
    assert band.ambiguous_bars == run.merged.ambiguous_bars == sum(each.ambiguous_bars for each in run.simulation.runs)
    assert band.ambiguous_bars > 0
    extremes = (IntrabarPolicy.PESSIMISTIC, IntrabarPolicy.OPTIMISTIC)
    assert (band.pessimistic_return, band.optimistic_return) == tuple(
        found[policy][2].metrics.total_return for policy in extremes
    )


def test_portfolio_without_ambiguous_bars_has_no_band() -> None:
    request = make_portfolio()
    inputs = inputs_of(request)
    assert measure_fill_band(request, inputs, trade(request, inputs)) is None


class OneDataset:
    """A store in which Ann has one dataset, of the first symbol."""

    async def get(self, user_id: str, name: str) -> Any:
        if name != "mine":
            raise SourceNotFound("none")
        return SimpleNamespace(name=name, symbol=SYMBOLS[0])

    async def source(self, user_id: str, name: str) -> Any:
        return SeveralBars(known=KNOWN, bars=KNOWN)


@pytest.mark.parametrize(("source", "symbols"), [("mine", SYMBOLS[:1]), (None, SYMBOLS), ("several", SYMBOLS)])
async def test_fitting_source_starts_a_portfolio(source: str | None, symbols: tuple[str, ...]) -> None:
    assert await start(source, symbols) == ["queued"]


async def test_dataset_of_one_symbol_starts_no_job() -> None:
    with pytest.raises(InvalidInput) as caught:
        await start("mine", SYMBOLS)
    assert caught.value.field == "symbols.1"
    assert caught.value.message == (
        "symbols.1 is 'BBBUSDT'. A portfolio takes the bars of all symbols from one source, and the dataset 'mine' has "
        "AAAUSDT only. Allowed: this one symbol, or another source (several)."
    )


async def start(source: str | None, symbols: tuple[str, ...]) -> list[str]:
    """Start a portfolio, and return what was submitted."""
    submitted: list[str] = []

    async def submit(request: PortfolioRequest, idempotency_key: str | None) -> None:
        submitted.append("queued")

    catalog = SourceCatalog(
        sources={"several": SeveralBars(known=KNOWN, bars=KNOWN)}, datasets=cast("DatasetStore", OneDataset())
    )
    backtests = replace(make_service(catalog.default), sources=catalog)  # type: ignore[arg-type]
    service = PortfolioService(
        jobs=cast("JobService", SimpleNamespace(submit=submit)), backtests=backtests, computing=backtests.computing
    )
    market = make_market(symbol=symbols[0], limit=BARS, source=source)
    await service.start(make_portfolio(backtest=replace(make_portfolio().backtest, market=market), symbols=symbols))
    return submitted


def test_exposure_counts_times_with_positions_that_cancel() -> None:
    request = make_portfolio()
    run = trade(request, inputs_of(request))
    expected = np.count_nonzero(run.simulation.open_positions) / len(run.simulation.time_ms) * 100
    assert run.metrics.exposure == pytest.approx(expected)
    assert 0 < run.metrics.exposure < 100
