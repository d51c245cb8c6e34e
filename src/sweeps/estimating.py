"""Estimate what a sweep costs, from a short run of some of its rows on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.funding import FUNDING_MS, FundingKind
from src.domain.funding_rates import build_rates
from src.domain.signals import OutputKind, Predictions
from src.domain.sweep_outcomes import SweepEstimate
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import ROW_METRICS, SearchKind, SweepRequest
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.metrics.returns import simple_returns
from src.sweeps.combinations import build_combinations, count_combinations
from src.sweeps.evaluation import Evaluator
from src.sweeps.overfitting import superiority_of
from src.sweeps.rows import SAMPLED_ROWS
from src.sweeps.timing import timing_of
from src.sweeps.tpe import TpeSearch
from src.sweeps.warm_up import check_lookbacks, window_warm_up_of

LENGTHS: Final = (500, 2_500)
"""Bars of two random walks beyond the longest lookback, within which nothing is traded. From the two times follow a
row's cost per bar and its fixed cost."""
TRIED_ROWS: Final = 32
DRAW_SECONDS: Final = 0.005
"""The time that TPE takes for a row, measured with Optuna 4."""
TESTED_ROWS: Final = 1_000
"""Rows that are tested against buying and holding, and for timing: the best ones, and a seeded sample of the others."""
OVERFITTING_SECONDS: Final = 1.2e-4
"""The time of a row in the measure of overfitting, whose sample has `SAMPLED_ROWS` rows: measured with 16 blocks."""
JUDGED_SECONDS: Final = 0.05
"""The time of the judged run of a best row: measured from 1,000 to 40,000 bars."""
NUMBER_BYTES: Final = 8
LONG_SECONDS: Final = 600.0


def estimate_sweep(request: SweepRequest, max_combinations: int) -> SweepEstimate:
    """Return the cost of a sweep; takes some tenths of a second, and fetches nothing.

    Raises InvalidInput if the request is wrong, asks for more than `max_combinations`, or has fewer bars than a row
    looks back.
    """
    is_searched = request.search.kind is SearchKind.TPE
    warnings: tuple[str, ...] = ()
    if is_searched:
        combinations, excluded = count_combinations(request, max_combinations=max_combinations), 0
        values = TpeSearch(request).ask(min(TRIED_ROWS, combinations))
    else:
        built = build_combinations(request, max_combinations=max_combinations)
        combinations, excluded, warnings = len(built), built.excluded, built.warnings
        check_lookbacks(request, built)
        values = built.values[:: max(1, combinations // TRIED_ROWS)][:TRIED_ROWS]
    lookback = window_warm_up_of(request)
    short, long = (_measure(request, values, lookback + bars) for bars in LENGTHS)
    bars = request.backtest.market.limit
    seconds = combinations * _extrapolate(short.row_seconds, long.row_seconds, lookback, bars)
    seconds += combinations * DRAW_SECONDS if is_searched else 0.0
    seconds += min(combinations, TESTED_ROWS) * _extrapolate(short.test_seconds, long.test_seconds, lookback, bars)
    seconds += min(combinations, SAMPLED_ROWS) * OVERFITTING_SECONDS
    seconds += min(combinations, request.keep_best) * JUDGED_SECONDS
    numbers = combinations * (len(ROW_METRICS) + len(request.parameters))
    blocks = min(combinations, SAMPLED_ROWS) * 2 * DEFAULT_BLOCKS
    return SweepEstimate(
        combinations=combinations,
        excluded=excluded,
        cpu_seconds=seconds,
        stored_bytes=NUMBER_BYTES * (numbers + blocks),
        kernel=long.kernel,
        warnings=(*warnings, *_warn(seconds)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """Seconds of one core for a row on some bars, and for its tests with others; and the kernel."""

    row_seconds: float
    test_seconds: float
    kernel: str


def _measure(request: SweepRequest, values: NDArray[np.float64], bars: int) -> _Measured:
    inputs = _walk(request, bars)
    evaluator, close = Evaluator(inputs), inputs.bars.close
    market = simple_returns(close, float(close[0]))
    rows = np.arange(len(values))

    def evaluate() -> object:
        return evaluator.evaluate(values, first=0, total=len(values))

    # A row with few trades, as is common on so few bars, would take less.
    traded = np.resize(np.repeat((1.0, 0.0), 2), (len(values), bars))

    def expose(some: NDArray[np.int64]) -> NDArray[np.float64]:
        evaluator.exposures(values[some])
        return traded[some]

    def test() -> None:
        superiority_of(lambda some: evaluator.returns(values[some]), rows, market)
        timing_of(expose, rows, market, best=None)

    return _Measured(
        row_seconds=_time(evaluate) / len(values),
        test_seconds=_time(test) / len(values),
        kernel=evaluator.kernel.value,
    )


def _time(work: Callable[[], object]) -> float:
    """Return the seconds of the faster of two runs: the first one may load compiled code."""
    seconds = []
    for _ in range(2):
        started = time.thread_time()
        work()
        seconds.append(time.thread_time() - started)
    return min(seconds)


def _extrapolate(short: float, long: float, lookback: int, bars: int) -> float:
    """Return the seconds for `bars` from those for the two `LENGTHS` beyond the lookback."""
    per_bar = max(0.0, (long - short) / (LENGTHS[1] - LENGTHS[0]))
    return max(0.0, short - per_bar * (lookback + LENGTHS[0])) + per_bar * bars


def _walk(request: SweepRequest, count: int) -> SweepInputs:
    """Return a random walk of `count` bars, and predictions if the strategy reads a model."""
    random = np.random.Generator(np.random.Philox(count))
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    open_ = np.concatenate((close[:1], close[:-1]))
    interval = request.backtest.market.interval
    bars = Bars(
        symbol=request.backtest.market.symbol,
        interval=interval,
        open_time_ms=np.arange(count, dtype=np.int64) * interval.milliseconds,
        open=open_,
        high=np.maximum(open_, close) * 1.002,
        low=np.minimum(open_, close) * 0.998,
        close=close,
        volume=np.ones(count),
    )
    predictions = None
    if request.backtest.strategy.model is not None:
        predictions = Predictions(values=random.random(count), kind=OutputKind.PROBABILITY)
    return SweepInputs(request=_with_rates(request, bars), bars=bars, predictions=predictions)


def _with_rates(request: SweepRequest, bars: Bars) -> SweepRequest:
    """Return the request with a rate at each mark in these bars if it uses a funding history, which is not read."""
    rules = request.backtest.rules
    if rules.funding.kind is not FundingKind.HISTORY:
        return request
    times = np.arange(0, int(bars.open_time_ms[-1]) + bars.interval.milliseconds, FUNDING_MS)
    funding = rules.funding.with_rates(build_rates(times, np.full(times.size, 0.0001)))
    return replace(request, backtest=replace(request.backtest, rules=replace(rules, funding=funding)))


def _warn(seconds: float) -> tuple[str, ...]:
    if seconds < LONG_SECONDS:
        return ()
    return (f"The sweep takes about {seconds / 60:.0f} minutes of one core.",)
