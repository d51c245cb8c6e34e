"""The users' own candles as clients send and read them."""

from __future__ import annotations

import strawberry

from src.api.graphql.quality import DataQuality, quality_of
from src.api.graphql.types import described
from src.domain.datasets import Dataset
from src.domain.instants import format_instant


@strawberry.input(description="What is said about a file of candles; what is not said is found in the file.")
class UploadBarsInput:
    user_id: str = strawberry.field(description="Whose candles: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.")
    symbol: str = strawberry.field(description="Trading symbol of the candles, such as BTCUSDT.")
    name: str | None = strawberry.field(
        default=None,
        description="What backtests give as source, kept in lower case; the file's own name where null.",
    )
    interval: str | None = strawberry.field(default=None, description="Bar length; found from the spacing where null.")
    timezone: str | None = strawberry.field(
        default=None,
        description="Zone of times that name none: UTC, an IANA name, or an offset such as +09:00; UTC where null.",
    )
    unit: str | None = strawberry.field(
        default=None, description="Unit of times that are numbers: s, ms, us, ns; found by their size where null."
    )
    date_format: str | None = strawberry.field(
        default=None,
        description="Order of dates such as 01/02/2024: YMD, DMY or MDY; found where null, if one date shows it.",
    )
    decimal: str | None = strawberry.field(
        default=None,
        description='Decimal mark of the numbers, "." or ","; found where null, if one number shows it.',
    )


@strawberry.type(description="A user's own candles.")
class UploadedBars:
    name: str = described("What backtests of this user give as source.")
    user_id: str = described("Whose they are.")
    symbol: str = described("Trading symbol.")
    interval: str = described("Bar length, as declared or found.")
    bars: int = described("Candles kept, a count.")
    original_filename: str = described("Name under which the file was sent.")
    file_size: float = described("Size of the file, a count of bytes.")
    sha256: str = described("SHA-256 of the file.")
    data_fingerprint: str = described("SHA-256 of the candles, as in results.")
    uploaded_at: str = described("When (ISO 8601, UTC).")
    quality: DataQuality = described("What was found about the rows of the file.")
    warnings: list[str] = described("The same in full sentences.")


def uploaded_bars_of(dataset: Dataset) -> UploadedBars:
    return UploadedBars(
        name=dataset.name,
        user_id=dataset.user_id,
        symbol=dataset.symbol,
        interval=dataset.interval.name,
        bars=dataset.bars,
        original_filename=dataset.original_filename,
        file_size=float(dataset.size_bytes),
        sha256=dataset.sha256,
        data_fingerprint=dataset.fingerprint,
        uploaded_at=format_instant(dataset.uploaded_ms),
        quality=quality_of(dataset.quality),
        warnings=list(dataset.warnings),
    )
