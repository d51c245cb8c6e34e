"""Settle bars that do not tell which level they hit first, with the finer bars inside them.

The run is repeated for each ambiguous bar, because a settled bar changes later positions, and so which later bars are
ambiguous. The levels of stop and target are read from the fills of both policies, which differ in an ambiguous bar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final

from src.domain.bars import Bars
from src.domain.exit_orders import ExitType
from src.domain.later_checks import ResolvedFills
from src.domain.signals import Signals
from src.domain.simulation import FillReason, Simulation
from src.domain.trading import TradingRules

SimulateSettled = Callable[[Bars, Signals, TradingRules, Sequence[int]], Simulation]
"""Runs an engine that decides the bars of these numbers, ascending, the other way round."""
FinerBars = Callable[[int], Bars | None]
"""Returns the finer bars inside the bar of this number, oldest first; None if there are none."""

MAX_AMBIGUOUS_BARS: Final = 50
TOUCH: Final = 1e-12
"""Relative distance at which a price touches a level, as in the engine."""
STOPS: Final = (FillReason.STOP_LOSS, FillReason.TRAILING_STOP, FillReason.BREAK_EVEN)


class _Outcome(Enum):
    STOP = auto()
    TARGET = auto()
    OPEN = auto()
    """The position stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AmbiguousBar:
    """An ambiguous bar: the levels that it may have hit, and the outcome in the run (`own`) and in one that decides the
    bar the other way round (`other`).

    `entry_level` is None if the position was open from the bar's first price on.
    """

    side: int
    entry_level: float | None
    entry_is_below: bool
    stop: float | None
    target: float | None
    own: _Outcome
    other: _Outcome


def resolve_fills(
    bars: Bars,
    signals: Signals,
    rules: TradingRules,
    simulation: Simulation,
    simulate: SimulateSettled,
    finer_bars: FinerBars,
) -> ResolvedFills | None:
    """Settle the ambiguous bars of a run, oldest first; None if there is none, or more than 50.

    `rules.intrabar` still decides a bar if one finer bar hits both levels, or the entry and a level; if the finer bars
    hit none of them; or if more than one fill is ambiguous in the bar. Takes about 20 runs for each ambiguous bar.
    """
    if not 0 < simulation.ambiguous_bars <= MAX_AMBIGUOUS_BARS:
        return None
    changed: list[int] = []
    resolved = asked = counted = 0
    current = simulation
    while current.ambiguous_bars > counted:
        bar = _find_next(bars, signals, rules, simulate, changed, counted)
        asked += 1
        if asked > MAX_AMBIGUOUS_BARS:
            return None
        head, head_signals = (
            bars.slice(0, bar + 1),
            replace(signals, action=signals.action[: bar + 1], probability=None),
        )
        own = simulate(head, head_signals, rules, changed)
        other = simulate(head, head_signals, rules, [*changed, bar])
        is_single = own.ambiguous_bars == other.ambiguous_bars == counted + 1
        found = _describe(bars, bar, rules, own, other) if is_single else None
        finer = None if found is None else _check(finer_bars(bar), bars, bar)
        outcome = None if found is None or finer is None else _find_outcome(found, finer)
        if found is not None and outcome in (found.own, found.other):
            resolved += 1
            if outcome is found.other:
                changed.append(bar)
        counted = own.ambiguous_bars if bar not in changed else other.ambiguous_bars
        current = simulate(bars, signals, rules, changed)
    return ResolvedFills(
        total_return=(float(current.equity[-1]) / rules.initial_cash - 1) * 100,
        resolved_bars=resolved,
        unresolved_bars=asked - resolved,
    )


def _find_next(
    bars: Bars, signals: Signals, rules: TradingRules, simulate: SimulateSettled, changed: Sequence[int], counted: int
) -> int:
    """Return the first bar after those `counted` ones that is ambiguous.

    A run on the first bars equals the first bars of the whole run, so bisection finds it.
    """
    low, high = (changed[-1] + 1 if changed else 0), len(bars)
    while high - low > 1:
        middle = (low + high) // 2
        head_signals = replace(signals, action=signals.action[:middle], probability=None)
        if simulate(bars.slice(0, middle), head_signals, rules, changed).ambiguous_bars > counted:
            high = middle
        else:
            low = middle
    return high - 1


def _describe(bars: Bars, bar: int, rules: TradingRules, own: Simulation, other: Simulation) -> _AmbiguousBar | None:
    """Return the ambiguous bar, from the first fill in which both policies differ; None if the fills do not show it."""
    if rules.exits.take_profits or rules.entry.additions:
        return None  # a bar may have filled any number of levels, and the fills show only some
    place = _first_difference(own, other)
    if place is None or place % 2 == 0:
        return None
    entry = own.fills[place - 1]
    fills = [run.fills[place] if place < len(run.fills) else None for run in (own, other)]
    targets = (FillReason.TAKE_PROFIT, *([FillReason.SIGNAL] if rules.exits.order.type is ExitType.LIMIT else []))
    outcomes = [_outcome_of(fill, bar, targets) for fill in fills]
    if any(fill is not None and fill["reason"] == FillReason.LIQUIDATION for fill in fills):
        # The price of a liquidation may differ from the stop's.
        return None
    side = int(entry["side"])
    levels: dict[_Outcome, float] = {}
    for fill, outcome in zip(fills, outcomes, strict=True):
        if fill is not None and outcome is not _Outcome.OPEN:
            slippage = rules.slippage_rate + float(fill["impact"]) if outcome is _Outcome.STOP else 0.0
            levels[outcome] = float(fill["price"]) / (1 - side * slippage)
    entry_level = None
    if entry["bar"] == bar and entry["reason"] in (FillReason.LIMIT, FillReason.STOP):
        if place >= 2 and own.fills[place - 2]["bar"] == bar:
            return None
        slippage = rules.slippage_rate + float(entry["impact"]) if entry["reason"] == FillReason.STOP else 0.0
        level = float(entry["price"]) / (1 + side * slippage)
        if abs(level - bars.open[bar]) > TOUCH * level:
            entry_level = level
    return _AmbiguousBar(
        side=side,
        entry_level=entry_level,
        # Holds for every kind of order, even a converted stop-limit: the open has not reached its level yet.
        entry_is_below=entry_level is not None and bool(bars.open[bar] > entry_level),
        stop=levels.get(_Outcome.STOP),
        target=levels.get(_Outcome.TARGET),
        own=outcomes[0],
        other=outcomes[1],
    )


def _first_difference(own: Simulation, other: Simulation) -> int | None:
    shared = min(len(own.fills), len(other.fills))
    for place in range(shared):
        if any(own.fills[place][name] != other.fills[place][name] for name in ("reason", "price", "bar")):
            return place
    return shared if len(own.fills) != len(other.fills) else None


def _outcome_of(fill: Any, bar: int, targets: Sequence[FillReason]) -> _Outcome:
    if fill is None or fill["bar"] != bar:
        return _Outcome.OPEN
    if fill["reason"] in STOPS:
        return _Outcome.STOP
    return _Outcome.TARGET if fill["reason"] in targets else _Outcome.OPEN


def _check(finer: Bars | None, bars: Bars, bar: int) -> Bars | None:
    """Return the finer bars if they contain the bar's high and low; None if not, because some are then missing."""
    if finer is None or not len(finer):
        return None
    found, expected = (finer.high.max(), finer.low.min()), (bars.high[bar], bars.low[bar])
    is_whole = all(abs(a - b) <= TOUCH * b for a, b in zip(found, expected, strict=True))
    return finer if is_whole else None


def _find_outcome(found: _AmbiguousBar, finer: Bars) -> _Outcome | None:
    """Return which level the finer bars hit first after the entry; None if they do not tell."""
    is_open = found.entry_level is None
    for high, low in zip(finer.high.tolist(), finer.low.tolist(), strict=True):
        worst, best = (low, high) if found.side > 0 else (high, low)
        is_stopped = found.stop is not None and _passes(worst, found.stop, -found.side)
        is_won = found.target is not None and _passes(best, found.target, found.side)
        if not is_open and found.entry_level is not None:
            reached = low if found.entry_is_below else high
            if _passes(reached, found.entry_level, -1 if found.entry_is_below else 1):
                if is_stopped or is_won:
                    return None
                is_open = True
        elif is_stopped or is_won:
            if is_stopped and is_won:
                return None
            return _Outcome.STOP if is_stopped else _Outcome.TARGET
    # The bar hit its level before the entry. Without an entry inside the bar, the finer bars contradict the bar.
    return _Outcome.OPEN if is_open and found.entry_level is not None else None


def _passes(price: float, level: float, direction: int) -> bool:
    """Return whether a price is at the level or beyond it, upwards (+1) or downwards (−1)."""
    return direction * price >= direction * level - TOUCH * level
