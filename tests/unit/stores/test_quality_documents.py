"""Reports on candles as stored: whole, and as documents of earlier versions have them."""

from __future__ import annotations

from src.domain.bar_quality import DataQuality, Gap, Jump, RejectedRow
from src.stores.plain import from_plain, to_plain

WHOLE = DataQuality(
    expected_bars=9,
    present_bars=5,
    gaps=(Gap(after_ms=1, next_ms=5, missing_bars=4),),
    rejected_rows=(RejectedRow(open_time_ms=3, reason="high is below low"),),
    zero_volume_bars=3,
    zero_volume_runs=2,
    longest_zero_volume_run=2,
    jumps=(Jump(after_ms=1, next_ms=5, ratio=20_000.0),),
    irregular_close_times=1,
    first_open_ms=1,
    last_close_ms=9,
)


def test_description_round_trips_through_sidecar() -> None:
    assert from_plain(DataQuality, to_plain(WHOLE, {}), {}) == WHOLE


def test_fields_missing_in_older_sidecars_are_none() -> None:
    plain = to_plain(WHOLE, {})
    for name in ("zero_volume_bars", "zero_volume_runs", "longest_zero_volume_run", "jumps", "irregular_close_times",
                 "first_open_ms", "last_close_ms"):  # fmt: skip
        del plain[name]
    read = from_plain(DataQuality, plain, {})
    assert read.gaps == WHOLE.gaps
    assert (read.zero_volume_bars, read.irregular_close_times, read.first_open_ms, read.jumps) == (None, None, None, ())
