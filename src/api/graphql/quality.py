"""Define the quality report on bars as clients read it: with each result, and alone."""

from __future__ import annotations

from typing import Any

import strawberry

from src.api.graphql.columns import RowColumns
from src.api.graphql.types import described
from src.api.rows.tables import gap_columns, jump_columns, rejected_columns
from src.domain import bar_quality, market
from src.domain.instants import format_instant


@strawberry.type(description="Bars missing between two that are present.")
class DataGap:
    after: str = described("Open time of the bar before the gap (ISO 8601, UTC).")
    next: str = described("Open time of the bar after the gap (ISO 8601, UTC).")
    missing_bars: int = described("Bars missing in between, a count.")


@strawberry.type(description="A price that differs much across a gap.")
class PriceJump:
    after: str = described("Open time of the bar before the gap (ISO 8601, UTC).")
    next: str = described("Open time of the bar after the gap (ISO 8601, UTC).")
    ratio: float = described("First open after the gap ÷ last close before it, a ratio.")


@strawberry.type(description="A row of the source that was rejected.")
class RejectedRow:
    date: str = described("The row's open time (ISO 8601, UTC).")
    reason: str = described("What is wrong with it.")


@strawberry.type(
    description="Faults of the source's rows. Rejected rows are left out, never repaired. null: not known."
)
class DataQuality:
    expected_bars: int = described("Bars from the first to the last at the interval's spacing, a count.")
    present_bars: int = described("Bars that are present, a count.")
    missing_bars: int = described("Bars missing in all gaps, a count.")
    gaps: list[DataGap] = described("Every gap, oldest first.")
    duplicate_rows: int = described("Number of rows that occur more than once.")
    disordered_rows: int = described("Number of rows that are out of order.")
    rejected_rows: list[RejectedRow] = described("Rows that no market can print.")
    zero_volume_bars: int | None = described("Bars without a trade, a count.")
    zero_volume_runs: int | None = described("Runs of consecutive bars without a trade, a count.")
    longest_zero_volume_run: int | None = described("Length of the longest such run, in bars.")
    jumps: list[PriceJump] = described("Gaps across which the price changes threefold or more, oldest first.")
    irregular_close_times: int | None = described("Bars that closed at another time than their interval's, a count.")
    first_open: str | None = described("Open time of the first bar (ISO 8601, UTC).")
    last_close: str | None = described("Close time of the last closed bar (ISO 8601, UTC).")


@strawberry.type(description="The report on the bars that a backtest would use.")
class MarketDataQuality(DataQuality):
    symbol: str = described("Trading symbol.")
    interval: str = described("Bar length.")
    origin: str = described("Source of the bars.")
    warnings: list[str] = described("The findings in full sentences.")


def quality_of(quality: bar_quality.DataQuality) -> DataQuality:
    return DataQuality(**_shared(quality))


def market_quality_of(series: market.MarketSeries) -> MarketDataQuality:
    return MarketDataQuality(
        **_shared(series.quality),
        symbol=series.bars.symbol,
        interval=series.bars.interval.name,
        origin=series.origin,
        warnings=list(series.warnings),
    )


def _shared(quality: bar_quality.DataQuality) -> dict[str, Any]:
    # Gaps may be as many as half of the bars, so the lists are columns: counted and written as tables are.
    return {
        "expected_bars": quality.expected_bars,
        "present_bars": quality.present_bars,
        "missing_bars": quality.missing_bars,
        "gaps": RowColumns(gap_columns(quality.gaps)),
        "duplicate_rows": quality.duplicate_rows,
        "disordered_rows": quality.disordered_rows,
        "rejected_rows": RowColumns(rejected_columns(quality.rejected_rows)),
        "zero_volume_bars": quality.zero_volume_bars,
        "zero_volume_runs": quality.zero_volume_runs,
        "longest_zero_volume_run": quality.longest_zero_volume_run,
        "jumps": RowColumns(jump_columns(quality.jumps)),
        "irregular_close_times": quality.irregular_close_times,
        "first_open": None if quality.first_open_ms is None else format_instant(quality.first_open_ms),
        "last_close": None if quality.last_close_ms is None else format_instant(quality.last_close_ms),
    }


@strawberry.type(description="A download of bars in progress in the process that responds.")
class Download:
    symbol: str = described("Trading symbol.")
    interval: str = described("Bar length.")
    done_bars: int = described("Bars downloaded so far, a count.")
    expected_bars: int = described("Bars that were missing at the start, a count.")
    share: float = described("Done share, a fraction 0 to 1.")
    ways: list[str] = described("Sources of the bars: REST, archive or both.")
    started_at: str = described("When it began (ISO 8601, UTC).")


def download_of(progress: market.FetchProgress) -> Download:
    return Download(
        symbol=progress.symbol,
        interval=progress.interval,
        done_bars=progress.done_bars,
        expected_bars=progress.expected_bars,
        share=progress.share,
        ways=list(progress.ways),
        started_at=format_instant(progress.started_ms),
    )
