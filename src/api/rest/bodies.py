"""What requests for a backtest may say: fields, types and units, in either spelling; unknown fields are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from src.api.errors import explain_validation
from src.api.requests import LIMIT_RULE, BacktestFields, FetchFields
from src.api.rest import values
from src.api.spelling import in_one_spelling
from src.api.uploads import FILE_FIELD, ReceivedForm
from src.domain.annualization import (
    MAX_BARS_PER_YEAR,
    MAX_RISK_FREE_RATE,
    MIN_BARS_PER_YEAR,
    MIN_RISK_FREE_RATE,
)
from src.domain.errors import InvalidInput, MalformedRequest, UnsupportedFormat
from src.domain.signals import OutputKind
from src.domain.trading import Direction, EngineName, EntryType, FillTiming, IntrabarPolicy

JSON_MEDIA_TYPE: Final = "application/json"


def _no_boolean(value: object) -> object:
    # Python counts true as 1; a client that sends it for a number has made a mistake.
    if isinstance(value, bool):
        raise ValueError("it should be a number")
    return value


def _name_list(value: object) -> object:
    """Read a list of names as JSON, comma-separated, or (as forms repeat a field) a list of either."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)):
        raise ValueError("it should be a list of column names")
    names: list[str] = []
    for text in texts:
        if not isinstance(text, str):
            raise ValueError("it should be a list of column names")
        names += _names_in(text)
    return names


def _names_in(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("it should be a JSON list of column names, or names separated by commas") from error
    if not all(isinstance(name, str) for name in names):
        raise ValueError("it should be a list of column names")
    return list(names)


Number = Annotated[float, BeforeValidator(_no_boolean)]
Whole = Annotated[int, BeforeValidator(_no_boolean), Field(ge=-(2**63), lt=2**63)]
NameList = Annotated[list[str], BeforeValidator(_name_list)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class FetchBody(_Body):
    """Which candles."""

    symbol: str | None = Field(None, description="Trading symbol, e.g. BTCUSDT.", json_schema_extra=values.SYMBOL)
    interval: str | None = Field(
        None,
        description="Kline interval, 1s to 1M; 1d where not given.",
        json_schema_extra=values.optional(values.INTERVAL),
    )
    limit: Whole | None = Field(None, description=f"Most bars. {LIMIT_RULE}", json_schema_extra=values.COUNT)
    start_date: str | None = Field(
        None,
        description="First date, YYYY-MM-DD or an ISO 8601 instant (UTC); included.",
        json_schema_extra=values.DATE,
    )
    end_date: str | None = Field(
        None,
        description="Last date, YYYY-MM-DD (the whole day) or an instant; included.",
        json_schema_extra=values.DATE,
    )
    source: str | None = Field(None, description="Where candles come from; the service's own choice where not given.")
    seed: Whole | None = Field(None, description="Seed of simulated candles; with the source simulated only.")


class CrossoverParameters(_Body):
    """The two moving averages."""

    fast: Whole | None = Field(
        None, description="Bars of the fast mean; 20 where not given.", json_schema_extra=values.COUNT
    )
    slow: Whole | None = Field(
        None, description="Bars of the slow mean; 50 where not given; more than fast.", json_schema_extra=values.COUNT
    )


class _TradingBody(FetchBody):
    """The settings that every backtest shares."""

    user_id: str = Field(
        description="Whose backtest it is: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.", json_schema_extra=values.USER_ID
    )
    period: str | None = Field(None, description="Bar length as a pandas offset, e.g. 1D; the interval's by default.")
    bars_per_year: Number | None = Field(
        None,
        description="Number of bars in a year, that deviations are scaled with; from the bars where not given.",
        json_schema_extra={"minimum": MIN_BARS_PER_YEAR, "maximum": MAX_BARS_PER_YEAR},
    )
    risk_free_rate: Number | None = Field(
        None,
        description="Risk-free rate in Sharpe, Sortino and alpha: a fraction per year (0.05 = 5 %); 0 by default.",
        json_schema_extra={"minimum": MIN_RISK_FREE_RATE, "exclusiveMaximum": MAX_RISK_FREE_RATE},
    )
    init_cash: Number | None = Field(
        None, description="Starting cash, quote currency; 10000 where not given.", json_schema_extra=values.CASH
    )
    fees: Number | None = Field(
        None,
        description="Fraction of the traded value, each side; 0.001 where not given.",
        json_schema_extra=values.RATE,
    )
    slippage: Number | None = Field(
        None, description="Fraction of the price, each side; 0.001 where not given.", json_schema_extra=values.RATE
    )
    fixed_size: Number | None = Field(
        None, description="Units per entry; all cash where no size is given.", json_schema_extra=values.SIZE
    )
    percent_size: Number | None = Field(
        None, description="Fraction of equity per entry, 0 < p ≤ 1.", json_schema_extra=values.SHARE
    )
    use_fallback: bool | None = Field(None, description="Trade the up/down-day rule where no signal is given at all.")
    fill: str | None = Field(
        None, description="SAME_CLOSE or NEXT_OPEN.", json_schema_extra=values.optional(values.any_case(FillTiming))
    )
    engine: str | None = Field(
        None, description="VECTORIZED or EVENT_DRIVEN.", json_schema_extra=values.optional(values.any_case(EngineName))
    )
    direction: str | None = Field(
        None,
        description="LONG, SHORT or BOTH (event-driven engine).",
        json_schema_extra=values.optional(values.any_case(Direction)),
    )
    entry: str | None = Field(
        None,
        description="MARKET, LIMIT or STOP (event-driven engine).",
        json_schema_extra=values.optional(values.any_case(EntryType)),
    )
    entry_offset: Number | None = Field(
        None, description="Fraction of the signal's close (event-driven engine).", json_schema_extra=values.RATE
    )
    entry_bars: Whole | None = Field(
        None, description="Bars that an entry order lives (event-driven engine).", json_schema_extra=values.COUNT
    )
    stop_loss: Number | None = Field(
        None, description="Fraction of the entry price (event-driven engine).", json_schema_extra=values.POSITIVE_RATE
    )
    take_profit: Number | None = Field(
        None, description="Fraction of the entry price (event-driven engine).", json_schema_extra=values.POSITIVE
    )
    trailing_stop: Number | None = Field(
        None, description="Fraction of the best price (event-driven engine).", json_schema_extra=values.POSITIVE_RATE
    )
    max_bars: Whole | None = Field(
        None, description="Bars after which to leave (event-driven engine).", json_schema_extra=values.COUNT
    )
    intrabar: str | None = Field(
        None,
        description="PESSIMISTIC or OPTIMISTIC (event-driven engine).",
        json_schema_extra=values.optional(values.any_case(IntrabarPolicy)),
    )
    cross_check: bool | None = Field(None, description="Run the other engine too and report where they differ.")


class CrossoverBody(_TradingBody):
    """A backtest of crossing moving averages."""

    fetch_input: FetchBody | None = Field(None, description="Which candles, as GraphQL takes it.")
    ma_crossover_params: CrossoverParameters | None = Field(None, description="The averages, as GraphQL takes them.")
    fast: Whole | None = Field(
        None, description="Bars of the fast mean; 20 where not given.", json_schema_extra=values.COUNT
    )
    slow: Whole | None = Field(
        None, description="Bars of the slow mean; 50 where not given; more than fast.", json_schema_extra=values.COUNT
    )


class MlBacktestForm(_TradingBody):
    """A backtest of the model file that comes with the form."""

    symbol: str = Field(description="Trading symbol, e.g. BTCUSDT.", json_schema_extra=values.SYMBOL)
    threshold: Number | None = Field(None, description="Long while the prediction is at least this; 0.5 by default.")
    feature_columns: NameList | None = Field(
        None, description="Columns that the model receives, in order: JSON, comma-separated, or repeated."
    )
    output_kind: str | None = Field(
        None,
        description="What the model puts out, where its file does not say.",
        json_schema_extra=values.optional(values.any_case(OutputKind)),
    )


def check_json(content_type: str) -> None:
    """Raise UnsupportedFormat where a Content-Type header does not say that the body is JSON."""
    if content_type.partition(";")[0].strip().lower() != JSON_MEDIA_TYPE:
        raise UnsupportedFormat(f"Content-Type is {content_type[:100]!r}; allowed: {JSON_MEDIA_TYPE}")


_FETCH_NAMES: Final = tuple(name for name in FetchBody.model_fields if name != "symbol")
_FLAT_NAMES: Final = frozenset(_TradingBody.model_fields) - {*_FETCH_NAMES}
_BodyType = TypeVar("_BodyType", bound=_TradingBody)


def read_crossover_body(content: bytes) -> BacktestFields:
    """Read the JSON body of a crossover backtest.

    Raises
    ------
    MalformedRequest
        Where it is not a JSON object.
    InvalidInput
        Where a field is unknown, missing or of the wrong type.
    """
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise MalformedRequest("the body is not a JSON object")
    body = _validate(CrossoverBody, raw)
    averages = body.ma_crossover_params or CrossoverParameters()
    return BacktestFields(
        **body.model_dump(include=set(_FLAT_NAMES)),
        fetch=_fetch_fields(body, body.fetch_input or FetchBody()),
        fast=_only("fast", body.fast, averages.fast),
        slow=_only("slow", body.slow, averages.slow),
    )


def read_ml_form(form: ReceivedForm) -> BacktestFields:
    """Read the text fields of the form that a model file comes with; an empty text counts as not sent.

    Raises
    ------
    InvalidInput
        Where a field is unknown, missing, of the wrong type, or sent twice though it is no list.
    """
    raw: dict[str, object] = {}
    for name, texts in form.texts.items():
        if name == "feature_columns":
            raw[name] = [text for text in texts if text] or None
        elif (text := form.text(name)) or name in {"user_id", "symbol"}:
            raw[name] = text
    for name in form.files:
        if name != FILE_FIELD:
            raw[name] = "a file"
    body = _validate(MlBacktestForm, raw)
    return BacktestFields(
        **body.model_dump(include={*_FLAT_NAMES, "threshold", "output_kind"}),
        fetch=_fetch_fields(body, FetchBody()),
        feature_columns=None if body.feature_columns is None else tuple(body.feature_columns),
    )


def _validate(kind: type[_BodyType], raw: Mapping[str, object]) -> _BodyType:
    try:
        return kind.model_validate(_one_spelling(raw))
    except ValidationError as error:
        raise explain_validation(error.errors(include_url=False), allowed=_known(kind)) from error


def _known(kind: type[BaseModel]) -> Sequence[str]:
    return (*((FILE_FIELD,) if kind is MlBacktestForm else ()), *kind.model_fields)


def _one_spelling(raw: Mapping[str, object]) -> dict[str, object]:
    """Return the fields under their snake_case names; InvalidInput where one came in both spellings."""
    return {
        name: _one_spelling(value) if isinstance(value, dict) else value
        for name, value in in_one_spelling(raw.items()).items()
    }


def _fetch_fields(body: _TradingBody, nested: FetchBody) -> FetchFields:
    values: dict[str, Any] = {name: _only(name, getattr(body, name), getattr(nested, name)) for name in _FETCH_NAMES}
    return FetchFields(symbol=nested.symbol, **values)


def _only(name: str, flat: object, nested: object) -> Any:
    if flat is not None and nested is not None:
        raise InvalidInput(f"{name} is given twice, at the top and in a nested object; allowed: once", field=name)
    return nested if flat is None else flat
