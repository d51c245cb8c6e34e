"""Whole requests to the service as production runs it, from another process: latency, throughput, overload, memory."""

from __future__ import annotations

import asyncio
import gc
import io
import tempfile
import warnings
from dataclasses import dataclass, replace
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from src.domain.bars import Bars
from src.domain.intervals import DAY_MS
from tests.benchmarks.measurement import Measurement, Memory, best_of
from tests.exchange import LoopbackExchange
from tests.load import ROOT, Load, ProductionService, form, get, graphql, put_under_load
from tests.market import random_bars

BARS = 1_000
UNITS = f"{BARS:,} bars"
LARGE_BARS = 1_000_000
MODEL_BARS = 100_000

DOCUMENT = """
mutation Run($input: BacktestInput!) { runVectorizedBacktest(input: $input) {
  id status symbol strategy { name fastMaPeriod slowMaPeriod }
  metrics { finalEquity totalReturn buyAndHoldReturn cagr annualVolatility sharpeRatio sortinoRatio calmarRatio
    omegaRatio maxDrawdown maxDrawdownDuration averageDrawdown ulcerIndex valueAtRisk cvar skew kurtosis tailRatio
    alpha beta exposure turnover totalFees totalTrades openTrades winningTrades losingTrades winRate profitFactor
    expectancy }
  data { Date portfolioValue signal }
} }
"""
SIZE_ONLY = "mutation Run($input: BacktestInput!) { runVectorizedBacktest(input: $input) { metrics { bars } } }"

_numbers = count(1)


def crossover(first_ms: int) -> bytes:
    """A request that no other is equal to, and another trial of its user: the same arithmetic at another fee."""
    return graphql(
        DOCUMENT,
        {
            "input": {
                "userId": "bench",
                "fees": 0.001 + 1e-9 * next(_numbers),
                "fetchInput": {
                    "symbol": "BTCUSDT",
                    "interval": "1d",
                    "limit": BARS,
                    "startDate": str(np.datetime64(first_ms, "ms")),
                    "endDate": str(np.datetime64(first_ms + (BARS - 1) * DAY_MS, "ms")),
                },
            }
        },
    )


def large_backtest() -> bytes:
    market = {"symbol": "BTCUSDT", "interval": "1m", "limit": LARGE_BARS, "source": "simulated", "seed": 1}
    return graphql(
        SIZE_ONLY, {"input": {"userId": "bench", "fees": 0.001 + 1e-9 * next(_numbers), "fetchInput": market}}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    """What one run of the service showed."""

    workers: int
    ready_s: float
    alone: Load
    many: Load
    overload: Load
    health: Load
    idle_bytes: int
    peak_bytes: int


def measure(*, quick: bool = False) -> list[Measurement | Memory]:
    """Measure; about half a minute, or ten seconds where a quick run was asked for."""
    bars = replace(random_bars(BARS + 100, seed=5, interval="1d"), symbol="BTCUSDT")
    # The clients' own garbage, collected among all that a benchmark has loaded, would look like a slow service.
    gc.disable()
    try:
        seen = _observe(bars, scale=1 if quick else 5)
    finally:
        gc.enable()
    documented = _vectorbt_documented_seconds(bars.slice(50, 50 + BARS))
    name = "crossover request: HTTP, data, engine, 30 metrics, stored, 1,000 rows"
    peer = "vectorbt documented: its arithmetic alone"
    unanswered = {status: count for status, count in seen.many.statuses.items() if status != 200}
    under_load = f"the same under 64 connections, {seen.workers} workers, per request"
    served, refused = (seen.overload.statuses.get(status, 0) for status in (200, 503))
    others = sum(seen.overload.statuses.values()) - served - refused
    return [
        _beside(f"{name}, median", seen.alone.percentile(0.5), UNITS, peer, documented, "≤ 12 ms"),
        _beside(f"{name}, p99", seen.alone.percentile(0.99), UNITS, peer, documented, "≤ 40 ms"),
        _beside(
            under_load + (f", NOT ALL ANSWERED: {unanswered}" if unanswered else ""),
            seen.many.elapsed_s / sum(seen.many.statuses.values()),
            _count(seen.many),
            "150 requests/s",
            1 / 150,
            "≥ 150/s, no error",
        ),
        _beside(
            f"the same under 600 connections, median of those served ({served} served, {refused} refused with 503, "
            f"{others} others)",
            seen.overload.percentile(0.5),
            _count(seen.overload),
            "time limit of a request",
            120.0,
            "some refused, the rest in time",
        ),
        _beside(
            f"/health beside backtests of {LARGE_BARS:,} bars and of a forest on {MODEL_BARS:,}, p99",
            seen.health.percentile(0.99),
            _count(seen.health),
            "its promise",
            0.050,
            "≤ 50 ms",
        ),
        _beside("run.py prod until /ready", seen.ready_s, f"{seen.workers} workers", "its promise", 4.0, "≤ 4 s"),
        Memory(name="worker after its start", bytes=seen.idle_bytes, units="nothing yet"),
        Memory(
            name="worker at its highest, after all of this",
            bytes=seen.peak_bytes,
            units=f"{LARGE_BARS:,} bars among it",
        ),
    ]


def _observe(bars: Bars, *, scale: int) -> _Observed:
    requests = repeat(int(bars.open_time_ms[50]))
    with tempfile.TemporaryDirectory() as folder, LoopbackExchange([bars]) as exchange:
        settings = {"BINANCE_API_URL": exchange.url, "BINANCE_FALLBACK_URL": "none", "PRELOAD_MODELS": "true"}
        with ProductionService(Path(folder), **settings):
            pass  # now the compile cache is filled
        own_environment = () if (ROOT / ".venv").exists() else ("--no-venv",)
        with ProductionService(Path(folder), command=("run.py", "prod", *own_environment), **settings) as service:
            ready_s = service.ready_after_s
        with ProductionService(Path(folder), **settings) as service:

            def load(requests: Any, connections: int) -> Load:
                return asyncio.run(put_under_load(service.port, requests, connections=connections))

            def crossovers(some: int) -> Any:
                return map(crossover, islice(requests, some))

            service.settle()
            idle_bytes = max(service.memory_bytes())
            load(crossovers(100), 4)
            alone = load(crossovers(100 * scale), 1)
            health = asyncio.run(_health_beside_heavy_work(service.port, _model_backtest()))
            many = load(crossovers(500 * scale), 64)
            overload = load(crossovers(800 * scale), 600)
            peak_bytes, workers = max(service.memory_bytes("VmHWM")), len(service.workers())
    return _Observed(
        workers=workers,
        ready_s=ready_s,
        alone=alone,
        many=many,
        overload=overload,
        health=health,
        idle_bytes=idle_bytes,
        peak_bytes=peak_bytes,
    )


def _count(load: Load) -> str:
    return f"{sum(load.statuses.values()):,} requests"


async def _health_beside_heavy_work(port: int, model_backtest: bytes) -> Load:
    backtests = put_under_load(port, [large_backtest() for _ in range(3)], connections=1)
    large = asyncio.create_task(backtests)
    trading = put_under_load(port, repeat(model_backtest), connections=1, until=large.done)
    models = asyncio.create_task(trading)
    # Some connections, since each belongs to one worker, and only one of these is computing.
    beside = await put_under_load(port, repeat(get("/health")), connections=4, until=large.done, every_s=0.005)
    for heavy in (await large, await models):
        if set(heavy.statuses) != {200}:
            raise RuntimeError(f"the heavy work failed: {heavy.bodies}")
    return beside


def _model_backtest() -> bytes:
    """A request to trade a forest's predictions on simulated candles."""
    rows = np.random.default_rng(1).normal(size=(500, 5))
    model = RandomForestClassifier(50, max_depth=6, random_state=1).fit(rows, rows[:, 0] > rows[:, 3])
    content = io.BytesIO()
    joblib.dump(model, content)
    fields = {
        "user_id": "bench", "symbol": "BTCUSDT", "interval": "1m", "limit": str(MODEL_BARS), "source": "simulated",
    }  # fmt: skip
    return form("/api/models/backtest/ml", fields, "forest.joblib", content.getvalue())


def _beside(name: str, seconds: float, units: str, peer: str, peer_seconds: float, target: str) -> Measurement:
    return Measurement(
        name=name, seconds=seconds, units=units, peer_name=peer, peer_seconds=peer_seconds, target=target
    )


def _vectorbt_documented_seconds(bars: Bars) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import vectorbt as vbt
    close = pd.Series(bars.close, index=pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))

    def documented() -> None:
        fast, slow = vbt.MA.run(close, 20), vbt.MA.run(close, 50)
        portfolio = vbt.Portfolio.from_signals(
            close,
            fast.ma_crossed_above(slow),
            fast.ma_crossed_below(slow),
            init_cash=10_000,
            fees=0.001,
            slippage=0.001,
            freq="1D",
        )
        for metric in (portfolio.total_return, portfolio.sharpe_ratio, portfolio.max_drawdown):
            metric()
        portfolio.trades.win_rate()
        portfolio.trades.profit_factor()

    return best_of(documented, repeats=10)
