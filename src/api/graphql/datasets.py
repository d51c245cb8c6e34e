"""Define the users' datasets as clients upload and read them."""

from __future__ import annotations

import strawberry

from src.api.graphql.enums import DatasetKind
from src.api.graphql.quality import DataQuality, quality_of
from src.api.graphql.types import described
from src.domain.datasets import Dataset
from src.domain.instants import format_instant


@strawberry.input(description="What the client declares about a file of bars; the rest is detected in the file.")
class UploadBarsInput:
    user_id: str = strawberry.field(description="Owner of the dataset: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.")
    symbol: str = strawberry.field(description="Trading symbol of the bars, such as BTCUSDT.")
    name: str | None = strawberry.field(
        default=None,
        description="Name that backtests give as source, stored in lower case; the file's own name if null.",
    )
    interval: str | None = strawberry.field(default=None, description="Bar length; detected from the spacing if null.")
    timezone: str | None = strawberry.field(
        default=None,
        description="Zone of times without one: UTC, an IANA name, or an offset such as +09:00; UTC if null.",
    )
    unit: str | None = strawberry.field(
        default=None, description="Unit of times that are numbers: s, ms, us, ns; detected by their size if null."
    )
    date_format: str | None = strawberry.field(
        default=None,
        description="Order of dates such as 01/02/2024: YMD, DMY or MDY; detected if null and one date shows it.",
    )
    decimal: str | None = strawberry.field(
        default=None,
        description='Decimal mark of the numbers, "." or ","; detected if null and one number shows it.',
    )


@strawberry.type(description="A user's dataset.")
class UploadedBars:
    name: str = described("Name that backtests of this user give as source, or as fundingHistory.")
    kind: DatasetKind = described("Whether it has bars or rates of funding.")
    user_id: str = described("Whose they are.")
    symbol: str = described("Trading symbol.")
    interval: str = described("Bar length, as declared or detected.")
    bars: int = described("Stored bars, a count.")
    original_filename: str = described("Name of the file as the client sent it.")
    file_size: float = described("Size of the file, a count of bytes.")
    sha256: str = described("SHA-256 of the file.")
    data_fingerprint: str = described("SHA-256 of the bars, as in results.")
    uploaded_at: str = described("When (ISO 8601, UTC).")
    quality: DataQuality = described("Quality of the file's rows.")
    warnings: list[str] = described("The findings in full sentences.")


def uploaded_bars_of(dataset: Dataset) -> UploadedBars:
    return UploadedBars(
        name=dataset.name,
        kind=dataset.kind,
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
