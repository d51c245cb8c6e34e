"""Define the responses about bars, for OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from src.api.components import enum_of
from src.api.requests.uploads import FILE_FIELD
from src.api.rest import values
from src.api.rest.response_schema import Instant, ResponseSchema, at
from src.api.rest.schemas import form_body
from src.domain.datasets import DATASET_EXTENSIONS, DateFormat, DecimalMark, TimeUnit


class GapRow(ResponseSchema):
    """A gap between two bars."""

    after: Instant = at("after_ms", "Open time of the bar before, ISO 8601, UTC.")
    next: Instant = at("next_ms", "Open time of the bar after, ISO 8601, UTC.")
    missing_bars: int = Field(description="Bars missing in between.")


class RejectedRowSchema(ResponseSchema):
    """A row that was rejected."""

    date: Instant = at("open_time_ms", "Its open time, ISO 8601, UTC.")
    reason: str = Field(description="What is wrong with it.")


class JumpRow(ResponseSchema):
    """A price that differs much across a gap."""

    after: Instant = at("after_ms", "Open time of the bar before the gap, ISO 8601, UTC.")
    next: Instant = at("next_ms", "Open time of the bar after the gap, ISO 8601, UTC.")
    ratio: float = Field(description="First open after the gap ÷ last close before it, a ratio.")


class QualitySchema(ResponseSchema):
    """The quality of bars. Rejected rows are left out, never repaired. null: not known."""

    expected_bars: int = Field(description="Bars from the first to the last at the interval's spacing.")
    present_bars: int = Field(description="Bars that are present.")
    missing_bars: int = Field(description="Bars missing in all gaps.")
    gaps: list[GapRow] = Field(description="Every gap, oldest first.")
    duplicate_rows: int = Field(description="Rows that occur more than once.")
    disordered_rows: int = Field(description="Rows that are out of order.")
    rejected_rows: list[RejectedRowSchema] = Field(description="Rows that no market can print.")
    zero_volume_bars: int | None = Field(description="Bars without a trade.")
    zero_volume_runs: int | None = Field(description="Runs of consecutive bars without a trade.")
    longest_zero_volume_run: int | None = Field(description="Length of the longest such run, in bars.")
    jumps: list[JumpRow] = Field(description="Gaps across which the price changes threefold or more.")
    irregular_close_times: int | None = Field(description="Bars that closed at another time than their interval's.")
    first_open: Instant | None = at("first_open_ms", "Open time of the first bar, ISO 8601, UTC.")
    last_close: Instant | None = at("last_close_ms", "Close time of the last closed bar, ISO 8601, UTC.")


class MarketQualitySchema(QualitySchema):
    """The quality of the bars that a backtest would use."""

    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval.")
    origin: str = Field(description="Source of the bars.")
    warnings: list[str] = Field(description="The same in sentences.")


class BarColumns(BaseModel):
    """Bars, column by column, oldest first."""

    date: list[str] = Field(description="Open times, ISO 8601, UTC.")
    open: list[float] = Field(description="First prices, quote currency.")
    high: list[float] = Field(description="Highest prices, quote currency.")
    low: list[float] = Field(description="Lowest prices, quote currency.")
    close: list[float] = Field(description="Last prices, quote currency.")
    volume: list[float] = Field(description="Traded volumes, base asset.")


class FeatureColumns(BaseModel):
    """Each feature under its name, oldest bar first; null with too few bars before it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[float | None]]

    date: list[str] = Field(description="Open times, ISO 8601, UTC.")


class _MarketColumns(BaseModel):
    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval.")
    origin: str = Field(description="Source of the bars.")
    total: int = Field(description="Number of bars on all pages.")
    offset: int = Field(description="Index of the first row.")
    warnings: list[str] = Field(description="What is missing or suspicious, in sentences.")


class BarColumnsSchema(_MarketColumns):
    """The bars that a backtest would use."""

    columns: BarColumns = Field(description="The bars.")


class FeatureColumnsSchema(_MarketColumns):
    """The features that a model would receive."""

    columns: FeatureColumns = Field(description="The features.")


class DownloadSchema(ResponseSchema):
    """A download of bars in progress."""

    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval.")
    done_bars: int = Field(description="Bars downloaded so far.")
    expected_bars: int = Field(description="Bars that were missing at the start.")
    share: float = Field(description="Done share, 0 to 1.")
    ways: list[str] = Field(description="Sources of the bars: REST, archive or both.")
    started_at: Instant = at("started_ms", "When it began, ISO 8601, UTC.")


class DatasetSchema(ResponseSchema):
    """A user's dataset."""

    name: str = Field(description="Name that backtests give as source, or as funding_history.")
    kind: str = Field(description="BARS, or FUNDING for rates of funding.")
    user_id: str = Field(description="Whose they are.")
    symbol: str = Field(description="Trading symbol.")
    interval: str = at("interval.name", "Bar length, as declared or detected.")
    bars: int = Field(description="Stored bars.")
    original_filename: str = Field(description="Name of the file as the client sent it.")
    file_size: int = at("size_bytes", "The file's size, bytes.")
    sha256: str = Field(description="SHA-256 of the file, hexadecimal.")
    data_fingerprint: str = at("fingerprint", "SHA-256 of the bars, as in results.")
    uploaded_at: Instant = at("uploaded_ms", "When, ISO 8601, UTC.")
    quality: QualitySchema = Field(description="Quality of the file's rows.")
    warnings: list[str] = Field(description="The same in sentences.")


def upload_bars_body() -> dict[str, Any]:
    """Describe the form of an upload of bars."""
    texts = {
        "user_id": "Owner of the dataset: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.",
        "name": "Name that backtests give as source, stored in lower case; the file's own name if absent.",
        "symbol": "Trading symbol of the bars, e.g. BTCUSDT.",
        "interval": "Bar length, 1s to 1M; detected from the spacing if absent.",
        "timezone": "Zone of times without one: UTC, an IANA name, or an offset such as +09:00; UTC by default.",
        "unit": f"Unit of times that are numbers: {', '.join(TimeUnit)}; detected by their size if absent.",
        "date_format": f"Order of dates such as 01/02/2024: {', '.join(DateFormat)}; detected if absent and one "
        "date shows it.",
        "decimal": "Decimal mark of the numbers, a point or a comma; detected if absent and one number shows it.",
    }
    allowed = {
        "user_id": values.USER_ID,
        "name": values.DATASET_NAME,
        "symbol": values.SYMBOL,
        "interval": values.INTERVAL,
        "unit": enum_of(TimeUnit),
        "date_format": enum_of(DateFormat, ignores_case=True),
        "decimal": enum_of(DecimalMark),
    }
    properties: dict[str, Any] = {
        FILE_FIELD: {
            "type": "string",
            "format": "binary",
            "description": f"The bars: {' '.join(DATASET_EXTENSIONS)}; the exchange's twelve columns with or "
            "without a header, or Date, Open, High, Low, Close, Volume.",
        },
        **{
            name: {"type": "string", **allowed.get(name, {}), "description": description}
            for name, description in texts.items()
        },
    }
    schema = {
        "type": "object",
        "description": "A file of bars, and what is known about it.",
        "properties": properties,
        "required": [FILE_FIELD, "user_id", "symbol"],
        "additionalProperties": False,
    }
    return form_body("BarsUploadForm", schema)
