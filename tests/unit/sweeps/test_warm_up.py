"""Bars that the rows of a sweep look back over, and the refusal of a range that is shorter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from src.domain.errors import InvalidInput
from src.domain.market import LimitOrigin
from src.domain.sweeps import Comparison, ParameterConstraint, SearchKind, SweepRequest
from src.sweeps.combinations import build_combinations
from src.sweeps.warm_up import check_lookbacks
from tests.unit.sweeps.requests import preset, sweep, swept


def check(request: SweepRequest, bars: int, **market: Any) -> None:
    backtest = replace(request.backtest, market=replace(request.backtest.market, limit=bars, **market))
    request = replace(request, backtest=backtest)
    check_lookbacks(request, build_combinations(request, max_combinations=10**6))


def test_range_shorter_than_a_lookback_is_refused() -> None:
    request = sweep(swept("fast", 5, 9), swept("slow", 20, 50))
    check(request, 51)
    with pytest.raises(InvalidInput) as refused:
        check(request, 50)
    assert refused.value.field == "limit"
    assert refused.value.message.startswith("limit: there are at most 50 bars, and a row looks back over 50, so that")
    assert "fast 9, slow 50." in refused.value.message
    with pytest.raises(InvalidInput) as refused:
        check(request, 50, limit_origin=LimitOrigin.RANGE, start_ms=0, end_ms=49 * 86_400_000)
    assert refused.value.field == "startDate"


def test_bars_before_the_range_count() -> None:
    request = sweep(swept("length", 5, 60), backtest=preset("rsi"))
    before = request.backtest.strategy.warm_up_bars(request.backtest.market.interval)
    assert before > 0
    check(request, 20)


def test_excluded_lookbacks_do_not_count() -> None:
    request = sweep(
        swept("slow", 25, 50), constraints=(ParameterConstraint(left="slow", comparison=Comparison.LESS, value=50),)
    )
    check(request, 30)
    with pytest.raises(InvalidInput):
        check(replace(request, constraints=()), 30)


def test_list_has_lookbacks_of_its_rows_only() -> None:
    # The longest sum of lengths is no row: values stand side by side.
    macd = preset("macd", fast=3, slow=10, signal=3)
    slow, signal = swept("slow", 10, 100), swept("signal", 60, 3)
    backtest = replace(macd, pinned_warm_up_bars=0)
    check(sweep(slow, signal, kind=SearchKind.LIST, backtest=backtest), 130)
    with pytest.raises(InvalidInput, match=r"slow 100, signal 60"):
        check(sweep(slow, signal, backtest=backtest), 130)


def test_swept_costs_alone_use_the_lookback_given() -> None:
    costs = swept("fees", 0.0, 0.001)
    check(sweep(costs), 51)
    with pytest.raises(InvalidInput, match="looks back over 50"):
        check(sweep(costs), 30)
