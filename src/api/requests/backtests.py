"""Build a `BacktestRequest` from a client's values, by either API: the one place that fills in defaults.

The values are a mapping of public names in snake_case, those that the domain's dataclasses declare
(`domain.parameters`); None means not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from src.api.caller import fill_user
from src.domain.error_text import FieldName, quote
from src.domain.errors import InvalidInput, bad_value
from src.domain.instants import format_instant
from src.domain.market import SIMULATED, LimitOrigin, MarketRequest
from src.domain.parameters import build, member_of, parameters_of
from src.domain.runs import BacktestRequest
from src.domain.strategy import ModelChoice, StrategyParams
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.domain.training import TrainingWindow
from src.strategies.registry import PARAMS

DEFAULT_FILL: Final = {
    EngineName.VECTORIZED: FillTiming.SAME_CLOSE,
    EngineName.EVENT_DRIVEN: FillTiming.NEXT_OPEN,
}

MAX_FEATURE_COLUMNS: Final = 200

SETTINGS: Final = tuple(
    item
    for item in parameters_of(BacktestRequest)
    if item.parameter.name not in {"user_id", "symbol", "interval", "engine"}
)
"""The parameters that responses show as settings: all but those that a result shows itself."""

Given = Mapping[str, object]


def build_market(given: Given, *, max_bars: int) -> MarketRequest:
    """Check and complete the market part of a request.

    Raises
    ------
    InvalidInput
        Naming the field, what was sent, and what is allowed.
    """
    market = build(MarketRequest, given)
    if market.seed is not None and market.source != SIMULATED:
        raise InvalidInput(
            "{field} is {got}. Allowed only if {@source} is {simulated!r}; it is {source}.",
            field="seed", got=market.seed, simulated=SIMULATED,
            source="the default one" if market.source is None else quote(market.source),
        )  # fmt: skip
    if given.get("limit") is not None:
        if market.limit > max_bars:
            raise bad_value("limit", got=market.limit, allowed=f"1 to {max_bars} bars (MAX_BARS)")
        return market
    if market.start_ms is None or market.end_ms is None:
        return replace(market, limit=min(market.limit, max_bars), limit_origin=LimitOrigin.DEFAULT)
    possible = market.interval.most_bars(market.start_ms, market.end_ms)
    return replace(market, limit=max(1, min(possible, max_bars)), limit_origin=LimitOrigin.RANGE)


def build_request(
    given: Given,
    strategy: str,
    params: Given,
    *,
    max_bars: int,
    engine: EngineName | None = None,
    has_model_file: bool = False,
) -> BacktestRequest:
    """Check and complete a request for a backtest.

    Parameters
    ----------
    given
        All values but the strategy's own parameters.
    strategy, params
        A name of the registry, and the given parameters of that strategy.
    engine
        The engine that the operation means; None if `given` names it.
    has_model_file
        Whether a model file came with the request.

    Raises
    ------
    InvalidInput
        Naming the field, what was sent, and what is allowed.
    """
    given = {**given, "user_id": fill_user(_text_or_none(given.get("user_id")))}
    if engine is None:
        named = str(given.get("engine") or EngineName.VECTORIZED)
        engine = EngineName(member_of(EngineName, named, field="engine"))
    request = build(
        BacktestRequest,
        given,
        engine=engine,
        market=build_market(given, max_bars=max_bars),
        rules=build(TradingRules, {**given, "fill": given.get("fill") or DEFAULT_FILL[engine]}),
        strategy=build(PARAMS[strategy], params),
    )
    if request.strategy.model is not None:
        _check_model(request.strategy.model, has_file=has_model_file)
        _check_training(request.strategy.model.training, request.market, has_file=has_model_file)
    return request


def _text_or_none(given: object) -> str | None:
    return None if given is None else str(given)


def _check_model(model: ModelChoice, *, has_file: bool) -> None:
    columns = model.feature_columns or ()
    if len(columns) > MAX_FEATURE_COLUMNS:
        raise InvalidInput(
            "{field} has {count} names. Maximum: {most}.",
            field="featureColumns", count=len(columns), most=MAX_FEATURE_COLUMNS,
        )  # fmt: skip
    if model.reference is None and not has_file:
        raise InvalidInput("{field} is required if no file is sent.", field="modelPath")
    if model.reference is not None and has_file:
        raise InvalidInput("{field} and a file are both given. Allowed: one of them.", field="modelPath")


def _check_training(window: TrainingWindow, market: MarketRequest, *, has_file: bool) -> None:
    """Raise InvalidInput if a window that is declared for a range ends after it, or is not whole.

    A label horizon alone may complete the window of a stored model, which is not known here.
    """
    if has_file:
        window.check_complete()
    if window.trained_to_ms is not None and market.end_ms is not None and window.trained_to_ms > market.end_ms:
        raise InvalidInput(
            "{field} ({got}) must not be after {@endDate} ({other}): on every bar up to it the model would know what "
            "comes.",
            field="trainedTo", got=format_instant(window.trained_to_ms), other=format_instant(market.end_ms),
        )  # fmt: skip


def echo_settings(request: BacktestRequest) -> dict[str, object]:
    """Return the requested settings, defaults filled in, by public names."""
    return {item.parameter.name: item.write(item.of(request)) for item in SETTINGS}


def echo_strategy(choice: StrategyParams) -> dict[str, Any]:
    """Return the strategy's own parameters, defaults filled in, by public names."""
    return {item.parameter.name: item.write(item.of(choice)) for item in parameters_of(type(choice))}


def merge(outer: Given, inner: Given, *, inner_name: str) -> dict[str, object]:
    """Return the fields of the top level and of a nested object as one; a field that differs is an error.

    Raises
    ------
    InvalidInput
    """
    merged = dict(outer)
    for name, value in inner.items():
        if value is None:
            continue
        other = merged.get(name)
        if other is not None and other != value:
            raise InvalidInput(
                "{field} is {got!r} and {inner}.{field} is {other!r}. Allowed: one of them.",
                field=name, got=other, inner=FieldName(inner_name), other=value,
            )  # fmt: skip
        merged[name] = value
    return merged
