"""Run the same signals through both engines and compare the fills and the equity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.runs import CrossCheck, FillDifference
from src.domain.signals import Signals
from src.domain.simulation import Side, Simulation
from src.domain.trading import EngineName, TradingRules
from src.ports.computing import Engine

MAX_DIFFERENCES = 10
TOLERANCE = 1e-9
"""Relative difference up to which two fills are equal."""
_ROUNDING = 1e-12
"""Difference of fees, relative to the value traded, that is rounding: a fee is the difference of two large amounts."""


def cross_check(bars: Bars, signals: Signals, rules: TradingRules, engines: Mapping[EngineName, Engine]) -> CrossCheck:
    """Run both engines with the settings that both support.

    Settings that only the event-driven engine supports are left out of both runs and named in `left_out`.
    """
    left_out = rules.event_driven_settings()
    shared = TradingRules(
        fill=rules.fill,
        initial_cash=rules.initial_cash,
        fee_rate=rules.fee_rate,
        slippage_rate=rules.slippage_rate,
        sizing=rules.sizing,
    )
    vectorized = engines[EngineName.VECTORIZED].run(bars, signals, shared)
    event_driven = engines[EngineName.EVENT_DRIVEN].run(bars, signals, shared)
    return CrossCheck(
        differences=_differences(vectorized.fills, event_driven.fills),
        left_out=left_out,
        largest_equity_difference=_largest_difference(vectorized, event_driven),
    )


def _differences(left: NDArray[np.void], right: NDArray[np.void]) -> tuple[FillDifference, ...]:
    both = min(len(left), len(right))
    is_same = np.ones(both, dtype=np.bool_)
    for column in ("bar", "side"):
        is_same &= left[column][:both] == right[column][:both]
    traded = left["quantity"][:both] * left["price"][:both]
    for column, smallest in (("quantity", 0.0), ("price", 0.0), ("fee", _ROUNDING * traded)):
        ours, theirs = left[column][:both], right[column][:both]
        is_same &= np.abs(ours - theirs) <= np.maximum(TOLERANCE * np.abs(theirs), smallest)
    places = [*np.flatnonzero(~is_same).tolist(), *range(both, max(len(left), len(right)))]
    return tuple(
        FillDifference(index=place, vectorized=_format_fill(left, place), event_driven=_format_fill(right, place))
        for place in places[:MAX_DIFFERENCES]
    )


def _format_fill(fills: NDArray[np.void], place: int) -> str | None:
    if place >= len(fills):
        return None
    fill = fills[place]
    return (
        f"bar {fill['bar']}: {Side(int(fill['side'])).word} {fill['quantity']:.10g} at {fill['price']:.10g}, "
        f"fee {fill['fee']:.10g}"
    )


def _largest_difference(left: Simulation, right: Simulation) -> float:
    """Return the largest relative difference of equity."""
    scale = np.maximum(np.abs(left.equity), np.abs(right.equity))
    gap = np.abs(left.equity - right.equity)
    return float(np.max(np.divide(gap, scale, out=np.zeros_like(gap), where=scale > 0)))
