"""Returns by calendar month, by hand and beside pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from src.domain.tearsheet import YearOfMonths
from src.tearsheet.months import monthly_returns


def times(*dates: str) -> np.ndarray:
    return np.array(dates, dtype="datetime64[ms]").astype(np.int64)


def test_months_and_years_by_hand() -> None:
    found = monthly_returns(
        times("2019-12-31T23:00", "2020-01-01", "2020-01-31T23:59", "2020-03-01"),
        np.array([110.0, 100, 99, 198]),
        100.0,
    )
    first, second = found.years
    assert first == YearOfMonths(year=2019, months=(*[None] * 11, pytest.approx(10.0)), total=pytest.approx(10.0))
    assert second.months == (pytest.approx(-10.0), None, pytest.approx(100.0), *[None] * 9)
    assert second.total == pytest.approx(80.0)


def test_year_without_bars_is_shown_empty() -> None:
    found = monthly_returns(times("2019-05-01", "2021-05-01"), np.array([100.0, 120]), 100.0)
    assert [(year.year, year.total) for year in found.years] == [
        (2019, pytest.approx(0.0)), (2020, None), (2021, pytest.approx(20.0)),
    ]  # fmt: skip


def test_month_after_lost_equity_has_no_return() -> None:
    [found] = monthly_returns(times("2020-01-01", "2020-02-01", "2020-03-01"), np.array([50.0, 0, 0]), 100.0).years
    assert found.months[:3] == (pytest.approx(-50.0), pytest.approx(-100.0), None)
    assert found.total == pytest.approx(-100.0)


@pytest.mark.parametrize("seed", range(3))
def test_months_equal_those_of_pandas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = pd.date_range("2017-11-13 05:00", periods=20_000, freq="1h", tz="UTC")[rng.random(20_000) < 0.9]
    equity = pd.Series(10_000 * np.exp(np.cumsum(rng.normal(0, 0.003, len(index)))), index=index)
    time_ms = index.tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    found = monthly_returns(time_ms, equity.to_numpy(), 10_000.0)
    for frequency, mine in (
        ("ME", {(year.year, number + 1): value for year in found.years for number, value in enumerate(year.months)}),
        ("YE", {(year.year, 12): year.total for year in found.years}),
    ):
        ends = equity.resample(frequency).last()
        theirs = (ends / ends.shift(fill_value=10_000.0) - 1) * 100
        expected = {(end.year, end.month): value for end, value in theirs.items()}
        assert {key: value for key, value in mine.items() if value is not None} == pytest.approx(expected)
