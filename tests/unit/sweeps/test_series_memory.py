"""Series are computed once for each key, within a limit of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from src.sweeps.series_memory import SeriesCache, SeriesView


def series() -> np.ndarray:
    return np.zeros(100)  # 800 bytes


def test_second_reader_gets_the_same_series() -> None:
    cache = SeriesCache()
    first = cache.recall("a", series)
    assert cache.recall("a", series) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1.0


def test_other_history_is_another_series() -> None:
    cache = SeriesCache()
    assert SeriesView(cache, 5).recall("a", series) is not SeriesView(cache, 6).recall("a", series)
    assert SeriesView(cache, 5).recall("a", series) is SeriesView(cache, 5).recall("a", series)


def test_series_not_read_for_longest_is_dropped() -> None:
    cache = SeriesCache(max_bytes=1600)
    first, second = cache.recall("a", series), cache.recall("b", series)
    assert cache.recall("a", series) is first
    cache.recall("c", series)
    assert cache.size_bytes == 1600
    assert cache.recall("a", series) is first
    assert cache.recall("b", series) is not second


def test_series_beyond_the_limit_is_not_kept() -> None:
    cache = SeriesCache(max_bytes=799)
    assert cache.recall("a", series) is not cache.recall("a", series)
    assert cache.size_bytes == 0
