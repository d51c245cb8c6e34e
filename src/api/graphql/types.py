"""Define the output types; every field's description has its unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

import strawberry
from strawberry.scalars import JSON

from src.api.graphql.enums import FillReason, Side, Signal, TradeDirection
from src.api.requests.backtests import SETTINGS, echo_settings, echo_strategy
from src.domain import performance, runs
from src.domain.instants import format_instant
from src.domain.parameters import DeclaredParameter, parameters_of
from src.domain.signals import OutputKind, StrategyDescription
from src.domain.strategy import StrategyParams
from src.domain.training import TrainingWindow
from src.strategies.registry import first_line

Resolver = TypeVar("Resolver", bound=Callable[..., Any])


def described(description: str, **options: Any) -> Any:
    """Declare a field that reads an attribute."""
    return strawberry.field(description=description, **options)


_INSTANTS: Final = ("start", "end")
"""Metrics that are milliseconds in the domain and text here."""


def resolved(description: str) -> Callable[[Resolver], Resolver]:
    """Declare a field that the decorated function resolves (strawberry's own decorator hides its types)."""
    decorate: Callable[[Resolver], Resolver] = strawberry.field(description=description)
    return decorate


@strawberry.type(name="OHLCV", description="One bar.")
class Candle:
    date: str = described("Open time (ISO 8601, UTC).", name="Date")
    open: float = described("First price, in the quote currency.", name="Open")
    high: float = described("Highest price, in the quote currency.", name="High")
    low: float = described("Lowest price, in the quote currency.", name="Low")
    close: float = described("Last price, in the quote currency.", name="Close")
    volume: float = described("Traded volume, in units of the base asset.", name="Volume")


@strawberry.type(description="One feature of all bars.")
class FeatureColumn:
    name: str = described("Name of the feature.")
    values: list[float | None] = described(
        "Its value at each bar, null with too few bars before; prices in the quote currency, volumes in units of the "
        "base asset, the rest fractions."
    )


@strawberry.type(description="The features that a model would receive, column by column, oldest bar first.")
class FeatureTable:
    dates: list[str] = described("Open time of each bar (ISO 8601, UTC).")
    columns: list[FeatureColumn] = described("The features, in the order in which a model receives them.")
    total: int = described("Bars on all pages, a count.")


@strawberry.type(description="Symbols whose bars can be fetched.")
class CoinList:
    coins: list[str] = described("Trading symbols, sorted.")


_IF_READABLE: Final = "null if the run's bars cannot be read again, which extensions.warnings then says."


@strawberry.type(description="The simulation at one bar's close.")
class DataPoint:
    date: str = described("The bar's open time (ISO 8601, UTC).", name="Date")
    portfolio_value: float | None = described("Equity: cash + position × close, in the quote currency.")
    signal: Signal = described("The strategy's signal at this bar: buy, sell or hold.")
    close: float | None = described("The bar's last price, in the quote currency.")
    cash: float | None = described("Cash, in the quote currency.")
    position: float | None = described("Units of the base asset held; negative when short.")
    probability: float | None = described("The model's P(class 1), a fraction 0 to 1; null if it has none.")
    open: float | None = described(f"The bar's first price, in the quote currency; {_IF_READABLE}")
    high: float | None = described(f"The bar's highest price, in the quote currency; {_IF_READABLE}")
    low: float | None = described(f"The bar's lowest price, in the quote currency; {_IF_READABLE}")
    volume: float | None = described(f"Traded volume, in units of the base asset; {_IF_READABLE}")
    drawdown: float | None = described("(equity ÷ its running peak − 1) × 100, per cent, ≤ 0.")
    buy_and_hold: float | None = described(
        f"Equity of buying at the first bar and holding, at the run's costs, in the quote currency; {_IF_READABLE}"
    )


@strawberry.type(description="An order executed.")
class Fill:
    bar: int = described("Index of the bar, from 0.")
    time: str = described("That bar's open time (ISO 8601, UTC).")
    side: Side = described("buy or sell.")
    quantity: float = described("Units of the base asset, > 0.")
    price: float = described("Price after slippage, in the quote currency.")
    fee: float = described("Fee, in the quote currency.")
    reason: FillReason = described("Why the order was filled.")
    trade: int = described("Index of its trade among the trades, from 0; an open one is the last.")


@strawberry.type(description="A position from first entry to full exit; an open one is marked at the last close.")
class Trade:
    direction: TradeDirection = described("long or short.")
    quantity: float = described("Units of the base asset of all entries, > 0.")
    entry_bar: int = described("Index of the first entry's bar, from 0.")
    entry_time: str = described("That bar's open time (ISO 8601, UTC).")
    entry_price: float = described("Mean price of the entries by units, in the quote currency.")
    entry_fee: float = described("Fees of the entries, in the quote currency.")
    exit_bar: int = described("Index of the last exit's bar, from 0; the last bar for an open trade.")
    exit_time: str = described("That bar's open time (ISO 8601, UTC).")
    exit_price: float = described(
        "Mean price of the exits by units, in the quote currency; what is left of an open trade counts at the last "
        "close."
    )
    exit_fee: float = described("Fees of the exits, in the quote currency.")
    funding: float = described("Funding that it paid, in the quote currency; negative if it got more.")
    profit: float = described("Profit after all fees and funding, in the quote currency.")
    return_rate: float | None = described("Profit ÷ (entry price × quantity) × 100, per cent.", name="return")
    bars_held: int = described("Exit bar − entry bar, in bars.")
    is_open: bool = described("Whether units are still held at the last bar.")
    exit_reason: FillReason | None = described("Reason of the last exit, as a fill's reason; null for an open trade.")


def _metrics_type() -> Any:
    """Make the type from the domain's table of metrics, so that it has exactly the same metrics."""
    hints = get_type_hints(performance.Metrics)
    namespace: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    for definition in performance.METRIC_DEFINITIONS:
        is_instant = definition.name in _INSTANTS
        namespace["__annotations__"][definition.name] = str if is_instant else hints[definition.name]
        namespace[definition.name] = described(f"{definition.definition} Unit: {definition.unit}.")
    return strawberry.type(
        type("Metrics", (), namespace),
        description="Metrics of a backtest; null if one does not exist. They have no id: if documents with different "
        "metrics meet in Apollo Client's cache, set typePolicies to { Metrics: { merge: true } }.",
    )


if TYPE_CHECKING:
    MetricsType = performance.Metrics
else:
    MetricsType = _metrics_type()


def metrics_of(metrics: performance.Metrics) -> Any:
    values = {field.name: getattr(metrics, field.name) for field in fields(metrics)}
    return MetricsType(**{**values, **{name: format_instant(values[name]) for name in _INSTANTS}})


def _echo_type(name: str, items: Sequence[DeclaredParameter], description: str) -> Any:
    """Make a type whose fields are those that parameters declare."""
    namespace: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    for item in items:
        kind = item.public_kind if item.rung_kind is None else list[_rung_type(item.rung_kind)]  # type: ignore[misc]
        namespace["__annotations__"][item.parameter.name] = kind | None if item.is_optional else kind
        namespace[item.parameter.name] = described(item.description)
    return strawberry.type(type(name, (), namespace), description=description)


@cache
def _rung_type(kind: type) -> Any:
    """Make the type of a rung as the settings show it."""
    return _echo_type(kind.__name__, parameters_of(kind), first_line(kind))


_TRAINING: Final = parameters_of(TrainingWindow)

if TYPE_CHECKING:

    class _TrainingEcho:
        pass
else:
    _TrainingEcho = _echo_type("TrainingEcho", _TRAINING, "The training window of a model.")


@strawberry.type(description="The strategy that gave the signals.")
class Strategy(_TrainingEcho):
    name: str = described("Name of the strategy.")
    fast_ma_period: int | None = described("Length of the fast moving average, in bars.")
    slow_ma_period: int | None = described("Length of the slow moving average, in bars.")
    threshold: float | None = described("Long while the model's number is at least this.")
    feature_columns: list[str] | None = described("Feature columns asked for, in order; null: as the model says.")
    output_kind: OutputKind | None = described("What the model's numbers were declared to mean.")
    model_path: str | None = described("Name of the stored model; null if its file came with the request.")
    model_sha256: str | None = described("SHA-256 of the model file.")
    parameters: JSON | None = described("Every parameter that the strategy ran with; null in lists.")
    lookback_bars: int | None = described("Bars that it needs before its first signal, a count; null if not known.")
    warm_up_bars: int = described("Bars before the range that it read and nothing traded, a count.")


def strategy_of(
    params: StrategyParams, name: str, description: StrategyDescription | None = None, *, warm_up_bars: int = 0
) -> Strategy:
    chosen: dict[str, Any] = echo_strategy(params)
    columns = chosen.get("feature_columns")
    return Strategy(
        name=name,
        fast_ma_period=chosen.get("fast"),
        slow_ma_period=chosen.get("slow"),
        threshold=chosen.get("threshold"),
        feature_columns=None if columns is None else list(columns),
        output_kind=chosen.get("output_kind"),
        model_path=chosen.get("model_path"),
        model_sha256=None if params.model is None else params.model.sha256,
        parameters=None if description is None else JSON(dict(description.parameters)),
        lookback_bars=params.lookback_bars,
        warm_up_bars=warm_up_bars,
        **{item.parameter.name: chosen.get(item.parameter.name) for item in _TRAINING},
    )


if TYPE_CHECKING:
    Settings = Any
else:
    Settings = _echo_type("Settings", SETTINGS, "Requested settings, with defaults filled in.")


def settings_of(request: runs.BacktestRequest) -> Any:
    shown = echo_settings(request)
    for item in SETTINGS:
        if item.rung_kind is not None:
            rungs: Any = shown[item.parameter.name]
            shown[item.parameter.name] = [_rung_type(item.rung_kind)(**rung) for rung in rungs]
    return Settings(**shown)
