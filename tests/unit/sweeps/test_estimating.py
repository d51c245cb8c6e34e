"""Estimates of a sweep: which parts they count, and on which bars they are measured."""

from __future__ import annotations

from typing import Any

import pytest

from src.domain.sweep_outcomes import TimedRows
from src.domain.sweeps import SearchKind, SweepRequest
from src.sweeps import estimating
from src.sweeps.estimating import JUDGED_SECONDS, OVERFITTING_SECONDS, estimate_sweep
from tests.factories import make_market, make_request
from tests.unit.sweeps.requests import sweep, swept

BARS = 20_000


def long_means(**others: object) -> SweepRequest:
    """A sweep of 200 × 20 moving averages that look back over up to 1,219 bars."""
    backtest = make_request(market=make_market(limit=BARS))
    names = swept("fast", start=2, end=201, step=1), swept("slow", start=1_200, end=1_219, step=1)
    return sweep(*names, backtest=backtest, **others)


def test_all_parts_of_a_sweep_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def measure(request: SweepRequest, values: object, bars: int) -> estimating._Measured:
        lengths.append(bars)
        return estimating._Measured(row_seconds=1e-4 + 1e-8 * bars, test_seconds=1e-3 + 1e-6 * bars, kernel="MEANS")

    monkeypatch.setattr(estimating, "_measure", measure)
    found = estimate_sweep(long_means(keep_best=7), 10**6)
    lookback = lengths[0] - 500
    assert lengths == [lookback + 500, lookback + 2_500]
    assert 1_219 <= lookback <= 1_220
    expected = 4_000 * (1e-4 + 1e-8 * BARS) + 1_000 * (1e-3 + 1e-6 * BARS)
    expected += 4_000 * OVERFITTING_SECONDS + 7 * JUDGED_SECONDS
    assert found.combinations == 4_000
    assert found.cpu_seconds == pytest.approx(expected)


def test_few_rows_are_tested_and_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = estimating._Measured(row_seconds=1.0, test_seconds=10.0, kernel="MEANS")
    monkeypatch.setattr(estimating, "_measure", lambda *_: flat)
    few = sweep(swept("fast", 3, 5), swept("slow", 30, 50), kind=SearchKind.LIST, keep_best=10)
    found = estimate_sweep(few, 100)
    assert found.cpu_seconds == pytest.approx(2 * (1.0 + 10.0 + OVERFITTING_SECONDS + JUDGED_SECONDS))


def test_rows_and_their_test_are_measured() -> None:
    request = long_means()
    found = estimate_sweep(request, 10**6)
    alone = found.combinations * OVERFITTING_SECONDS + request.keep_best * JUDGED_SECONDS
    assert found.cpu_seconds > alone
    values = estimating.build_combinations(request, max_combinations=10**6).values[:8]
    measured = estimating._measure(request, values, 2_000)
    assert measured.row_seconds > 0
    assert measured.test_seconds > measured.row_seconds, "each row is run twice for the test, and resampled"


def test_timing_is_measured_on_rows_that_trade(monkeypatch: pytest.MonkeyPatch) -> None:
    own, found = estimating.timing_of, []

    def timing_of(*arguments: Any, **named: Any) -> TimedRows | None:
        found.append(own(*arguments, **named))
        return found[-1]

    monkeypatch.setattr(estimating, "timing_of", timing_of)
    request = long_means()
    values = estimating.build_combinations(request, max_combinations=10**6).values[:8]
    estimating._measure(request, values, 1_720)
    assert [one.timing.rows for one in found if one is not None] == [8] * len(found) and found
