"""The progress board shows downloads while they run."""

from __future__ import annotations

from src.bar_cache.progress import ProgressBoard
from src.domain.market import FetchProgress


def test_progress_board_shows_each_running_download() -> None:
    board = ProgressBoard()
    begun = FetchProgress(
        symbol="BTCUSDT", interval="1m", done_bars=0, expected_bars=200, ways=(), started_ms=1_700_000_000_000
    )
    first, second = board.open(begun), board.open(begun)
    assert begun.share == 0
    board.update(first, done_bars=50, ways=("archive",))
    now = board.update(first, done_bars=150, ways=("archive", "REST"))
    assert (now.share, now.ways) == (0.75, ("archive", "REST"))
    assert board.snapshot() == (now, begun)
    board.close(first)
    board.close(second)
    board.close(second)
    assert board.snapshot() == ()


def test_download_without_bars_has_full_share() -> None:
    done = FetchProgress(symbol="BTCUSDT", interval="1m", done_bars=0, expected_bars=0, ways=(), started_ms=0)
    assert done.share == 1
