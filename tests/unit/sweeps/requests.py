"""Short ways to write sweeps for tests."""

from __future__ import annotations

from typing import Any

from src.domain.runs import BacktestRequest
from src.domain.strategy import StrategyParams
from src.domain.sweeps import Search, SearchKind, SweepRequest, SweptParameter, ValueRange
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.strategies.registry import PARAMS
from tests.factories import make_request


def swept(name: str, *values: Any, **bounds: Any) -> SweptParameter:
    """A parameter with these values, or with a range of `start`, `end`, `step` and `scale`."""
    return SweptParameter(name=name, values=values or None, range=ValueRange(**bounds) if bounds else None)


def event_driven(strategy: StrategyParams | None = None, **rules: Any) -> BacktestRequest:
    given: dict[str, Any] = {"strategy": strategy} if strategy is not None else {}
    return make_request(
        engine=EngineName.EVENT_DRIVEN, rules=TradingRules(**({"fill": FillTiming.NEXT_OPEN} | rules)), **given
    )


def preset(name: str, **values: Any) -> BacktestRequest:
    return make_request(strategy=PARAMS[name](**values))


def sweep(*parameters: SweptParameter, kind: SearchKind = SearchKind.GRID, **others: Any) -> SweepRequest:
    """A sweep of crossovers; `backtest`, `constraints` and the fields of `Search` may be given."""
    of_search = {name: others.pop(name) for name in ("max_trials", "seed", "batch_size") if name in others}
    given = {"backtest": make_request(), "parameters": parameters, "search": Search(kind=kind, **of_search)}
    return SweepRequest(**(given | others))
