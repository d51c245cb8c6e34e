"""Compare a run with the market, and with itself at other costs and one bar late.

Each comparison is a run of its own through the engine that the caller hands in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.annualization import Annualization
from src.domain.bars import Bars
from src.domain.benchmarks import BuyAndHold, CostCase
from src.domain.errors import InvalidInput
from src.domain.funding import Funding
from src.domain.order_rules import EntryOrder, Exits, Margin, Sizing
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.simulation import MAX_EQUITY, Simulation
from src.domain.trading import Direction, TradingRules
from src.domain.volume_rules import MAX_IMPACT, VolumeRules
from src.judgement.breakdowns import break_even_fee
from src.judgement.roots import find_root
from src.metrics.drawdowns import measure_drawdowns
from src.metrics.returns import moments, sharpe_ratio, simple_returns

Floats = NDArray[np.float64]
Simulate = Callable[[Bars, Signals, TradingRules], Simulation]

COST_FACTORS: Final = (0.5, 2.0, 4.0)
MAX_RATE: Final = float(np.nextafter(1.0, 0.0))
"""The largest rate that trading rules allow."""
MAX_FEE_RUNS: Final = 20
FEE_TOLERANCE: Final = 1e-5
FIRST_FEE: Final = 0.002
"""The first fee above 0 that the search tries."""
HOLD_OPENING_BARS: Final = 2
"""The bars in which buy-and-hold buys: at the close of the first one or the open of the second."""
_HOLD: Final = StrategyDescription(name="Buy and Hold")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostStudy:
    """A run at other costs and one bar late, without runs whose equity grows beyond what float64 can hold.

    `delayed_returns` [n] of equity per bar are those of the late run.
    """

    cases: tuple[CostCase, ...]
    delayed_returns: Floats | None


def hold_market(bars: Bars, rules: TradingRules, annualization: Annualization, simulate: Simulate) -> BuyAndHold | None:
    """Measure buying at the first bar and holding to the end; None if nothing could be bought."""
    held = simulate_hold(bars, rules, simulate)
    if held is None:
        return None
    total_return, sharpe = _summarize(held.equity, rules.initial_cash, annualization)
    deepest = measure_drawdowns(held.equity, rules.initial_cash).deepest
    return BuyAndHold(total_return=total_return, sharpe_ratio=sharpe, max_drawdown=deepest * 100)


def simulate_hold(bars: Bars, rules: TradingRules, simulate: Simulate) -> Simulation | None:
    """Buy at the first bar with a run's costs, size and fill, and hold to the end; None if nothing could be bought."""
    action = np.zeros(len(bars), np.int8)
    action[0] = Action.BUY
    # A size by risk has no meaning without a stop. The market is held as on a spot market: without debts or funding. A
    # holder of many years need not buy in one bar, so its volume neither limits the purchase nor raises the price.
    sizing = Sizing() if rules.sizing.risk_fraction is not None else rules.sizing
    market_order = replace(
        rules,
        direction=Direction.LONG,
        entry=EntryOrder(),
        exits=Exits(),
        sizing=sizing,
        margin=Margin(),
        funding=Funding(),
        volume=VolumeRules(),
    )
    held = try_run(simulate, bars, Signals(action=action, strategy=_HOLD), market_order)
    return held if held is not None and len(held.fills) else None


def extend_hold(opening: Bars, close: Floats, rules: TradingRules, simulate: Simulate) -> Floats | None:
    """Return the equity [n] of `simulate_hold` without all bars: after the purchase, only the closes change it.

    Parameters
    ----------
    opening
        The first `HOLD_OPENING_BARS` bars, or all if there are less.
    close
        [n], n ≥ 1: the closes of all bars.
    """
    held = simulate_hold(opening, rules, simulate)
    if held is None:
        return None
    equity = held.cash[-1] + held.position[-1] * close
    equity[: len(opening)] = held.equity
    return equity if equity.max() <= MAX_EQUITY else None


def measure_costs(
    bars: Bars,
    signals: Signals,
    rules: TradingRules,
    simulation: Simulation,
    annualization: Annualization,
    simulate: Simulate,
) -> CostStudy:
    """Run the signals at 1/2, 2 and 4 times the fees, slippage and impact, and once with every signal one bar later."""

    def describe(equity: Floats, factor: float, delay: int) -> CostCase:
        total_return, sharpe = _summarize(equity, rules.initial_cash, annualization)
        return CostCase(cost_factor=factor, delay_bars=delay, total_return=total_return, sharpe_ratio=sharpe)

    cases = [describe(simulation.equity, 1.0, 0)]
    is_scaled = has_fills_apart_from_costs(rules) and not simulation.is_liquidated
    for factor in COST_FACTORS:
        dearer = scale_costs(rules, factor)
        if is_scaled:
            equity = scale_equity(simulation, rules, dearer.taker_rate, dearer.slippage_rate)
            cases.append(describe(equity, factor, 0))
            continue
        other = try_run(simulate, bars, signals, dearer)
        if other is not None:
            cases.append(describe(other.equity, factor, 0))
    late = try_run(simulate, bars, delay(signals), rules)
    if late is not None:
        cases.append(describe(late.equity, 1.0, 1))
    return CostStudy(
        cases=tuple(sorted(cases, key=lambda case: (case.delay_bars, case.cost_factor))),
        delayed_returns=None if late is None else simple_returns(late.equity, rules.initial_cash),
    )


def scale_costs(rules: TradingRules, factor: float) -> TradingRules:
    """Return rules with fees, slippage and impact multiplied; a rebate is not changed."""

    def scale(rate: float) -> float:
        return rate if rate < 0 else min(rate * factor, MAX_RATE)

    maker, taker, slippage = rules.maker_fee_rate, rules.taker_fee_rate, scale(rules.slippage_rate)
    # Slightly below the impact at which a sale has no price left, so that rounding does not reach it.
    most_impact = (MAX_RATE - slippage) / rules.volume.limit**2 * (1 - 1e-9)
    return replace(
        rules,
        volume=replace(rules.volume, impact=min(rules.volume.impact * factor, most_impact, MAX_IMPACT)),
        fee_rate=scale(rules.fee_rate),
        maker_fee_rate=None if maker is None else scale(maker),
        taker_fee_rate=None if taker is None else scale(taker),
        slippage_rate=slippage,
    )


def try_run(simulate: Simulate, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation | None:
    """Return a run besides the requested one; None if its equity grows beyond what float64 can hold."""
    try:
        return simulate(bars, signals, rules)
    except InvalidInput:
        return None


def has_fills_apart_from_costs(rules: TradingRules) -> bool:
    """Return whether the bars of the fills do not depend on fees and slippage, and every entry takes all cash."""
    return (
        rules.direction is Direction.LONG
        and rules.sizing == Sizing()
        and rules.entry == EntryOrder()
        and rules.exits == Exits()
        and rules.margin.leverage == 1
        and not rules.funding.is_paid
        and not rules.exchange.limits_amounts
        and not rules.volume.is_used
    )


def scale_equity(simulation: Simulation, rules: TradingRules, fee_rate: float, slippage_rate: float) -> Floats:
    """Return the equity [n] of a run at other costs, if the costs change only the price of each fill.

    A fill multiplies equity: an entry by 1 ÷ ((1 + slippage) (1 + fee)), an exit by (1 − slippage) (1 − fee). A run of
    its own takes four times as long at 1,000 bars.
    """
    rate = rules.taker_rate
    own = (1 + rate) * (1 + rules.slippage_rate), (1 - rate) * (1 - rules.slippage_rate)
    entry = own[0] / ((1 + fee_rate) * (1 + slippage_rate))
    exit_ = (1 - fee_rate) * (1 - slippage_rate) / own[1]
    factors = np.where(simulation.fills["side"] > 0, entry, exit_)
    scaled: Floats = _multiply_from(simulation.equity, simulation.fills["bar"].copy(), factors)
    return scaled


@njit(cache=True, nogil=True)
def _multiply_from(values: Floats, bars: NDArray[np.int64], factors: Floats) -> Floats:
    """Return the values [n], multiplied with each factor from its bar on; the bars [m] rise."""
    scaled = np.empty(values.size)
    factor, place = 1.0, 0
    for t in range(values.size):
        while place < bars.size and bars[place] == t:
            factor *= factors[place]
            place += 1
        scaled[t] = values[t] * factor
    return scaled


def delay(signals: Signals) -> Signals:
    """Return the signals one bar later; that of the last bar is lost."""
    action = np.zeros_like(signals.action)
    action[1:] = signals.action[:-1]
    return Signals(action=action, strategy=signals.strategy)


def find_break_even_fee(
    bars: Bars, signals: Signals, rules: TradingRules, simulation: Simulation, simulate: Simulate
) -> float | None:
    """Return the fee rate at which a run would end with its starting cash.

    If every entry is long with all cash, the fills do not depend on the fee, and a formula gives it (see
    `break_even_fee`): it is negative if the run loses without fees too, and may be over 1 if the last trade is open.

    Otherwise the fee is searched for (Brent 1973) from 0 on, to 1e-5 and in up to 20 runs. A higher fee can raise the
    return, because cash and liquidation then change the fills. So there may be other such fees, and the return may jump
    over 0 at a fee that changes the fills. None if the run loses without fees, or gains at every fee.

    It is one fee for all orders. If maker and taker fees differ, it is searched for too.

    None without fills, and if the formula finds no equity left.
    """
    if not len(simulation.fills):
        return None
    rate = rules.taker_rate
    has_one_fee = rules.maker_rate == rate
    is_all_cash = rules.sizing in (Sizing(), Sizing(equity_fraction=1.0)) and rules.margin.leverage == 1
    # Cash for less than a step is not spent.
    is_all_cash = is_all_cash and not rules.exchange.limits_amounts
    is_all_cash = is_all_cash and not rules.funding.is_paid
    # The fee changes the units that are bought, and the units change the price.
    is_all_cash = is_all_cash and not rules.volume.is_used
    # The level of a break-even stop depends on the fee, and not every fill of a ladder trades all of the equity.
    is_whole = rules.exits.break_even_rate is None and not rules.exits.take_profits and not rules.entry.additions
    if rules.direction is Direction.LONG and is_all_cash and has_one_fee and is_whole:
        entries = int(np.count_nonzero(simulation.fills["side"] > 0))
        return break_even_fee(
            float(simulation.equity[-1]) / rules.initial_cash,
            rate,
            entries=entries,
            exits=len(simulation.fills) - entries,
        )
    try:

        def gain(fee: float) -> float:
            return _gain(simulate(bars, signals, rules.with_one_fee(fee)), rules)

        return _search_fee(gain, rate, _gain(simulation, rules) if has_one_fee else gain(rate))
    except InvalidInput:  # at this fee, equity grows beyond what float64 can hold
        return None


def _search_fee(gain: Callable[[float], float], known_fee: float, known_gain: float) -> float | None:
    """Return a fee at which `gain` changes between ≥ 0 and < 0; None if it is < 0 at 0, or ≥ 0 at the highest fee."""
    gains = {known_fee: known_gain}

    def gain_at(fee: float) -> float:
        if fee not in gains:
            gains[fee] = gain(fee)
        return gains[fee]

    low, high = known_fee, known_fee
    if known_gain < 0:
        low = 0.0
        if gain_at(low) < 0:
            return None
    else:
        while gain_at(high) >= 0:
            if high >= MAX_RATE:
                return None
            low, high = high, min(max(4 * high, FIRST_FEE), MAX_RATE)
    steps = MAX_FEE_RUNS + 1 - len(gains)
    return find_root(gain_at, low, high, tolerance=FEE_TOLERANCE, max_steps=steps)


def _gain(simulation: Simulation, rules: TradingRules) -> float:
    return float(simulation.equity[-1]) - rules.initial_cash


def _summarize(equity: Floats, initial_cash: float, year: Annualization) -> tuple[float, float | None]:
    """Return the total return in per cent, and the Sharpe ratio."""
    found = moments(simple_returns(equity, initial_cash), year.risk_free_per_bar)
    sharpe = sharpe_ratio(found, year.bars_per_year)
    return (float(equity[-1]) / initial_cash - 1) * 100, sharpe if math.isfinite(sharpe) else None
