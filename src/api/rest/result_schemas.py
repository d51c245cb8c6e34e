"""What responses about backtests look like, for OpenAPI, and where each field is found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from src.api.components import enum_of, words_enum
from src.api.requests.backtests import SETTINGS
from src.api.rest.data_schemas import QualitySchema
from src.api.rest.response_schema import Instant, ResponseSchema, at, schema_for
from src.api.rest.schemas import Data, Envelope
from src.api.rest.values import enum_schema_of
from src.domain.confidence import Deflation
from src.domain.judgement import Judgement, SampleResult
from src.domain.later_checks import Neighbors, OtherMarkets, ResolvedFills
from src.domain.parameters import DeclaredParameter, parameters_of
from src.domain.performance import HEAD_METRICS, METRIC_DEFINITIONS, Metrics
from src.domain.signals import Action, OutputKind
from src.domain.simulation import FillReason, Side
from src.domain.trading import EngineName
from src.domain.verdict import Unchecked, VerdictLevel
from src.strategies.registry import first_line

_Signal = Annotated[str, words_enum("Signal", "What a strategy says at a bar's close.", [item.word for item in Action])]
_Side = Annotated[str, words_enum("Side", "The side of an executed order.", [side.word for side in Side])]
_Reason = Annotated[str, words_enum("FillReason", "Why an order was filled.", [reason.word for reason in FillReason])]
_Direction = Annotated[str, words_enum("TradeDirection", "The direction of a trade.", ["long", "short"])]
_OutputKind = Annotated[str, WithJsonSchema(enum_of(OutputKind, ignores_case=True))]
_Engine = Annotated[str, WithJsonSchema(enum_of(EngineName, ignores_case=True))]


class BarRow(BaseModel):
    """One bar of a backtest."""

    Date: str = Field(description="Open time, ISO 8601, UTC.")
    portfolio_value: float = Field(description="Cash + position × close, quote currency.")
    signal: _Signal = Field(description="buy, sell or hold, decided at this bar's close.")
    close: float = Field(description="Close, quote currency.")
    cash: float = Field(description="Cash at the close, quote currency.")
    position: float = Field(description="Units of the base asset held at the close; negative when short.")
    probability: float | None = Field(description="The model's P(class 1), 0 to 1; null if it has none.")


class FillRow(BaseModel):
    """An executed order."""

    bar: int = Field(description="Index of the bar.")
    time: str = Field(description="That bar's open time, ISO 8601, UTC.")
    side: _Side = Field(description="buy or sell.")
    quantity: float = Field(description="Units of the base asset.")
    price: float = Field(description="Price after slippage, quote currency.")
    fee: float = Field(description="Fee, quote currency.")
    reason: _Reason = Field(
        description="signal, stop_loss, take_profit, trailing_stop, time, limit, stop or liquidation."
    )
    trade: int = Field(description="Index of its trade among the trades, from 0; an open one is the last.")


class TradeRow(BaseModel):
    """A position from its first entry to its full exit; an open one is marked at the last close.

    Prices are means by units, fees sums; the fills of its parts have its number.
    """

    direction: _Direction = Field(description="long or short.")
    quantity: float = Field(description="Units of the base asset, of all entries.")
    entry_bar: int = Field(description="Index of the first entry's bar.")
    entry_time: str = Field(description="Its open time, ISO 8601, UTC.")
    entry_price: float = Field(description="Quote currency.")
    entry_fee: float = Field(description="Quote currency.")
    exit_bar: int = Field(description="Index of the last exit's bar; of the last bar while open.")
    exit_time: str = Field(description="Its open time, ISO 8601, UTC.")
    exit_price: float = Field(
        description="Quote currency; the last close while open, with partial exits the mean of theirs and it."
    )
    exit_fee: float = Field(description="Quote currency; while open, of partial exits.")
    exit_reason: _Reason | None = Field(description="Of the last exit, as a fill's reason; null while open.")
    funding: float = Field(description="What the position paid, quote currency; negative if it got more.")
    profit: float = Field(description="After all fees and funding, quote currency.")
    return_: float = Field(alias="return", description="Profit ÷ (entry price × quantity) × 100, per cent.")
    bars_held: int = Field(description="Bars from entry to exit.")
    is_open: bool = Field(description="Whether it was still open at the last bar.")


def metric_fields(names: Iterable[str], *, path: str = "") -> dict[str, Any]:
    """Return the metrics as pydantic fields, described by the domain's table, read from `path`."""
    found: dict[str, Any] = {}
    for metric in METRIC_DEFINITIONS:
        if metric.name not in names:
            continue
        is_optional = "None" in str(Metrics.__annotations__[metric.name])
        kind: Any = {"text": str, "ISO 8601, UTC": Instant, "count": int}.get(metric.unit, float)
        found[metric.name] = (
            kind | None if is_optional else kind,
            at(f"{path}{metric.name}", f"{metric.definition} Unit: {metric.unit}."),
        )
    return found


MetricsSchema: Final = create_model(
    "MetricsSchema",
    __base__=ResponseSchema,
    __doc__="Every metric; null if it does not exist (no trades, no variance, no loss).",
    **metric_fields([metric.name for metric in METRIC_DEFINITIONS]),
)
_HeadMetrics: Final = create_model(
    "_HeadMetrics", __base__=ResponseSchema, **metric_fields(HEAD_METRICS, path="run.metrics.")
)


if TYPE_CHECKING:
    JudgementSchema = ResponseSchema
    SampleSchema = ResponseSchema
    DeflationSchema = ResponseSchema
    NeighborsSchema = ResponseSchema
    OtherMarketsSchema = ResponseSchema
    ResolvedFillsSchema = ResponseSchema
    UncheckedSchema = ResponseSchema
else:
    JudgementSchema = schema_for(Judgement)
    SampleSchema = schema_for(SampleResult, metrics=MetricsSchema)
    DeflationSchema = schema_for(Deflation)
    NeighborsSchema = schema_for(Neighbors)
    OtherMarketsSchema = schema_for(OtherMarkets)
    ResolvedFillsSchema = schema_for(ResolvedFills)
    UncheckedSchema = schema_for(Unchecked)


class CheckEnvelope(Envelope[Data]):
    """The envelope of a check that was asked for."""

    model_config = ConfigDict(json_schema_extra={"description": "The envelope of a check that was asked for."})

    unchecked: UncheckedSchema | None = Field(description="Why `data` is null; null if it is not.")


class Version(BaseModel):
    """A program or library, and its version."""

    name: str = Field(description="Its name.")
    version: str = Field(description="Its version.")


class Timing(BaseModel):
    """A step of a run, and its duration."""

    step: str = Field(description="The step's name.")
    milliseconds: float = Field(description="Its wall time in milliseconds.")


def _echo_fields(parameters: Iterable[DeclaredParameter]) -> dict[str, Any]:
    """Return parameters as fields of a response, which shows the value that applied."""
    found: dict[str, Any] = {}
    for item in parameters:
        kind: Any = {float: float, int: int, bool: bool}.get(item.public_kind, str)
        if item.rung_kind is not None:
            kind = list[_rung_shown(item.rung_kind)]  # type: ignore[misc]
        if (enum := enum_schema_of(item)) is not None:
            kind = Annotated[str, WithJsonSchema(enum)]
        found[item.parameter.name] = (kind | None, Field(description=f"{item.parameter.meaning.rstrip('.')}."))
    return found


def _rung_shown(kind: type) -> Any:
    """Return a rung as responses show it."""
    return create_model(kind.__name__, __doc__=first_line(kind), **_echo_fields(parameters_of(kind)))


Settings: Final = create_model(
    "Settings",
    __config__=ConfigDict(extra="allow"),
    __doc__="The requested settings, defaults filled in, and the strategy's own parameters under the request's names.",
    **_echo_fields(SETTINGS),
)


class StrategyParameters(BaseModel):
    """A strategy's own parameters under their camelCase names, as in GraphQL."""

    model_config = ConfigDict(extra="allow")


class Strategy(BaseModel):
    """The strategy of a run; null stands for what it does not have."""

    name: str = Field(description="Its name for people.")
    fast_ma_period: int | None = Field(description="Bars of the fast average, or of the fast line.")
    slow_ma_period: int | None = Field(description="Bars of the slow average, or of the slow line.")
    threshold: float | None = Field(description="Long while the model's number is at least this.")
    feature_columns: list[str] | None = Field(description="The feature columns that the model gets, in this order.")
    output_kind: _OutputKind | None = Field(description="What the model's numbers mean; null: as the model file says.")
    model_path: str | None = Field(description="The stored model's file name; null if the file came with the request.")
    trained_from: str | None = Field(description="First instant of the training window, ISO 8601, UTC.")
    trained_to: str | None = Field(description="Last instant of the training window, ISO 8601, UTC.")
    label_horizon: int | None = Field(description="Bars that a label looks ahead.")
    model_sha256: str | None = Field(description="SHA-256 of the model file.")
    parameters: StrategyParameters | None = Field(
        description="Its own parameters under their camelCase names; `settings` has them under the request's names. "
        "Null in lists."
    )
    lookback_bars: int | None = Field(description="Bars before the first signal; null if not known.")
    warm_up_bars: int = Field(description="Bars before the range that it read.")


class SummarySchema(_HeadMetrics):
    """A stored backtest without its tables."""

    id: str = at("run.id", "The result's id.")
    status: str = Field(description="Always success: a failed backtest is an error.")
    symbol: str = at("run.request.market.symbol", "Trading symbol.")
    interval: str = at("run.request.market.interval.name", "Kline interval.")
    created_at: Instant = at("run.created_ms", "Time of the run, ISO 8601, UTC.")
    user_id: str = at("run.request.user_id", "Who asked for it.")
    engine: _Engine = at("run.request.engine", "VECTORIZED or EVENT_DRIVEN.")
    settings: Settings = Field(description="Requested settings, defaults filled in, under the request's names.")
    metrics: MetricsSchema = at("run.metrics", "Every metric.")
    strategy: Strategy = Field(description="The strategy's name and its parameters (those null in lists).")
    origin: str = at("run.origin", "Source of the bars.")
    verdict_level: VerdictLevel | None = at(
        "run.verdict_level", "The level of the judgement's verdict; null for results of earlier versions."
    )
    out_of_sample_level: VerdictLevel | None = at(
        "run.out_of_sample_level",
        "The level of the part after the model's training window; null without such a part, and for results of earlier "
        "versions.",
    )
    warnings: list[str] = Field(description="Reasons to doubt the figures, in full sentences.")
    data_fingerprint: str = at("run.fingerprints.bars", "SHA-256 of the bars, warm-up included.")
    model_sha256: str | None = at("run.fingerprints.model", "SHA-256 of the model file; null without one.")
    funding_fingerprint: str | None = at(
        "run.fingerprints.funding", "SHA-256 of the rates of the funding history; null without one."
    )
    versions: list[Version] = Field(description="Name and version of what the numbers depend on.")


class FillDifferenceRow(ResponseSchema):
    """A fill in which the engines differ; null if that engine has none."""

    index: int = Field(description="Index of the fill.")
    vectorized: str | None = Field(description="The vectorized engine's fill, in words.")
    event_driven: str | None = Field(description="The event-driven engine's fill, in words.")


class CrossCheckSchema(ResponseSchema):
    """The same request through both engines with the same fill."""

    differences: list[FillDifferenceRow] = Field(description="The first fills that differ; empty if all agree.")
    left_out: list[str] = Field(description="Settings left out: only the event-driven engine knows them.")
    largest_equity_difference: float = Field(description="Largest relative difference of equity, a ratio.")


class DetailSchema(ResponseSchema):
    """What bars shorter than the interval settled, beside the run without them."""

    interval: str = Field(description="Length of the shorter bars.")
    resolved_bars: int = Field(description="Bars that were traded by the shorter bars inside them.")
    unresolved_bars: int = Field(description="Bars whose shorter bars are missing or do not make up the bar.")
    ambiguous_bars_without: int = Field(description="Bars in which intrabar decides without the shorter bars.")
    total_return_without: float = Field(description="Total return without the shorter bars, in per cent.")
    fingerprint: str | None = Field(description="SHA-256 of the shorter bars that were read; null if there were none.")


_ABSENT: Final = "; absent if the result is read with rows=false."


class ResultSchema(SummarySchema):
    """A finished backtest."""

    total_fills: int = Field(description="Orders executed.")
    reduced_entries: int = at("run.simulation.reduced_entries", "Entries cut to what cash or maxVolumeShare allowed.")
    dropped_entries: int = at(
        "run.simulation.dropped_entries", "Entries too small, without their exits, without a size or without volume."
    )
    ambiguous_bars: int = at("run.simulation.ambiguous_bars", "Bars in which intrabar decided what was hit.")
    liquidations: int = at("run.simulation.liquidations", "Positions that were liquidated.")
    is_liquidated: bool = at("run.simulation.is_liquidated", "Whether losses ended the run.")
    data_quality: QualitySchema = at("run.quality", "Gaps, duplicates and rejected rows of the bars.")
    timings: list[Timing] = Field(description="Each step with its wall time in milliseconds.")
    cross_check: CrossCheckSchema | None = at(
        "run.cross_check", "Comparison of both engines; null if it was not requested."
    )
    detail: DetailSchema | None = at("run.detail", "What detail_interval settled; null if it was not given.")
    judgement: JudgementSchema | None = at(
        "run.judgement", "Whether to believe the result, and why; null for results of earlier versions."
    )
    in_sample: SampleSchema | None = at(
        "run.in_sample", "The bars up to the end of the model's training window; null without one in them."
    )
    out_of_sample: SampleSchema | None = at(
        "run.out_of_sample", "A fresh run on the bars after the training window; null if none are left."
    )
    more_rows: dict[str, str] = Field(
        {}, description="Path of the next page of each table that is cut in this response; absent if none is."
    )
    data: list[BarRow] = Field([], description=f"Equity and signal at each bar, oldest first{_ABSENT}")
    fills: list[FillRow] = Field([], description=f"Orders executed, in time order{_ABSENT}")
    trades: list[TradeRow] = Field([], description=f"Trades in order of entry, including one still open{_ABSENT}")


class RerunSchema(BaseModel):
    """A stored backtest run again on the same bars."""

    original_id: str = Field(description="The stored result's id.")
    is_reproduced: bool = Field(description="Whether the new result equals the old one to the last bit.")
    differences: list[str] = Field(description="What differs, causes first; empty if nothing differs.")
    result: ResultSchema = Field(description="The new result, which is stored too.")


class SummaryPage(BaseModel):
    """One page of results, newest first."""

    items: list[SummarySchema] = Field(description="The results of this page.")
    next_cursor: str | None = Field(description="`after` for the next page; null on the last page.")
    warnings: list[str] = Field(description="Results of this page that cannot be read, in full sentences.")
