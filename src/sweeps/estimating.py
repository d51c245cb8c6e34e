"""Estimate what a sweep costs, from a short run of some of its rows on this machine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.funding import FUNDING_MS, FundingKind
from src.domain.funding_rates import build_rates
from src.domain.signals import OutputKind, Predictions
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import ROW_METRICS, SearchKind, SweepEstimate, SweepRequest
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.sweeps.combinations import build_combinations, count_combinations
from src.sweeps.evaluation import Evaluator
from src.sweeps.rows import SAMPLED_ROWS
from src.sweeps.tpe import TpeSearch
from src.sweeps.warm_up import check_lookbacks

LENGTHS: Final = (500, 2_500)
"""Bars of two random walks: what a row costs is read off both, as a part for each bar and one for the row."""
TRIED_ROWS: Final = 32
DRAW_SECONDS: Final = 0.005
"""What TPE takes for a row, measured with Optuna 4."""
TESTED_ROWS: Final = 1_000
"""Rows that are tested against buying and holding: the best ones, and a seeded sample of the others."""
NUMBER_BYTES: Final = 8
LONG_SECONDS: Final = 600.0


def estimate_sweep(request: SweepRequest, max_combinations: int) -> SweepEstimate:
    """Return what a sweep costs; takes about a tenth of a second, and fetches nothing.

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
    (short, _), (long, kernel) = (_measure(request, values, bars) for bars in LENGTHS)
    per_bar = max(0.0, (long - short) / (LENGTHS[1] - LENGTHS[0]))
    bars = request.backtest.market.limit
    row_seconds = max(short - per_bar * LENGTHS[0], 0.0) + per_bar * bars
    rows = combinations + 2 * min(combinations, TESTED_ROWS)  # the test against the market runs its rows twice more
    seconds = rows * row_seconds + (combinations * DRAW_SECONDS if is_searched else 0.0)
    numbers = combinations * (len(ROW_METRICS) + len(request.parameters))
    blocks = min(combinations, SAMPLED_ROWS) * 2 * DEFAULT_BLOCKS
    return SweepEstimate(
        combinations=combinations,
        excluded=excluded,
        cpu_seconds=seconds,
        stored_bytes=NUMBER_BYTES * (numbers + blocks),
        kernel=kernel,
        warnings=(*warnings, *_warn(seconds)),
    )


def _measure(request: SweepRequest, values: NDArray[np.float64], bars: int) -> tuple[float, str]:
    """Return the seconds of one core that a row takes on so many bars, and the kernel."""
    evaluator = Evaluator(_walk(request, bars))
    seconds = []
    for _ in range(2):  # the first run may load compiled code
        started = time.thread_time()
        evaluator.evaluate(values, first=0, total=len(values))
        seconds.append(time.thread_time() - started)
    return min(seconds) / len(values), evaluator.kernel.value


def _walk(request: SweepRequest, count: int) -> SweepInputs:
    """Return a random walk of so many bars, and predictions if the strategy reads a model's."""
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
    """Return the request with a rate at each mark in these bars if it pays those of a history, which is not read."""
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
