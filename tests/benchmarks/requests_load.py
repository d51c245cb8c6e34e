"""Whole requests to the service as production runs it, from another process: latency, throughput, overload, memory."""

from __future__ import annotations

import asyncio
import io
import tempfile
import warnings
from dataclasses import replace
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from src.domain.market import DAY_MS, Bars
from tests.benchmarks.measurement import Measurement, Memory, best_of
from tests.exchange import LoopbackExchange
from tests.load import Load, ProductionService, form, get, graphql, put_under_load
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
    """A request that no other is equal to: the same arithmetic on other money."""
    return graphql(
        DOCUMENT,
        {
            "input": {
                "userId": "bench",
                "initCash": 10_000 + next(_numbers),
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
    return graphql(SIZE_ONLY, {"input": {"userId": "bench", "initCash": next(_numbers), "fetchInput": market}})


def measure(*, quick: bool = False) -> list[Measurement | Memory]:
    """Measure; about half a minute, or ten seconds where a quick run was asked for."""
    bars = random_bars(BARS + 100, seed=5, interval="1d")
    bars = replace(bars, symbol="BTCUSDT")
    requests = repeat(int(bars.open_time_ms[50]))
    scale = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder, LoopbackExchange([bars]) as exchange:
        settings = {"BINANCE_API_URL": exchange.url, "BINANCE_FALLBACK_URL": "none"}
        with ProductionService(Path(folder), **settings) as service:

            def load(requests: Any, connections: int) -> Load:
                return asyncio.run(put_under_load(service.port, requests, connections=connections))

            def crossovers(some: int) -> Any:
                return map(crossover, islice(requests, some))

            service.settle()
            idle = max(service.memory_bytes())
            load(crossovers(100), 4)
            alone = load(crossovers(100 * scale), 1)
            many = load(crossovers(500 * scale), 64)
            overload = load(crossovers(800 * scale), 600)
            beside = asyncio.run(_health_beside_heavy_work(service.port, _model_backtest()))
            peak = max(service.memory_bytes("VmHWM"))
            workers, ready_s = len(service.workers()), service.ready_after_s
    documented = _vectorbt_documented_seconds(bars.slice(50, 50 + BARS))
    name = "crossover request: HTTP, data, engine, 30 metrics, stored, 1,000 rows"
    peer = "vectorbt documented: its arithmetic alone"
    failed = many.elapsed_s if set(many.statuses) != {200} else 0.0
    served = overload.statuses.get(200, 0)
    return [
        _beside(f"{name}, median", alone.percentile(0.5), UNITS, peer, documented, "≤ 12 ms"),
        _beside(f"{name}, p99", alone.percentile(0.99), UNITS, peer, documented, "≤ 40 ms"),
        _beside(
            f"the same under 64 connections, {workers} workers, per request"
            + (f", NOT ALL ANSWERED: {many.statuses}" if failed else ""),
            many.elapsed_s / sum(many.statuses.values()),
            f"{sum(many.statuses.values()):,} requests",
            "150 requests/s",
            1 / 150,
            "≥ 150/s, no error",
        ),
        _beside(
            f"the same under 600 connections, median of those served ({served} served, "
            f"{overload.statuses.get(503, 0)} refused with 503, "
            f"{sum(overload.statuses.values()) - served - overload.statuses.get(503, 0)} others)",
            overload.percentile(0.5),
            f"{sum(overload.statuses.values()):,} requests",
            "time limit of a request",
            120.0,
            "some refused, the rest in time",
        ),
        _beside(
            f"/health beside backtests of {LARGE_BARS:,} bars and of a forest on {MODEL_BARS:,}, p99",
            beside.percentile(0.99),
            f"{sum(beside.statuses.values()):,} requests",
            "its promise",
            0.050,
            "≤ 50 ms",
        ),
        _beside("start of production until /ready", ready_s, f"{workers} workers", "its promise", 4.0, "≤ 4 s"),
        Memory(name="worker after its start", bytes=idle, units="nothing yet"),
        Memory(name="worker at its highest, after all of this", bytes=peak, units=f"{LARGE_BARS:,} bars among it"),
    ]


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
