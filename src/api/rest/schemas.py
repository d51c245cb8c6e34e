"""What answers look like, for OpenAPI: properties, units, and the errors that an endpoint really gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, create_model

from src.api.error_table import EDGE_TABLE, ERROR_TABLE
from src.api.errors import PROBLEM_MEDIA_TYPE
from src.api.requests.uploads import FILE_FIELD
from src.api.rest import rules, values
from src.api.rest.answer_model import Answer, Instant, Written, at
from src.api.rest.bodies import BacktestBody, MlBacktestForm
from src.api.rest.data_schemas import QualityAnswer
from src.domain import errors
from src.domain.model_files import MODEL_EXTENSIONS
from src.domain.performance import HEAD_METRICS, METRIC_DEFINITIONS, Metrics

Data = TypeVar("Data")

UserId = Annotated[
    str, Path(description="Whose: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.", json_schema_extra=values.USER_ID)
]


class Problem(BaseModel):
    """An error (RFC 9457), with the service's own members."""

    type: str = Field(description="Path of the page that says how to fix this kind of problem (a relative URI).")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong here: what came, what is allowed.")
    instance: str | None = Field(None, description="The path that was asked; absent if the head was refused.")
    success: bool = Field(description="Always false.")
    message: str = Field(description="The same as detail.")
    code: str = Field(description="Stable code in upper snake case.")
    field: str | None = Field(None, description="The field at fault, where there is one.")
    errors: list[dict[str, Any]] | None = Field(None, description="The same as GraphQL says it; at /graphql only.")


class Envelope(BaseModel, Generic[Data]):
    """What every successful answer is wrapped in."""

    model_config = ConfigDict(json_schema_extra={"description": "What every successful answer is wrapped in."})

    success: bool = Field(description="Always true.")
    message: str = Field(description="One sentence for people.")
    data: Data = Field(description="What was asked for.")


class HealthAnswer(BaseModel):
    """That the process is alive."""

    status: str = Field(description="Always ok.")
    version: str = Field(description="The service's version.")


class ReadyAnswer(BaseModel):
    """That requests can be served."""

    status: str = Field(description="Always ready: otherwise the answer is an error.")
    parts: dict[str, str] = Field(description="Each part and its state.")


class ModelDescriptionAnswer(Answer):
    """What the sandbox saw in a model file."""

    format: str = Field(description="The file's format.")
    library: str = Field(description="The library that it was made with.")
    library_version: str | None = Field(description="That library's version, where the file says.")
    n_features: int | None = Field(description="Number of columns that the model wants, where the file says.")
    feature_names: list[str] | None = Field(description="Their names, where the file says.")
    output_kind: str | None = Field(description="What the model puts out, where the file says.")
    warnings: list[str] = Field(description="What the user should know.")
    details: dict[str, str] = Field(description="What else the file says.")


PathText = Annotated[str, Written(str)]


class ModelFileAnswer(Answer):
    """A model file that is kept here."""

    filename: str = at("path.name", "Name under which it is kept: user, model name, a unique id, extension.")
    original_filename: str = Field(description="Name under which it was sent.")
    file_path: PathText = at("path", "Path on the server.")
    relative_path: str = Field(description="Path from the storage folder's parent.")
    file_size: int = at("size_bytes", "Size, bytes.")
    user_id: str = Field(description="Whose it is.")
    model_name: str = Field(description="The name that the user gave it.")
    file_extension: str = at("extension", "Extension, with its dot.")
    sha256: str = Field(description="SHA-256 of the content, hexadecimal.")
    model: ModelDescriptionAnswer | None = at("description", "What it holds; null where nothing has opened it.")


class BarRow(BaseModel):
    """One bar of a backtest."""

    Date: str = Field(description="Open time, ISO 8601, UTC.")
    portfolio_value: float = Field(description="Cash + position × close, quote currency.")
    signal: str = Field(description="buy, sell or hold, decided at this bar's close.")
    close: float = Field(description="Close, quote currency.")
    cash: float = Field(description="Cash at the close, quote currency.")
    position: float = Field(description="Units of the base asset held at the close; negative when short.")
    probability: float | None = Field(description="The model's P(class 1), 0 to 1; null where it gives none.")


class FillRow(BaseModel):
    """An executed order."""

    bar: int = Field(description="Index of the bar.")
    time: str = Field(description="That bar's open time, ISO 8601, UTC.")
    side: str = Field(description="buy or sell.")
    quantity: float = Field(description="Units of the base asset.")
    price: float = Field(description="Price after slippage, quote currency.")
    fee: float = Field(description="Fee, quote currency.")
    reason: str = Field(description="signal, stop_loss, take_profit, trailing_stop, time, limit, stop or liquidation.")


class TradeRow(BaseModel):
    """A position from its entry to its full exit; an open one is marked at the last close."""

    direction: str = Field(description="long or short.")
    quantity: float = Field(description="Units of the base asset.")
    entry_bar: int = Field(description="Index of the entry's bar.")
    entry_time: str = Field(description="Its open time, ISO 8601, UTC.")
    entry_price: float = Field(description="Quote currency.")
    entry_fee: float = Field(description="Quote currency.")
    exit_bar: int = Field(description="Index of the exit's bar; of the last bar while open.")
    exit_time: str = Field(description="Its open time, ISO 8601, UTC.")
    exit_price: float = Field(description="Quote currency; the last close while open.")
    exit_fee: float = Field(description="Quote currency; 0 while open.")
    exit_reason: str | None = Field(description="As a fill's reason; null while open.")
    profit: float = Field(description="After both fees, quote currency.")
    return_: float = Field(alias="return", description="Profit ÷ (entry price × quantity), a fraction.")
    bars_held: int = Field(description="Bars from entry to exit.")
    is_open: bool = Field(description="Whether it was still open at the last bar.")


def _metric_fields(names: Iterable[str], *, path: str = "") -> dict[str, Any]:
    """Return the metrics as pydantic fields, described by the domain's own table, found at a path."""
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


MetricsAnswer: Final = create_model(
    "MetricsAnswer",
    __base__=Answer,
    __doc__="Every metric; null where it does not exist (no trades, no variance, no loss).",
    **_metric_fields([metric.name for metric in METRIC_DEFINITIONS]),
)
_HeadMetrics: Final = create_model("_HeadMetrics", __base__=Answer, **_metric_fields(HEAD_METRICS, path="run.metrics."))


class SummaryAnswer(_HeadMetrics):
    """A stored backtest without its tables."""

    id: str = at("run.id", "The result's id.")
    status: str = Field(description="Always success: failures are answered as errors.")
    symbol: str = at("run.request.market.symbol", "Trading symbol.")
    interval: str = at("run.request.market.interval.name", "Kline interval.")
    created_at: Instant = at("run.created_ms", "When it was run, ISO 8601, UTC.")
    user_id: str = at("run.request.user_id", "Who asked for it.")
    engine: str = at("run.request.engine", "VECTORIZED or EVENT_DRIVEN.")
    settings: dict[str, Any] = Field(description="What was asked for, defaults filled in, under the request's names.")
    metrics: MetricsAnswer = at("run.metrics", "Every metric.")
    strategy: dict[str, Any] = Field(description="The strategy's name and its parameters (those null in lists).")
    origin: str = at("run.origin", "Where the candles came from.")
    warnings: list[str] = Field(description="What the reader of the numbers should know, in sentences.")
    data_fingerprint: str = at("run.fingerprints.bars", "SHA-256 of the candles.")
    model_sha256: str | None = at("run.fingerprints.model", "SHA-256 of the model file; null without one.")
    versions: list[dict[str, str]] = Field(description="Name and version of what the numbers depend on.")


class FillDifferenceRow(Answer):
    """A fill that the two engines do not share; null on the side that has none."""

    index: int = Field(description="Index of the fill.")
    vectorized: str | None = Field(description="The vectorized engine's fill, in words.")
    event_driven: str | None = Field(description="The event-driven engine's fill, in words.")


class CrossCheckAnswer(Answer):
    """The same request through both engines with the same fill."""

    differences: list[FillDifferenceRow] = Field(description="The first fills that differ; empty if all agree.")
    left_out: list[str] = Field(description="Settings that only one engine knows, left out of the comparison.")
    largest_equity_difference: float = Field(description="Largest difference of equity, quote currency.")


class ResultAnswer(SummaryAnswer):
    """A finished backtest."""

    total_fills: int = Field(description="Orders executed.")
    reduced_entries: int = at("run.simulation.reduced_entries", "Entries cut to what cash allowed.")
    ambiguous_bars: int = at("run.simulation.ambiguous_bars", "Bars in which intrabar decided what was hit.")
    is_liquidated: bool = at("run.simulation.is_liquidated", "Whether losses ended the run.")
    data_quality: QualityAnswer = at("run.quality", "Gaps, duplicates and rejected rows of the candles.")
    timings: list[dict[str, Any]] = Field(description="Each step with its wall time in milliseconds.")
    cross_check: CrossCheckAnswer | None = at("run.cross_check", "Where the engines differ, if both were asked.")
    more_rows: dict[str, str] = Field(
        {}, description="Path of the next page of each table that this response does not hold whole; left out if none."
    )
    data: list[BarRow] = Field(description="Equity and signal at each bar, oldest first.")
    fills: list[FillRow] = Field(description="Orders executed, in time order.")
    trades: list[TradeRow] = Field(description="Trades in the order of entry, one still open included.")


class RerunAnswer(BaseModel):
    """A stored backtest run once more on the candles that it had."""

    original_id: str = Field(description="The stored result's id.")
    is_reproduced: bool = Field(description="Whether the new result is the old one to the last bit.")
    differences: list[str] = Field(description="What is not the same, its causes first; empty where all is.")
    result: ResultAnswer = Field(description="The new result, which is kept too.")


class Page(BaseModel, Generic[Data]):
    """One page of rows."""

    model_config = ConfigDict(json_schema_extra={"description": "One page of rows."})

    items: list[Data] = Field(description="The rows of this page.")
    total: int = Field(description="Number of rows on all pages.")
    offset: int = Field(description="Index of the first row of this page.")
    first: int = Field(description="Most rows of a page, as asked.")


class SummaryPage(BaseModel):
    """One page of results, newest first."""

    items: list[SummaryAnswer] = Field(description="The results of this page.")
    next_cursor: str | None = Field(description="What to send as `after` for the next page; null on the last.")
    warnings: list[str] = Field(description="The results of this page that cannot be read, in sentences.")


MARKET_ERRORS: Final = (
    errors.SymbolNotFound,
    errors.SourceNotFound,
    errors.Busy,
    errors.ExchangeRefused,
    errors.ExchangeUnavailable,
    errors.ExchangeTimeout,
    errors.TimedOut,
    errors.StoreUnavailable,
)
"""What may stop whatever needs candles."""


def error_responses(*kinds: type[errors.ServiceError], extra: Mapping[int, str] | None = None) -> dict[int | str, Any]:
    """Return the `responses` of an endpoint that may raise these errors.

    Parameters
    ----------
    extra
        Statuses that do not come from an error of the domain, with a word about each.
    """
    told: dict[int, list[str]] = {}
    for kind in kinds:
        told.setdefault(ERROR_TABLE[kind].status, []).append(f"{ERROR_TABLE[kind].title} ({kind.code}).")
    for status, words in (extra or {}).items():
        told.setdefault(status, []).append(words)
    return {status: error_response(" ".join(words)) for status, words in sorted(told.items())}


def error_response(words: str) -> dict[str, Any]:
    """Return one response that is a problem document."""
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": words, "content": content}


BODY_ERRORS: Final = {408: "The body came too slowly (REQUEST_TIMEOUT)."}

_FILE_SCHEMA: Final = {
    "type": "string",
    "format": "binary",
    "description": f"The model file; its name ends in one of {' '.join(MODEL_EXTENSIONS)}. Without, its content tells.",
}


def upload_body() -> dict[str, Any]:
    """Describe the form of an upload."""
    properties = {
        FILE_FIELD: _FILE_SCHEMA,
        "user_id": {
            "type": "string",
            "description": MlBacktestForm.model_fields["user_id"].description,
            **values.USER_ID,
        },
        "model_name": {
            "type": "string",
            "description": "A name for the model; the file's own where not given.",
            **values.MODEL_NAME,
        },
    }
    return _form(
        {
            "type": "object",
            "properties": properties,
            "required": [FILE_FIELD, "user_id"],
            "additionalProperties": False,
        }
    )


def ml_backtest_body() -> dict[str, Any]:
    """Describe the form of a backtest with a model file."""
    schema = MlBacktestForm.model_json_schema()
    fields = {name: _without_null(field) for name, field in schema["properties"].items()}
    schema["properties"] = {FILE_FIELD: _FILE_SCHEMA, **fields}
    schema["required"] = [FILE_FIELD, *schema["required"]]
    schema["allOf"] = rules.form_rules()
    return _form(schema)


def backtest_body() -> dict[str, Any]:
    """Describe the JSON body of a backtest."""
    schema = BacktestBody.model_json_schema() | {"allOf": rules.body_rules()}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inline(schema, schema)}}}}


def complete_openapi(document: dict[str, Any], *, max_bars: int, max_rows: int) -> dict[str, Any]:
    """Add what FastAPI cannot know: the problem document, what is refused before an endpoint is asked, and maxima."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for path in document["paths"].values():
        for method, operation in path.items():
            codes = ["HOST_NOT_ALLOWED", "HEAD_TOO_LARGE"]
            if method not in {"get", "head", "options"}:
                codes.append("ORIGIN_NOT_ALLOWED")
            for code in codes:
                row = EDGE_TABLE[code]
                operation["responses"][str(row.status)] = error_response(f"{row.title} ({code}).")
            operation["responses"] = dict(sorted(operation["responses"].items()))
    document["paths"] = values.with_maxima(document["paths"], {"MAX_BARS": max_bars, "MAX_ROWS_PER_ANSWER": max_rows})
    return document


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that a form leaves out instead of sending null."""
    kept = {name: value for name, value in field.items() if name not in {"anyOf", "default"}}
    if "enum" in kept:
        kept["enum"] = [value for value in kept["enum"] if value is not None]
    for choice in field.get("anyOf", ()):
        if choice != {"type": "null"}:
            kept = choice | kept
    return kept


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _inline(node: Any, root: dict[str, Any]) -> Any:
    """Put definitions in the place of references to them: inside an OpenAPI document they would point nowhere."""
    if isinstance(node, list):
        return [_inline(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(root["$defs"][node["$ref"].rsplit("/", 1)[1]], root)
    return {name: _inline(item, root) for name, item in node.items() if name != "$defs"}
