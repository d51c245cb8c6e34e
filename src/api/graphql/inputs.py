"""What clients send: the input types, and how they become the plain fields that REST's forms become too."""

from __future__ import annotations

from typing import Final, TypeVar

import strawberry

from src.api.graphql.enums import Direction, EngineName, EntryType, FillTiming, IntrabarPolicy, OutputKind
from src.api.requests import DEFAULT_INTERVAL, LIMIT_RULE, BacktestFields, FetchFields
from src.domain.annualization import DEFAULT_ANNUALIZATION
from src.domain.errors import InvalidInput
from src.domain.runs import CrossoverChoice, ModelChoice
from src.domain.trading import TradingRules

_RULES: Final = TradingRules(fill=FillTiming.NEXT_OPEN)
_CROSSOVER: Final = CrossoverChoice()

Value = TypeVar("Value")


@strawberry.input(description="Which candles. Dates are UTC: YYYY-MM-DD or a full ISO 8601 instant.")
class OHLCVFetchInput:
    symbol: str | None = strawberry.field(
        default=None,
        description="Trading symbol, such as BTCUSDT; in a backtest it may stand beside fetchInput instead.",
    )
    interval: str | None = strawberry.field(
        default=DEFAULT_INTERVAL, description="Bar length: 1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M."
    )
    limit: int | None = strawberry.field(default=None, description=f"Most candles, a count ≥ 1. {LIMIT_RULE}")
    start_date: str | None = strawberry.field(default=None, description="First open time, included.")
    end_date: str | None = strawberry.field(
        default=None, description="Last open time, included; a bare date is included as a whole day."
    )
    source: str | None = strawberry.field(
        default=None, description="Where the candles come from; the service's default source where not given."
    )
    seed: int | None = strawberry.field(
        default=None, description="For the source simulated only: same seed, same candles."
    )

    def to_fields(self) -> FetchFields:
        return FetchFields(
            symbol=self.symbol,
            interval=self.interval,
            limit=self.limit,
            start_date=self.start_date,
            end_date=self.end_date,
            source=self.source,
            seed=self.seed,
        )


@strawberry.input(description="Lengths of the two moving averages of the close.")
class MACrossoverParams:
    fast: int | None = strawberry.field(
        default=_CROSSOVER.fast, description="Length of the fast moving average, in bars; less than slow."
    )
    slow: int | None = strawberry.field(
        default=_CROSSOVER.slow, description="Length of the slow moving average, in bars."
    )


@strawberry.input(description="A stored model and how to read it.")
class MLModelInput:
    model_path: str | None = strawberry.field(
        default=None, description="The stored model: its file name, or its path as the upload answered it."
    )
    feature_columns: list[str] | None = strawberry.field(
        default=None,
        description="The feature columns that the model gets, in this order; as the model says where null.",
    )
    threshold: float | None = strawberry.field(
        default=None,
        description=f"Long while the model's number is at least this; {ModelChoice().threshold} where null.",
    )
    output_kind: OutputKind | None = strawberry.field(
        default=None, description="What the model's numbers mean; as the model file says where null."
    )


@strawberry.input
class RunInput:
    """What both kinds of backtest take."""

    user_id: str = strawberry.field(
        description="Whose backtest: 1 to 64 characters of A-Z a-z 0-9 _ . @ -, the first a letter or digit."
    )
    symbol: str | None = strawberry.field(
        default=None, description="Trading symbol, such as BTCUSDT; that of fetchInput where null."
    )
    fetch_input: OHLCVFetchInput | None = strawberry.field(default=None, description="Which candles.")
    period: str | None = strawberry.field(
        default=None,
        description="Bar length as a pandas offset, such as 1D; one that contradicts the interval only warns.",
    )
    bars_per_year: float | None = strawberry.field(
        default=None, description="Number of bars in a year, that deviations are scaled with; from the bars where null."
    )
    risk_free_rate: float | None = strawberry.field(
        default=DEFAULT_ANNUALIZATION.risk_free_rate,
        description="Risk-free rate in Sharpe, Sortino and alpha: a fraction per year (0.05 = 5 %).",
    )
    init_cash: float | None = strawberry.field(
        default=_RULES.initial_cash, description="Starting cash, in the quote currency, > 0."
    )
    fees: float | None = strawberry.field(
        default=_RULES.fee_rate, description="Fraction of the traded value, each side (0.001 = 0.1 %)."
    )
    slippage: float | None = strawberry.field(
        default=_RULES.slippage_rate, description="Fraction of the price: buys fill at price × (1+s), sells × (1−s)."
    )
    fixed_size: float | None = strawberry.field(
        default=None, description="Units of the base asset per entry; all cash where neither size is given."
    )
    percent_size: float | None = strawberry.field(
        default=None, description="Fraction of equity per entry, 0 < p ≤ 1 (not per cent); not with fixedSize."
    )
    use_fallback: bool | None = strawberry.field(
        default=False, description="Where the strategy gives no signal at all, trade the up/down-day rule and say so."
    )
    fill: FillTiming | None = strawberry.field(
        default=None, description="When a signal is filled; null: SAME_CLOSE vectorised, NEXT_OPEN event-driven."
    )
    direction: Direction | None = strawberry.field(default=None, description="Event-driven only; LONG where null.")
    entry: EntryType | None = strawberry.field(default=None, description="Event-driven only; MARKET where null.")
    entry_offset: float | None = strawberry.field(
        default=None,
        description="Event-driven only: how far a waiting entry is from the signal's close, a fraction of it.",
    )
    entry_bars: int | None = strawberry.field(
        default=None, description="Event-driven only: how many bars a waiting entry lives; 1 where null."
    )
    stop_loss: float | None = strawberry.field(
        default=None, description="Event-driven only: a fraction of the entry price (0.02 = 2 %)."
    )
    take_profit: float | None = strawberry.field(
        default=None, description="Event-driven only: a fraction of the entry price."
    )
    trailing_stop: float | None = strawberry.field(
        default=None, description="Event-driven only: a fraction of the best price since entry."
    )
    max_bars: int | None = strawberry.field(
        default=None, description="Event-driven only: leave after so many bars, a count ≥ 1."
    )
    intrabar: IntrabarPolicy | None = strawberry.field(
        default=None, description="Event-driven only; PESSIMISTIC where null."
    )
    cross_check: bool | None = strawberry.field(
        default=False, description="Run both engines with the same fill and list the first fills that differ."
    )

    def _fields(
        self,
        *,
        crossover: MACrossoverParams | None = None,
        model: MLModelInput | None = None,
        engine: EngineName | None = None,
    ) -> BacktestFields:
        return BacktestFields(
            user_id=self.user_id,
            symbol=self.symbol,
            fetch=None if self.fetch_input is None else self.fetch_input.to_fields(),
            fast=None if crossover is None else crossover.fast,
            slow=None if crossover is None else crossover.slow,
            period=self.period,
            bars_per_year=self.bars_per_year,
            risk_free_rate=self.risk_free_rate,
            init_cash=self.init_cash,
            fees=self.fees,
            slippage=self.slippage,
            fixed_size=self.fixed_size,
            percent_size=self.percent_size,
            use_fallback=self.use_fallback,
            fill=self.fill,
            direction=self.direction,
            entry=self.entry,
            entry_offset=self.entry_offset,
            entry_bars=self.entry_bars,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            trailing_stop=self.trailing_stop,
            max_bars=self.max_bars,
            intrabar=self.intrabar,
            cross_check=self.cross_check,
            engine=engine,
            model_path=None if model is None else model.model_path,
            threshold=None if model is None else model.threshold,
            feature_columns=None if model is None or model.feature_columns is None else tuple(model.feature_columns),
            output_kind=None if model is None else model.output_kind,
        )


@strawberry.input(description="A moving-average crossover backtest.")
class BacktestInput(RunInput):
    ma_crossover_params: MACrossoverParams | None = strawberry.field(
        default=None, description=f"Moving averages; {_CROSSOVER.fast} and {_CROSSOVER.slow} bars where null."
    )

    def to_fields(self) -> BacktestFields:
        return self._fields(crossover=self.ma_crossover_params)


@strawberry.input(description="A backtest of a machine-learning model's predictions.")
class MLBacktestInput(RunInput):
    ml_model: MLModelInput | None = strawberry.field(
        default=None, description="The stored model; null where the file comes with the request."
    )
    threshold: float | None = strawberry.field(default=None, description="As mlModel.threshold.")
    feature_columns: list[str] | None = strawberry.field(default=None, description="As mlModel.featureColumns.")
    output_kind: OutputKind | None = strawberry.field(default=None, description="As mlModel.outputKind.")
    engine: EngineName | None = strawberry.field(
        default=EngineName.VECTORIZED, description="Which engine trades the predictions."
    )

    def to_fields(self) -> BacktestFields:
        """Return the plain fields.

        Raises
        ------
        InvalidInput
            Where a setting stands at the top and, differently, in `mlModel`.
        """
        nested = self.ml_model or MLModelInput()
        model = MLModelInput(
            model_path=nested.model_path,
            threshold=_one("threshold", self.threshold, nested.threshold),
            feature_columns=_one("featureColumns", self.feature_columns, nested.feature_columns),
            output_kind=_one("outputKind", self.output_kind, nested.output_kind),
        )
        return self._fields(model=model, engine=self.engine)


def _one(field: str, top: Value | None, nested: Value | None) -> Value | None:
    if top is not None and nested is not None and top != nested:
        raise InvalidInput(f"{field} is {top!r} but mlModel.{field} is {nested!r}; give it once", field=field)
    return nested if top is None else top
