"""Small valid requests and results for tests that need one and do not care which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.domain.bar_quality import DataQuality
from src.domain.intervals import DAY_MS, Interval
from src.domain.market import MarketRequest
from src.domain.performance import Metrics
from src.domain.runs import BacktestRequest, BacktestResult, Fingerprints
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.simulation import FILL_DTYPE, TRADE_DTYPE, FillReason, Side, Simulation
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.strategies.crossover import CrossoverParams

START_MS = 1_600_000_000_000


def make_market(**overrides: Any) -> MarketRequest:
    given = {"symbol": "BTCUSDT", "interval": Interval.named("1d"), "limit": 1000}
    return MarketRequest(**(given | overrides))


def make_request(**overrides: Any) -> BacktestRequest:
    """A request of user `alice` for BTCUSDT; `symbol=` is a short cut for a market of that name."""
    symbol = overrides.pop("symbol", "BTCUSDT")
    given = {
        "user_id": "alice",
        "market": make_market(symbol=symbol),
        "strategy": CrossoverParams(),
        "rules": TradingRules(fill=FillTiming.SAME_CLOSE),
        "engine": EngineName.VECTORIZED,
    }
    return BacktestRequest(**(given | overrides))


def make_metrics(**overrides: Any) -> Metrics:
    """Metrics of a run without a trade: what cannot exist is None."""
    given: dict[str, Any] = dict.fromkeys(Metrics.__dataclass_fields__)
    given |= {
        "strategy_name": "MA crossover", "start": START_MS, "end": START_MS + 9 * DAY_MS, "bars": 10,
        "final_equity": 10_250.5, "total_return": 2.505, "sharpe_ratio": 1.25, "max_drawdown": 0.75, "exposure": 50.0,
        "turnover": 1.5, "total_fees": 12.25, "total_funding": 0.5, "total_trades": 1, "open_trades": 0,
        "winning_trades": 1, "losing_trades": 0, "win_rate": 100.0, "max_consecutive_wins": 1,
        "max_consecutive_losses": 0, "bars_per_year": 365.0, "annualisation": "calendar",
    }  # fmt: skip
    return Metrics(**(given | overrides))


def make_simulation(close: NDArray[np.float64], time_ms: NDArray[np.int64]) -> Simulation:
    """One unit bought at the first bar and sold at the last, without costs."""
    last = len(close) - 1
    position = np.ones(len(close))
    position[last] = 0.0
    cash = np.full(len(close), 10_000.0 - close[0])
    cash[last] += close[last]
    fills = np.array(
        [
            (0, time_ms[0], Side.BUY, 1.0, close[0], 0.0, FillReason.SIGNAL, 0, 0.0, 0.0),
            (last, time_ms[last], Side.SELL, 1.0, close[last], 0.0, FillReason.SIGNAL, 0, 0.0, 0.0),
        ],
        dtype=FILL_DTYPE,
    )
    trades = np.zeros(1, dtype=TRADE_DTYPE)
    profit = close[last] - close[0]
    trades[0] = (1, 1.0, 0, time_ms[0], close[0], 0.0, last, time_ms[last], close[last], 0.0, profit,
                 profit / close[0], last, False, FillReason.SIGNAL, 0.0)  # fmt: skip
    return Simulation(equity=cash + position * close, cash=cash, position=position, fills=fills, trades=trades)


def make_result(bars: int = 10, **overrides: Any) -> BacktestResult:
    """A finished backtest of `bars` ≥ 2 daily candles with one trade.

    `user_id=` and `symbol=` are short cuts for a request that has them.
    """
    request_overrides = {name: overrides.pop(name) for name in ("user_id", "symbol") if name in overrides}
    time_ms = START_MS + DAY_MS * np.arange(bars, dtype=np.int64)
    close = 100.0 + 10.0 * np.sin(np.arange(bars) / 3.0)
    action = np.zeros(bars, dtype=np.int8)
    action[0], action[-1] = Action.BUY, Action.SELL
    given = {
        "id": "result-1",
        "created_ms": START_MS,
        "request": make_request(**request_overrides),
        "time_ms": time_ms,
        "close": close,
        "signals": Signals(
            action=action, strategy=StrategyDescription(name="MA crossover", parameters={"fast": 20, "slow": 50})
        ),
        "simulation": make_simulation(close, time_ms),
        "metrics": make_metrics(bars=bars),
        "quality": DataQuality(expected_bars=bars, present_bars=bars),
        "origin": "simulated (seed 7)",
        "fingerprints": Fingerprints(bars="0" * 64, model=None, versions={"service": "0.1.0"}),
        "timings_ms": {"simulate": 0.75},
    }
    return BacktestResult(**(given | overrides))
