"""A pause in a file, as several processes see it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from src.binance.exchange_ban import ExchangeBan
from src.binance.weight import WeightBudget
from src.domain.errors import ExchangeUnavailable
from tests.clocks import Stopwatch


def test_ban_does_not_exist_before_order(tmp_path: Path) -> None:
    assert ExchangeBan(tmp_path / "none" / "pause").left_s() <= 0


def test_ban_is_shared_and_never_shortened(tmp_path: Path) -> None:
    now = [1000.0]
    one, other = (ExchangeBan(tmp_path / "deep" / "pause", now_s=lambda: now[0]) for _ in range(2))
    assert other.left_s() <= 0
    one.extend(60)
    assert other.left_s() == 60
    other.extend(10)
    assert one.left_s() == 60
    now[0] += 45
    assert one.left_s() == other.left_s() == 15
    other.extend(20)
    assert one.left_s() == 20
    now[0] += 25
    assert one.left_s() <= 0


@pytest.mark.parametrize("content", ["", "soon", "\x00\x00"])
def test_unreadable_ban_file_stops_no_requests(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pause").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert ExchangeBan(tmp_path / "pause").left_s() <= 0
    assert "not readable" in caplog.text


@pytest.mark.parametrize("until", ["1e18", "inf", "nan"])
def test_ban_longer_than_maximum_is_ignored(tmp_path: Path, until: str) -> None:
    (tmp_path / "pause").write_text(until)
    assert ExchangeBan(tmp_path / "pause").left_s() <= 0


def test_unwritable_ban_file_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        ExchangeBan(tmp_path / "file" / "pause").extend(5)
    assert "not written" in caplog.text


async def test_pause_of_one_budget_stops_another(tmp_path: Path) -> None:
    stopwatch = Stopwatch()
    first, second = (
        WeightBudget(
            100,
            shared=ExchangeBan(tmp_path / "pause", now_s=stopwatch),
            monotonic=stopwatch,
            sleep=stopwatch.sleep,
        )
        for _ in range(2)
    )
    await second.spend(1, until=stopwatch.now_s)
    first.pause(30)
    with pytest.raises(ExchangeUnavailable, match=r"told us to send no requests.*Retry in 30 s\."):
        second.ensure_open(until=stopwatch.now_s + 10)
    with pytest.raises(ExchangeUnavailable, match=r"told us to send no requests.*Retry in 30 s\."):
        await second.spend(1, until=stopwatch.now_s + 10)
    await second.spend(1, until=stopwatch.now_s + 40)
    assert sum(stopwatch.slept) == 30
