"""Compute what the order of prices inside the bars can do to a result."""

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
    """Return the total returns under both policies; None if no bar of the run was ambiguous."""
    if not simulation.ambiguous_bars:
        return None
    [other] = [policy for policy in IntrabarPolicy if policy is not rules.intrabar]
    run = try_run(simulate, bars, signals, replace(rules, intrabar=other))
    if run is None:
        return None
    returns = {rules.intrabar: _total_return(simulation, rules), other: _total_return(run, rules)}
    return FillBand(
        pessimistic_return=returns[IntrabarPolicy.PESSIMISTIC],
        optimistic_return=returns[IntrabarPolicy.OPTIMISTIC],
        ambiguous_bars=simulation.ambiguous_bars,
    )


def _total_return(simulation: Simulation, rules: TradingRules) -> float:
    return (float(simulation.equity[-1]) / rules.initial_cash - 1) * 100
