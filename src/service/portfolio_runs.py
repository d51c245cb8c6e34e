"""Compute a portfolio from the bars of its symbols, with pure functions on one thread."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import annualize
from src.domain.bars import Bars
from src.domain.errors import InvalidInput, UnreadableResult
from src.domain.exchange_rules import Filters
from src.domain.judgement import FillBand, LedgerSnapshot
from src.domain.market import SIMULATED, MarketSeries, SymbolWarning
from src.domain.performance import Metrics
from src.domain.portfolio import PortfolioConclusion, PortfolioRequest, PortfolioSimulation
from src.domain.runs import BacktestRequest
from src.domain.signals import Predictions, Signals
from src.domain.simulation import Simulation
from src.domain.trading import FillTiming, TradingRules
from src.domain.trials import LedgerEntry
from src.engines.portfolio import run_portfolio
from src.judgement.benchmarks import scale_costs
from src.judgement.deflation import deflate
from src.judgement.fill_band import find_fill_band
from src.judgement.intervals import measure_confidence
from src.judgement.portfolio import judge_portfolio
from src.judgement.reasons import MIN_COST_MARGIN
from src.judgement.timing import hold_exposure
from src.judgement.trial_keys import trial_key, written_rules
from src.judgement.trial_ledger import active_returns, build_trials
from src.metrics.portfolio import build_index, correlate, merge_runs, summarize_symbol
from src.metrics.returns import simple_returns
from src.metrics.summary import measure
from src.service.periods import elapsed_time_warnings, period_warnings
from src.service.pipeline import cost_warnings, decide, funding_warnings
from src.service.symbol_warnings import group_warnings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymbolInputs:
    """What a portfolio reads of one symbol: its completed request, its bars with their history, and its signals."""

    request: BacktestRequest
    series: MarketSeries
    signals: Signals
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PortfolioRun:
    """A traded portfolio, its market, and the portfolio as one run on that market."""

    simulation: PortfolioSimulation
    index: Bars
    merged: Simulation
    metrics: Metrics


class PortfolioTables(NamedTuple):
    """The arrays of a stored portfolio.

    By time [n]: `time_ms`, `equity`, `cash`, `open_positions`, and `market`, the level of its index (1 at first). Fills
    and trades of all symbols are `FILL_DTYPE` and `TRADE_DTYPE`, with the number of each one's symbol.
    """

    time_ms: NDArray[np.int64]
    equity: NDArray[np.float64]
    cash: NDArray[np.float64]
    open_positions: NDArray[np.int64]
    market: NDArray[np.float64]
    fills: NDArray[np.void]
    fill_symbol: NDArray[np.int64]
    trades: NDArray[np.void]
    trade_symbol: NDArray[np.int64]


def read_inputs(request: BacktestRequest, series: MarketSeries, predictions: Predictions | None) -> SymbolInputs:
    """Return what a portfolio reads of one symbol."""
    signals = decide(request, series.bars, predictions, series.history)
    return SymbolInputs(request=request, series=series, signals=signals, fingerprint=series.fingerprint())


def trade(request: PortfolioRequest, inputs: Sequence[SymbolInputs]) -> PortfolioRun:
    """Trade the signals of all symbols; raises InvalidInput if the equity grows beyond `MAX_EQUITY`."""
    bars = [own.series.bars for own in inputs]
    simulation = run_portfolio(
        bars,
        [own.signals for own in inputs],
        [own.request.rules for own in inputs],
        most_open=request.most_open,
        rank=request.rank,
        rank_bars=request.rank_bars,
    )
    index = build_index(bars, simulation.time_ms)
    merged = merge_runs(simulation, bars, index)
    metrics = measure(
        merged,
        index,
        initial_cash=request.backtest.rules.initial_cash,
        strategy_name=inputs[0].signals.strategy.name,
        settings=request.backtest.annualization,
    )
    # Not from the net position of `merged`, which is 0 if a long and a short are worth the same.
    exposure = float(np.count_nonzero(simulation.open_positions)) / len(simulation.time_ms) * 100
    metrics = replace(metrics, exposure=exposure)
    return PortfolioRun(simulation=simulation, index=index, merged=merged, metrics=metrics)


def measure_dearer(request: PortfolioRequest, inputs: Sequence[SymbolInputs]) -> float | None:
    """Return the total return, in per cent, at `MIN_COST_MARGIN` times the costs; None if that run failed."""
    return _try_return(request, inputs, lambda rules: scale_costs(rules, MIN_COST_MARGIN))


def measure_fill_band(request: PortfolioRequest, inputs: Sequence[SymbolInputs], run: PortfolioRun) -> FillBand | None:
    """Return the total returns under the two extreme intrabar policies; None if no bar was ambiguous."""
    return find_fill_band(
        run.merged.ambiguous_bars,
        request.backtest.rules.intrabar,
        run.metrics.total_return,
        lambda policy: _try_return(request, inputs, lambda rules: replace(rules, intrabar=policy)),
    )


def _try_return(
    request: PortfolioRequest, inputs: Sequence[SymbolInputs], change: Callable[[TradingRules], TradingRules]
) -> float | None:
    """Return the total return, in per cent, under changed rules; None if that run failed."""
    changed = [replace(own, request=replace(own.request, rules=change(own.request.rules))) for own in inputs]
    try:
        return trade(request, changed).metrics.total_return
    except InvalidInput:
        return None


def build_entry(request: PortfolioRequest, inputs: Sequence[SymbolInputs], run: PortfolioRun) -> LedgerEntry:
    """Return what a portfolio adds to its user's ledger of trials."""
    rules, model, times = request.backtest.rules, inputs[0].request.strategy.model, run.index.open_time_ms
    key = trial_key(
        strategy=inputs[0].signals.strategy.name,
        parameters=inputs[0].signals.strategy.parameters,
        model_sha256=None if model is None else model.sha256,
        rules=written_rules(rules)
        | {"max_open": request.most_open, "rank": request.rank.value, "rank_bars": request.rank_bars}
        | _write_read_numbers(rules, inputs),
        symbol=" ".join(request.symbols),
        interval=request.backtest.market.interval.name,
        window_ms=(int(times[0]), int(times[-1])),
        bars_fingerprint=" ".join(own.fingerprint for own in inputs),
    )
    returns, market = _returns_of(request, run), simple_returns(run.index.close, float(run.index.close[0]))
    exposure = hold_exposure(
        run.merged.position, run.index.close, run.merged.equity, is_filled_at_close=rules.fill is FillTiming.SAME_CLOSE
    )
    total, active = build_trials(times, returns, active_returns(returns, market, exposure))
    return LedgerEntry(key=key, total=total, active=active)


def _write_read_numbers(rules: TradingRules, inputs: Sequence[SymbolInputs]) -> dict[str, object]:
    """Return the steps and rates of each symbol that were read from the exchange, as parts of a trial's key."""
    own, found = [one.request.rules for one in inputs], dict[str, object]()
    if rules.exchange.filters is Filters.EXCHANGE:
        steps = [(one.exchange.tick_size, one.exchange.step_size, one.exchange.min_notional) for one in own]
        found["steps"] = steps
    if rules.funding.reads_exchange:
        found["funding_rates"] = [one.funding.fingerprint for one in own]
    return found


def conclude(
    request: PortfolioRequest,
    inputs: Sequence[SymbolInputs],
    run: PortfolioRun,
    ledger: LedgerSnapshot,
    dearer_return: float | None,
    fill_band: FillBand | None,
) -> PortfolioConclusion:
    """Describe a portfolio, and judge it among the trials of its user.

    `dearer_return` is of `measure_dearer`, `fill_band` of `measure_fill_band`.
    """
    simulation, rules = run.simulation, request.backtest.rules
    annualization = annualize(run.index, request.backtest.annualization)
    returns, closed = _returns_of(request, run), run.merged.trades[~run.merged.trades["is_open"]]
    confidence = measure_confidence(
        returns,
        np.ascontiguousarray(closed["profit"]),
        risk_free_per_bar=annualization.risk_free_per_bar,
        bars_per_year=annualization.bars_per_year,
        elapsed_years=None if annualization.is_too_short else annualization.elapsed_years,
    )
    deflation = deflate(
        returns,
        ledger.total,
        risk_free_per_bar=annualization.risk_free_per_bar,
        bars_per_year=annualization.bars_per_year,
        block_error=confidence.sharpe_error,
        runs=ledger.runs,
        active_trials=ledger.active.effective_trials,
    )
    verdict = judge_portfolio(
        run.metrics,
        deflation,
        rules=rules,
        simulation=run.merged,
        dearer_return=dearer_return,
        fill_band=fill_band,
        has_model=request.backtest.strategy.model is not None,
        is_simulated=request.backtest.market.source == SIMULATED,
    )
    return PortfolioConclusion(
        metrics=run.metrics,
        verdict=verdict,
        confidence=confidence,
        deflation=deflation,
        symbols=tuple(
            summarize_symbol(symbol, own.series.bars, own.request.rules, fingerprint=own.fingerprint)
            for symbol, own in zip(simulation.runs, inputs, strict=True)
        ),
        correlations=correlate(simulation, initial_cash=rules.initial_cash),
        most_open=int(simulation.open_positions.max(initial=0)),
        refused_entries=sum(symbol.refused_entries for symbol in simulation.runs),
        warnings=(*(reason.text for reason in verdict.reasons), *_warn(request, inputs, run)),
        reduced_entries=run.merged.reduced_entries,
        dropped_entries=run.merged.dropped_entries,
        ambiguous_bars=run.merged.ambiguous_bars,
        liquidations=run.merged.liquidations,
        fill_band=fill_band,
    )


def _returns_of(request: PortfolioRequest, run: PortfolioRun) -> NDArray[np.float64]:
    returns: NDArray[np.float64] = simple_returns(run.merged.equity, request.backtest.rules.initial_cash)
    return returns


def _warn(request: PortfolioRequest, inputs: Sequence[SymbolInputs], run: PortfolioRun) -> Iterator[str]:
    """Yield the warnings about a portfolio as a whole, then those about its symbols."""
    rules, last = request.backtest.rules, int(run.index.open_time_ms[-1])
    yield from period_warnings(request.backtest.period, request.backtest.market.interval)
    yield from elapsed_time_warnings(run.index)
    yield from cost_warnings(rules)
    found: list[tuple[str, str]] = []
    for own, symbol in zip(inputs, run.simulation.runs, strict=True):
        bars, name = own.series.bars, symbol.symbol
        if int(bars.open_time_ms[-1]) < last and len(bars) and symbol.position[-1] != 0:
            text = f"{name} has no bars at the end; its open position counts at its last close."
            found.append((name, SymbolWarning(text, "open at the end")))
        if symbol.liquidations:
            text = f"{name}: positions that were liquidated: {symbol.liquidations}."
            found.append((name, SymbolWarning(text, "liquidations")))
        unpaid = (SymbolWarning(text, "rates of funding") for text in funding_warnings(own.request.rules.funding, bars))
        found += [(name, text) for text in (*own.series.warnings, *own.signals.warnings, *unpaid)]
    yield from group_warnings(found)


def build_tables(run: PortfolioRun) -> PortfolioTables:
    """Return the arrays of a portfolio that are stored; a fill names the place of its trade among all trades."""
    runs, numbers = run.simulation.runs, np.arange(len(run.simulation.runs))
    fills, trades = np.concatenate([own.fills for own in runs]), np.concatenate([own.trades for own in runs])
    lengths = [len(own.trades) for own in runs]
    fill_symbol = np.repeat(numbers, [len(own.fills) for own in runs])
    trade_symbol = np.repeat(numbers, lengths)
    by_time = np.argsort(fills["time_ms"], kind="stable")
    by_entry = np.argsort(trades["entry_time_ms"], kind="stable")
    starts, places = np.cumsum([0, *lengths])[:-1], np.argsort(by_entry)
    fills["trade"] = places[fills["trade"] + starts[fill_symbol]]
    return PortfolioTables(
        time_ms=run.simulation.time_ms,
        equity=run.simulation.equity,
        cash=run.simulation.cash,
        open_positions=run.simulation.open_positions,
        market=run.index.close,
        fills=fills[by_time],
        fill_symbol=fill_symbol[by_time],
        trades=trades[by_entry],
        trade_symbol=trade_symbol[by_entry],
    )


def to_bytes(tables: PortfolioTables) -> bytes:
    """Encode the arrays of a portfolio: NumPy's archive, compressed, without pickled objects."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **tables._asdict())
    return buffer.getvalue()


def from_bytes(content: bytes) -> PortfolioTables:
    """Decode what `to_bytes` made; raises UnreadableResult."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return PortfolioTables(**{name: found[name] for name in PortfolioTables._fields})
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableResult("The stored tables of a portfolio cannot be read.") from error


def for_symbol(request: PortfolioRequest, symbol: str) -> BacktestRequest:
    """Return the backtest of one of the symbols."""
    return replace(request.backtest, market=replace(request.backtest.market, symbol=symbol))
