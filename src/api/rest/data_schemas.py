"""What answers about candles look like, for OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from src.api.requests.uploads import FILE_FIELD
from src.api.rest import values
from src.api.rest.answer_model import Answer, Instant, at
from src.domain.datasets import DATASET_EXTENSIONS, DateFormat, DecimalMark, TimeUnit


class GapRow(Answer):
    """A hole in the candles."""

    after: Instant = at("after_ms", "Open time of the candle before, ISO 8601, UTC.")
    next: Instant = at("next_ms", "Open time of the candle after, ISO 8601, UTC.")
    missing_bars: int = Field(description="Candles missing in between.")


class RejectedRowAnswer(Answer):
    """A row that was left out."""

    date: Instant = at("open_time_ms", "Its open time, ISO 8601, UTC.")
    reason: str = Field(description="What is wrong with it.")


class JumpRow(Answer):
    """A price that differs much across a gap."""

    after: Instant = at("after_ms", "Open time of the candle before the gap, ISO 8601, UTC.")
    next: Instant = at("next_ms", "Open time of the candle after the gap, ISO 8601, UTC.")
    ratio: float = Field(description="First open after the gap ÷ last close before it, a ratio.")


class QualityAnswer(Answer):
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
    first_open: Instant | None = at("first_open_ms", "Open time of the first candle, ISO 8601, UTC.")
    last_close: Instant | None = at("last_close_ms", "Close time of the last closed candle, ISO 8601, UTC.")


class MarketQualityAnswer(QualityAnswer):
    """The report on candles that a backtest would use."""

    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval.")
    origin: str = Field(description="Where the candles came from.")
    warnings: list[str] = Field(description="The same in sentences.")


class DownloadAnswer(Answer):
    """A download of candles that is under way."""

    symbol: str = Field(description="Trading symbol.")
    interval: str = Field(description="Kline interval.")
    done_bars: int = Field(description="Candles that are there already.")
    expected_bars: int = Field(description="Candles that were missing when it began.")
    share: float = Field(description="The part that is done, 0 to 1.")
    ways: list[str] = Field(description="How they come: REST, archive or both.")
    started_at: Instant = at("started_ms", "When it began, ISO 8601, UTC.")


class DatasetAnswer(Answer):
    """A user's own candles."""

    name: str = Field(description="What backtests give as source.")
    user_id: str = Field(description="Whose they are.")
    symbol: str = Field(description="Trading symbol.")
    interval: str = at("interval.name", "Kline interval, as declared or found.")
    bars: int = Field(description="Candles kept.")
    original_filename: str = Field(description="Name under which the file was sent.")
    file_size: int = at("size_bytes", "The file's size, bytes.")
    sha256: str = Field(description="SHA-256 of the file, hexadecimal.")
    data_fingerprint: str = at("fingerprint", "SHA-256 of the candles, as in results.")
    uploaded_at: Instant = at("uploaded_ms", "When, ISO 8601, UTC.")
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
