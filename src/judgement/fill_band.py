"""Compute how far the order of prices inside the bars can change a result."""

from __future__ import annotations

from dataclasses import replace

from src.domain.bars import Bars
from src.domain.judgement import FillBand
from src.domain.signals import Signals
from src.domain.simulation import Simulation
from src.domain.trading import IntrabarPolicy, TradingRules
from src.judgement.benchmarks import Simulate, try_run


def measure_fill_band(
    bars: Bars, signals: Signals, rules: TradingRules, simulation: Simulation, simulate: Simulate
) -> FillBand | None:
    """Return the total returns under the two extreme policies; None if no bar of the run was ambiguous.

    A run under `NEAREST`, which lies between them bar by bar, needs two more.
    """
    if not simulation.ambiguous_bars:
        return None
    returns = []
    for policy in (IntrabarPolicy.PESSIMISTIC, IntrabarPolicy.OPTIMISTIC):
        is_own = policy is rules.intrabar
        run = simulation if is_own else try_run(simulate, bars, signals, replace(rules, intrabar=policy))
        if run is None:
            return None
        returns.append(_total_return(run, rules))
    return FillBand(
        pessimistic_return=returns[0], optimistic_return=returns[1], ambiguous_bars=simulation.ambiguous_bars
    )


def _total_return(simulation: Simulation, rules: TradingRules) -> float:
    return (float(simulation.equity[-1]) / rules.initial_cash - 1) * 100
