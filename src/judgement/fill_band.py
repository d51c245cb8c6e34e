"""Compute how far the order of prices inside the bars can change a result."""

from __future__ import annotations

from collections.abc import Callable
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
    """Return the total returns under the two extreme policies; None if no bar of the run was ambiguous."""

    def return_under(policy: IntrabarPolicy) -> float | None:
        run = try_run(simulate, bars, signals, replace(rules, intrabar=policy))
        return None if run is None else _total_return(run, rules)

    return find_fill_band(simulation.ambiguous_bars, rules.intrabar, _total_return(simulation, rules), return_under)


def find_fill_band(
    ambiguous_bars: int,
    own_policy: IntrabarPolicy,
    own_return: float,
    return_under: Callable[[IntrabarPolicy], float | None],
) -> FillBand | None:
    """Return the band of a run that has this total return, in per cent, under its own policy.

    `return_under` returns the total return under another policy, in per cent; None if that run failed. None is returned
    then, and if no bar was ambiguous. A run under `NEAREST` lies between the two extremes, and needs both of them.
    """
    if not ambiguous_bars:
        return None
    pessimistic, optimistic = (
        own_return if policy is own_policy else return_under(policy)
        for policy in (IntrabarPolicy.PESSIMISTIC, IntrabarPolicy.OPTIMISTIC)
    )
    if pessimistic is None or optimistic is None:
        return None
    return FillBand(pessimistic_return=pessimistic, optimistic_return=optimistic, ambiguous_bars=ambiguous_bars)


def _total_return(simulation: Simulation, rules: TradingRules) -> float:
    return (float(simulation.equity[-1]) / rules.initial_cash - 1) * 100
