"""The dated crises beside real closes, and which of them some bars miss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.judgement.crises import CRISES, find_missing_crises
from tests.market import bars_at, read_klines

DAY_MS = 86_400_000


def day_ms(day: str) -> int:
    return int(np.datetime64(day, "ms").astype(np.int64))


def names(first: str, last: str, *, interval: str = "1d") -> list[str]:
    times = [day_ms(first), day_ms(last)]
    missing = find_missing_crises(bars_at(times, interval=interval))
    return [text.split(" (")[0] for text in missing]


ALL = [crisis.name for crisis in CRISES]


def test_crises_are_in_order_of_time() -> None:
    days = [day_ms(day) for crisis in CRISES for day in (crisis.first_day, crisis.last_day)]
    assert days == sorted(days)


def test_bars_of_all_years_miss_none() -> None:
    assert names("2017-08-17", "2024-01-01") == []
    assert names("2016-01-01", "2017-01-01") == ALL
    assert names("2023-01-01", "2024-01-01") == ALL


def test_text_has_the_days() -> None:
    missing = find_missing_crises(bars_at([day_ms("2021-01-01"), day_ms("2024-01-01")]))
    assert missing[1] == "COVID crash (2020-03-08 to 2020-03-12)"


def test_both_ends_must_be_in_the_bars() -> None:
    assert "COVID crash" not in names("2020-03-08", "2020-03-12")
    assert "COVID crash" in names("2020-03-09", "2020-03-12")
    assert "COVID crash" in names("2020-03-08", "2020-03-11")


def test_last_bar_counts_up_to_its_close() -> None:
    # A monthly bar that opens on 1 March ends with March; an hourly one at midnight ends at 1 o'clock.
    assert "COVID crash" not in names("2020-02-01", "2020-03-01", interval="1M")
    assert "COVID crash" in names("2020-02-01", "2020-03-12", interval="1h")


@pytest.mark.shared_data
def test_each_crisis_is_a_fall_of_the_market(shared_data: Path) -> None:
    bars = read_klines(shared_data / "BTCUSDT-1d.csv.gz", interval="1d")
    for crisis in CRISES:
        first, last = np.searchsorted(bars.open_time_ms, [day_ms(crisis.first_day), day_ms(crisis.last_day)])
        assert bars.open_time_ms[last] == day_ms(crisis.last_day), crisis.name
        fall = 1 - bars.close[last] / bars.close[first - 1]
        assert 0.25 <= fall <= 0.82, (crisis.name, fall)
        assert bars.close[last] == bars.close[first : last + 1].min(), crisis.name
