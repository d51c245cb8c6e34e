"""Trade several symbols with one cash, in a compiled loop over the times of a common clock (`portfolio_steps.py`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.order_rules import Sizing
from src.domain.portfolio import PortfolioSimulation, Rank, SymbolRun
from src.domain.signals import Signals
from src.domain.trading import TradingRules
from src.engines import portfolio_steps
from src.engines import till as till_rules
from src.engines.book import create_book
from src.engines.compiled import fingerprint
from src.engines.event_driven import RULES, allocate_fills, known_distance
from src.engines.funding_marks import marks_of
from src.engines.ledger import check_growth, pair_trades
from src.engines.measures import BarMeasures, measure_bars
from src.engines.plan import Plan, build_plan, plan_record
from src.engines.portfolio_steps import Market, Portfolio, Written, simulate_portfolio
from src.engines.till import SEAT_DTYPE, TILL_DTYPE

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def _cached_on_disk(rules_fingerprint: str) -> Callable[..., None]:
    """Return `simulate_portfolio` compiled once per machine, and again when a rule changes; see `event_driven`."""

    @njit(cache=True, nogil=True)
    def cached_simulate(*arguments: Any) -> None:
        _ = rules_fingerprint
        simulate_portfolio(*arguments)

    return cached_simulate  # type: ignore[no-any-return]


_simulate: Final = _cached_on_disk(fingerprint(portfolio_steps, till_rules, *RULES))


def run_portfolio(
    bars: Sequence[Bars],
    signals: Sequence[Signals],
    rules: Sequence[TradingRules],
    *,
    most_open: int,
    rank: Rank = Rank.LISTED,
    rank_bars: int = 1,
) -> PortfolioSimulation:
    """Trade the signals of several symbols with the initial cash of the first rules.

    Parameters
    ----------
    bars, signals, rules
        Of each symbol, in the order in which they are listed. The rules differ in the exchange's steps only. If they
        give no size, an entry takes the equity ÷ `most_open`.
    rank, rank_bars
        See `domain.portfolio.PortfolioRequest`.

    Raises ValueError if there is not one signal per bar; InvalidInput if the equity grows beyond `MAX_EQUITY`.
    """
    for own, given in zip(signals, bars, strict=True):
        if len(own) != len(given):
            raise ValueError(f"{len(own)} signals for {len(given)} bars")
    plans = [_isolate(build_plan(own), own, most_open) for own in rules]
    portfolio, starts = _allocate(bars, signals, plans)
    times_ms = join_times([own.open_time_ms for own in bars])
    till = np.array([(rules[0].initial_cash, 0.0, 0, 0, most_open)], dtype=TILL_DTYPE)
    equity, cash = np.empty((2, len(times_ms)))
    position, profit = np.empty((2, sum(map(len, bars))))
    written = Written(equity, cash, np.empty(len(times_ms), dtype=np.int64), position, profit)
    _simulate(times_ms, _join(bars, signals, rules, rank, rank_bars), portfolio, till, written)
    check_growth(written.equity)
    return PortfolioSimulation(
        time_ms=times_ms,
        equity=written.equity,
        cash=written.cash,
        open_positions=written.open_positions,
        runs=tuple(_conclude(own, portfolio, number, starts, written) for number, own in enumerate(bars)),
    )


def join_times(times_ms: Sequence[Counts]) -> Counts:
    """Return the times [t], ascending, that are in any of these ascending arrays, each once."""
    if all(np.array_equal(own, times_ms[0]) for own in times_ms):
        return times_ms[0].copy()  # numba would compile again for the type of a read-only array
    every = np.concatenate(times_ms)
    every.sort(kind="stable")  # a stable sort merges runs that are already in order
    return every[np.flatnonzero(np.diff(every, prepend=every[0] - 1))]


def _allocate(bars: Sequence[Bars], signals: Sequence[Signals], plans: Sequence[Plan]) -> tuple[Portfolio, Counts]:
    """Return a portfolio of flat books, and where the fills of each begin [s]."""
    fills = [allocate_fills(own.action, plan) for own, plan in zip(signals, plans, strict=True)]
    starts = np.cumsum([0, *map(len, fills)])[:-1]
    books = np.repeat(create_book(0.0), len(bars))
    books["fill_count"] = starts
    seats = np.zeros(len(bars), dtype=SEAT_DTYPE)
    seats["end"] = np.cumsum([len(own) for own in bars])
    seats["following"] = seats["end"] - [len(own) for own in bars]
    seats["bar_rank"] = seats["entry_rank"] = math.nan
    return (
        Portfolio(
            seats=seats,
            books=books,
            plans=np.concatenate([plan_record(plan) for plan in plans]),
            fills=np.concatenate(fills),
            queue=np.empty(len(bars), dtype=np.int64),
        ),
        starts,
    )


def _isolate(plan: Plan, rules: TradingRules, most_open: int) -> Plan:
    """Return the plan of a symbol: its positions are isolated, and take an equal part if the rules give no size."""
    fraction = 1.0 / most_open if rules.sizing == Sizing() else plan.equity_fraction
    return plan._replace(is_isolated=True, equity_fraction=fraction)


def _join(
    bars: Sequence[Bars], signals: Sequence[Signals], rules: Sequence[TradingRules], rank: Rank, rank_bars: int
) -> Market:
    """Return the bars of all symbols and the figures that are read of each bar, one symbol after another."""
    measures = [measure_bars(own, given) for own, given in zip(bars, rules, strict=True)]
    ranks = [] if rank is Rank.LISTED else [measure_rank(own, rank, rank_bars) for own in bars]
    return Market(
        time_ms=np.concatenate([own.open_time_ms for own in bars]),
        open=np.concatenate([own.open for own in bars]),
        high=np.concatenate([own.high for own in bars]),
        low=np.concatenate([own.low for own in bars]),
        close=np.concatenate([own.close for own in bars]),
        action=np.concatenate([own.action for own in signals]),
        marks=np.concatenate([marks_of(own, given.funding) for own, given in zip(bars, rules, strict=True)]),
        rank=np.concatenate([*ranks, np.empty(0)]),
        measures=BarMeasures(*map(np.concatenate, zip(*measures, strict=True))),
    )


def measure_rank(bars: Bars, rank: Rank, rank_bars: int) -> Floats:
    """Return the rank [n] of a signal at each bar, from the bars up to it; NaN if there are too few of them.

    VOLUME is the traded value (close × volume) of the last `rank_bars` bars, MOMENTUM the close ÷ that of `rank_bars`
    bars before − 1.
    """
    found = np.full(len(bars), math.nan)
    if rank is Rank.MOMENTUM:
        found[rank_bars:] = bars.close[rank_bars:] / bars.close[: max(len(bars) - rank_bars, 0)] - 1.0
    else:
        sums = np.concatenate(([0.0], np.cumsum(bars.close * bars.volume)))
        found[rank_bars - 1 :] = sums[rank_bars:] - sums[: max(len(sums) - rank_bars, 0)]
    return found


def _conclude(bars: Bars, portfolio: Portfolio, number: int, starts: Counts, written: Written) -> SymbolRun:
    """Return the run of one symbol."""
    book, seat = portfolio.books[number], portfolio.seats[number]
    first = int(seat["end"]) - len(bars)
    rows = slice(first, first + len(bars))
    fills = portfolio.fills[starts[number] : int(book["fill_count"])].copy()
    fills["bar"] -= first
    fills["time_ms"] = bars.open_time_ms[fills["bar"]]
    return SymbolRun(
        symbol=bars.symbol,
        open_time_ms=bars.open_time_ms,
        position=written.position[rows],
        profit=written.profit[rows],
        fills=fills,
        trades=pair_trades(fills, bars.open_time_ms, float(bars.close[-1]), open_funding=float(book["funding"])),
        refused_entries=int(seat["refused_entries"]),
        reduced_entries=int(book["reduced_entries"]),
        dropped_entries=int(book["dropped_entries"]),
        ambiguous_bars=int(book["ambiguous_bars"]),
        liquidations=int(book["liquidations"]),
        liquidation_distance=known_distance(float(book["liquidation_distance"])),
    )
