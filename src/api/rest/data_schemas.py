"""What answers about candles look like, for OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from src.api.requests.uploads import FILE_FIELD
from src.api.rest import values
from src.domain.datasets import DATASET_EXTENSIONS, DateFormat, DecimalMark, TimeUnit


class GapRow(BaseModel):
    """A hole in the candles."""

    after: str = Field(description="Open time of the candle before, ISO 8601, UTC.")
    next: str = Field(description="Open time of the candle after, ISO 8601, UTC.")
    missing_bars: int = Field(description="Candles missing in between.")


class RejectedRowAnswer(BaseModel):
    """A row that was left out."""

    date: str = Field(description="Its open time, ISO 8601, UTC.")
    reason: str = Field(description="What is wrong with it.")


class JumpRow(BaseModel):
    """A price that differs much across a gap."""

    after: str = Field(description="Open time of the candle before the gap, ISO 8601, UTC.")
    next: str = Field(description="Open time of the candle after the gap, ISO 8601, UTC.")
    ratio: float = Field(description="First open after the gap ÷ last close before it, a ratio.")


class QualityAnswer(BaseModel):
    """What was found about candles; rows are left out, never repaired. null: not known."""

    expected_bars: int = Field(description="Candles from the first to the last at the interval's spacing.")
    present_bars: int = Field(description="Candles that are there.")
    missing_bars: int = Field(description="Candles missing in all gaps.")
    gaps: list[GapRow] = Field(description="Every gap, oldest first.")
    duplicate_rows: int = Field(description="Rows that came more than once.")
    disordered_rows: int = Field(description="Rows that came out of order.")
    rejected_rows: list[RejectedRowAnswer] = Field(description="Rows that no market can print.")
    zero_volume_bars: int | None = Field(description="Candles without a trade.")
    zero_volume_runs: int | None = Field(description="Stretches of neighbouring candles without a trade.")
    longest_zero_volume_run: int | None = Field(description="Candles of the longest such stretch.")
    jumps: list[JumpRow] = Field(description="Gaps across which the price changes threefold or more.")
    irregular_close_times: int | None = Field(description="Candles that closed at another time than their interval's.")
    first_open: str | None = Field(description="Open time of the first candle, ISO 8601, UTC.")
    last_close: str | None = Field(description="Close time of the last closed candle, ISO 8601, UTC.")


class MarketQualityAnswer(QualityAnswer):
    """The report on candles that a backtest would use."""

    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval.")
    origin: str = Field(description="Where the candles came from.")
    warnings: list[str] = Field(description="The same in sentences.")


class DownloadAnswer(BaseModel):
    """A download of candles that is under way."""

    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval.")
    done_bars: int = Field(description="Candles that are there already.")
    expected_bars: int = Field(description="Candles that were missing when it began.")
    share: float = Field(description="The part that is done, 0 to 1.")
    ways: list[str] = Field(description="How they come: REST, archive or both.")
    started_at: str = Field(description="When it began, ISO 8601, UTC.")


class DatasetAnswer(BaseModel):
    """A user's own candles."""

    name: str = Field(description="What backtests give as source.")
    user_id: str = Field(description="Whose they are.")
    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval, as declared or found.")
    bars: int = Field(description="Candles kept.")
    original_filename: str = Field(description="Name under which the file was sent.")
    file_size: int = Field(description="The file's size, bytes.")
    sha256: str = Field(description="SHA-256 of the file, hexadecimal.")
    data_fingerprint: str = Field(description="SHA-256 of the candles, as in results.")
    uploaded_at: str = Field(description="When, ISO 8601, UTC.")
    quality: QualityAnswer = Field(description="What was found about the rows of the file.")
    warnings: list[str] = Field(description="The same in sentences.")


def upload_bars_body() -> dict[str, Any]:
    """Describe the form of an upload of candles."""
    texts = {
        "user_id": "Whose candles: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.",
        "name": "What backtests give as source; the file's own name where not given. Kept in lower case.",
        "symbol": "Trading symbol of the candles, e.g. BTCUSDT.",
        "interval": "Kline interval, 1s to 1M; found from the spacing where not given.",
        "timezone": "Zone of times that name none: UTC, an IANA name, or an offset such as +09:00; UTC by default.",
        "unit": f"Unit of times that are numbers: {', '.join(TimeUnit)}; found by their size where not given.",
        "date_format": f"Order of dates such as 01/02/2024: {', '.join(DateFormat)}; found where not given, if one "
        "date shows it.",
        "decimal": "Decimal mark of the numbers, a point or a comma; found where not given, if one number shows it.",
    }
    allowed = {
        "user_id": values.USER_ID,
        "name": values.DATASET_NAME,
        "symbol": values.SYMBOL,
        "interval": values.INTERVAL,
        "unit": {"enum": list(TimeUnit)},
        "decimal": {"enum": list(DecimalMark)},
    }
    properties: dict[str, Any] = {
        FILE_FIELD: {
            "type": "string",
            "format": "binary",
            "description": f"The candles: {' '.join(DATASET_EXTENSIONS)}; the exchange's twelve columns with or "
            "without a header, or Date, Open, High, Low, Close, Volume.",
        },
        **{
            name: {"type": "string", "description": description, **allowed.get(name, {})}
            for name, description in texts.items()
        },
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": [FILE_FIELD, "user_id", "symbol"],
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
