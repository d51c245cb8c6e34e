"""Of two clocks the exchange's decides, as far as its answers prove that ours is ahead."""

from __future__ import annotations

import logging

import pytest

from src.binance.clock_skew import ClockSkew

DATE = "Thu, 01 Jan 1970 00:16:40 GMT"
DATE_MS = 1_000_000


@pytest.mark.parametrize(
    ("sent_ms", "received_ms", "ahead_ms"),
    [
        (DATE_MS, DATE_MS + 50, 0),
        (DATE_MS + 999, DATE_MS + 5_000, 0),
        (DATE_MS - 4_000, DATE_MS + 10, 0),  # a slow answer proves nothing
        (DATE_MS + 1_000, DATE_MS + 1_050, 1_000),
        (DATE_MS + 120_000, DATE_MS + 120_050, 120_000),
        (DATE_MS - 60_000, DATE_MS - 59_000, -59_000),
    ],
)
def test_only_certain_difference_counts(sent_ms: int, received_ms: int, ahead_ms: int) -> None:
    skew = ClockSkew()
    now_ms = skew.observe(DATE, sent_ms=sent_ms, received_ms=received_ms)
    assert skew.ahead_ms == ahead_ms
    assert now_ms == (DATE_MS if ahead_ms > 0 else sent_ms)
    assert skew.now_ms(sent_ms) == now_ms


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Jan 1970 00:16:40 GMT"])
def test_invalid_date_is_ignored(date: str) -> None:
    skew = ClockSkew()
    assert skew.observe(date, sent_ms=5, received_ms=6) == 5
    assert skew.ahead_ms == 0


def test_difference_of_seconds_is_warned_of_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    skew = ClockSkew()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            skew.observe(DATE, sent_ms=DATE_MS + 120_000, received_ms=DATE_MS + 120_100)
    assert "120 s ahead of the exchange's" in skew.warnings()[0]
    assert len(caplog.records) == 1
    skew.observe(DATE, sent_ms=DATE_MS - 90_000, received_ms=DATE_MS - 90_000)
    assert "90 s behind the exchange's" in skew.warnings()[0]
    skew.observe(DATE, sent_ms=DATE_MS + 3_000, received_ms=DATE_MS + 3_000)
    assert skew.warnings() == ()
