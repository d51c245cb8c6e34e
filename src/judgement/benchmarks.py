"""Compare a run with the market, and with itself at other costs and one bar late.

Each comparison is a run of its own through the engine that the caller hands in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import Annualization
from src.domain.judgement import BuyAndHold, CostCase
from src.domain.market import Bars
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.trading import Direction, EntryOrder, Exits, Simulation, Sizing, TradingRules
from src.judgement.breakdowns import break_even_fee
from src.metrics.drawdowns import measure_drawdowns
from src.metrics.returns import moments, sharpe_ratio, simple_returns

Floats = NDArray[np.float64]
Simulate = Callable[[Bars, Signals, TradingRules], Simulation]

COST_FACTORS: Final = (0.5, 2.0, 4.0)
MAX_RATE: Final = float(np.nextafter(1.0, 0.0))
"""The largest rate that trading rules allow."""
MAX_FEE_RUNS: Final = 20
FEE_TOLERANCE: Final = 1e-5
_HOLD: Final = StrategyDescription(name="Buy and Hold")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostStudy:
    """A run at other costs and one bar late; `delayed_returns` [n] of equity per bar are those of the late run."""

    cases: tuple[CostCase, ...]
    delayed_returns: Floats


def hold_market(bars: Bars, rules: TradingRules, annualization: Annualization, simulate: Simulate) -> BuyAndHold | None:
    """Buy at the first bar with a run's costs, size and fill, and hold to the end; None if nothing could be bought."""
    action = np.zeros(len(bars), np.int8)
    action[0] = Action.BUY
    market_order = replace(rules, direction=Direction.LONG, entry=EntryOrder(), exits=Exits())
    held = simulate(bars, Signals(action=action, strategy=_HOLD), market_order)
    if not len(held.fills):
        return None
    total_return, sharpe = _summarize(held, rules.initial_cash, annualization)
    deepest = measure_drawdowns(held.equity, rules.initial_cash).deepest
    return BuyAndHold(total_return=total_return, sharpe_ratio=sharpe, max_drawdown=deepest * 100)


def measure_costs(
    bars: Bars,
    signals: Signals,
    rules: TradingRules,
    simulation: Simulation,
    annualization: Annualization,
    simulate: Simulate,
) -> CostStudy:
    """Run the signals at 1/2, 2 and 4 times the fees and slippage, and once with every signal one bar later."""

    def describe(run: Simulation, factor: float, delay: int) -> CostCase:
        total_return, sharpe = _summarize(run, rules.initial_cash, annualization)
        return CostCase(cost_factor=factor, delay_bars=delay, total_return=total_return, sharpe_ratio=sharpe)

    cases = [describe(simulation, 1.0, 0)]
    for factor in COST_FACTORS:
        costs = replace(
            rules,
            fee_rate=min(rules.fee_rate * factor, MAX_RATE),
            slippage_rate=min(rules.slippage_rate * factor, MAX_RATE),
        )
        cases.append(describe(simulate(bars, signals, costs), factor, 0))
    late = simulate(bars, delay(signals), rules)
    cases.append(describe(late, 1.0, 1))
    return CostStudy(
        cases=tuple(sorted(cases, key=lambda case: (case.delay_bars, case.cost_factor))),
        delayed_returns=simple_returns(late.equity, rules.initial_cash),
    )


def delay(signals: Signals) -> Signals:
    """Return the signals one bar later; that of the last bar is lost."""
    action = np.zeros_like(signals.action)
    action[1:] = signals.action[:-1]
    return Signals(action=action, strategy=signals.strategy)


def find_break_even_fee(
    bars: Bars, signals: Signals, rules: TradingRules, simulation: Simulation, simulate: Simulate
) -> float | None:
    """Return the fee rate at which a run would end with the cash that it started with; negative if it loses without.

    If every entry is long with all cash, by a formula (see `break_even_fee`). Else by bisection to 1e-5 in up to 20
    runs, for fees from 0 on: the return need not fall steadily with the fee, so it is one such fee, not always the
    only one. None without fills, if equity is used up, and for other sizes if the run loses without fees or gains at
    every fee.
    """
    if not len(simulation.fills):
        return None
    if rules.direction is Direction.LONG and rules.sizing == Sizing() and not simulation.is_liquidated:
        entries = int(np.count_nonzero(simulation.fills["side"] > 0))
        return break_even_fee(
            float(simulation.equity[-1]) / rules.initial_cash,
            rules.fee_rate,
            entries=entries,
            exits=len(simulation.fills) - entries,
        )
    return _bisect_fee(lambda fee: _gain(simulate(bars, signals, replace(rules, fee_rate=fee)), rules))


def _bisect_fee(gain: Callable[[float], float]) -> float | None:
    """Return a fee at which `gain` changes from ≥ 0 to < 0; None if it is < 0 at 0, or ≥ 0 at the highest fee."""
    runs = 2
    low, high = 0.0, 0.002
    if gain(low) < 0:
        return None
    while gain(high) >= 0:
        if high >= MAX_RATE:
            return None
        low, high = high, min(8 * high, MAX_RATE)
        runs += 1
    while runs < MAX_FEE_RUNS and high - low > FEE_TOLERANCE:
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) >= 0 else (low, middle)
        runs += 1
    return (low + high) / 2


def _gain(simulation: Simulation, rules: TradingRules) -> float:
    return float(simulation.equity[-1]) - rules.initial_cash


def _summarize(simulation: Simulation, initial_cash: float, year: Annualization) -> tuple[float, float | None]:
    """Return the total return in per cent, and the Sharpe ratio."""
    found = moments(simple_returns(simulation.equity, initial_cash), year.risk_free_per_bar)
    sharpe = sharpe_ratio(found, year.bars_per_year)
    return (float(simulation.equity[-1]) / initial_cash - 1) * 100, sharpe if math.isfinite(sharpe) else None
