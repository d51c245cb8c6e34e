"""The event-driven engine: simulate orders inside each bar, at compiled speed.

The order of events in a bar:

1. the open fills market orders, then the stops, targets and resting entries whose level it has passed;
2. the bar's range fills stops and targets (both reached: `intrabar` chooses, and the bar is counted as ambiguous);
3. the trailing stop follows the bar's best price, and the break-even stop begins to hold; they can be hit from the
   next bar on;
4. the bar's range fills resting entries, or they expire; for a position entered here, 2 and 3 happen now, with the
   prices that the bar proves to have come after the fill;
5. the strategy sees the close and places orders; with `SAME_CLOSE`, market orders fill at this close;
6. the book is marked at the close.

With funding, a position that is open before step 1 pays the marks at the bar's open (and those of a gap before it), at
the open's price; one that is open before step 5 pays the marks inside the bar, at the close.

In the bar of an entry that is filled inside it, a stop or target is reached *certainly* (by a price that certainly came
after the fill), *possibly* (only by one that may have come before) or not; the table in `orders.py` says when:

| stop | target | `PESSIMISTIC` | `OPTIMISTIC` | counted as ambiguous |
|---|---|---|---|---|
| certainly | not | stop | stop | no |
| possibly | not | stop | stays open | yes |
| not | certainly | target | target | no |
| not | possibly | stays open | target | yes |
| certainly or possibly | certainly or possibly | stop | target | yes |
| beyond it by the entry's slippage | any | stop | stop | no |

`NEAREST` fills the order that comes first if the price went from the open to the nearer of high and low, and then to
the other one: see `paths.py`.

The stop is the tightest of stop loss, trailing stop (at its distance from the entry price, unless it begins to follow
later), break-even stop and liquidation level. It fills at its level, or at the entry's level if the entry slipped
beyond it, and pays slippage; a target does not. In the last row of the table (a stop entry at 100, slippage 5 %, stop
loss 3 %) the position is closed at once at the entry's level.

Consequences:

- A position entered at the open has its stop and target in that bar; one entered at the close, from the next bar on.
- Exits fill before entries, market orders before stops, stops before targets; the first to fill cancels the others.
- The time exit is a market order `max_bars` bars after the entry's, at that bar's open, or with `SAME_CLOSE` at its
  close.
- A signal in the position's direction changes nothing. While an entry waits, the opposite signal cancels it, and the
  same signal replaces it by one at the new close.
- A signal closes a position by a market order unless `exit` is LIMIT, whatever the entry's type; a reversal that enters
  by limit or stop is flat until that order fills.
- With `exit` LIMIT, a signal that closes places a limit order at `exit_offset` from its close, in favor of the
  position. It is matched like the target (only the nearer of the two is matched), and its fill has the reason of a
  signal. It rests until the position closes. A signal in the position's own direction cancels it, and a later closing
  signal places it anew. A signal that would reverse the position only closes it.
- A stop-limit entry waits as a stop and is filled as a limit: without slippage, for a taker's fee. If the open has
  passed its limit too, the order becomes a limit entry at that limit, already in this bar.
- With `entry_reprice`, a waiting entry moves to its distance from each close. Its expiry does not change.
- Without `exit_on_signal`, signals do nothing while a position is open.
- After a stop or a liquidation, the signals of `cooldown_bars` bars open nothing, counted from its bar.
- With `close_at_end`, a position that is open at the last close is closed there, with costs.
- A signal that only closes (`CLOSE_LONG`, `CLOSE_SHORT`) concerns one direction: it closes a position of that direction
  at the market and cancels a waiting entry of that direction. A position or a waiting entry of the other direction
  stays, with its orders.
- With leverage, the liquidation level acts as a stop for longs and shorts. A fill that would use up the margin or more
  is made at the price that uses up exactly the margin.
- A position with `take_profits` or `add_entries` walks through the bar instead of step 2: from the open to one extreme,
  to the other, and to the close. On the way it fills the orders that it reaches, nearest first. `PESSIMISTIC` goes to
  the worse extreme first, `OPTIMISTIC` to the better one; with `add_entries`, they take the path that leaves less or
  more equity at the close. The bar is counted as ambiguous if the two paths differ. If the entry filled inside the bar,
  the walk goes first to an extreme that may have come before the fill, or leaves it out.
- The `take_profits` in force are those with the highest `after_bars` that does not exceed the position's age (bars
  since the entry's bar). Each closes its part once: a part of all units entered so far, at most the units left.
- An addition below the mean entry price of a long (above that of a short) is a limit order, one on the other side a
  stop order. After it, stop loss, targets, further additions and the liquidation level are placed anew from the mean
  entry price of the units held, even farther away. The break-even stop begins anew; the trailing stop stays.
- At the open a stop goes before targets, targets before additions.
- Funding is paid from the cash outside of a position's margin, and then from the margin: that moves the liquidation
  level. A position that closes inside a bar pays no mark inside it; one that opens inside pays all of them, because a
  bar does not tell the time of its fills.
- Without `volume_impact` and `max_volume_share` volume is ignored: a bar without trades fills orders at its prices.
- With them, V is the volume of the whole bar of the fill, even for a fill at the open, and each fill counts alone. A
  fill of q units that pays slippage also pays impact × min(q ÷ V, limit)²; in a bar without volume the share is the
  limit. Entries and additions are cut to their share of V: the rest is not ordered again, and in a bar without volume
  the order ends. Exits are never cut. Impact never makes an entry larger: its quantity is the largest that its size
  allows both at the price after its own impact and at the price without impact.
- The volume of an exit is not known in advance. So the break-even stop assumes the impact at the volume of the entry's
  bar, and the liquidation level assumes none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain import signals as actions
from src.domain import simulation
from src.domain.bars import Bars
from src.domain.signals import Signals
from src.domain.simulation import FILL_DTYPE, Simulation
from src.domain.trading import TradingRules
from src.engines import account as money_rules
from src.engines import bar_steps, funding_marks, order_steps
from src.engines import book as book_layout
from src.engines import compiled as compiling
from src.engines import detail as detail_steps
from src.engines import filters as exchange_filters
from src.engines import funding as funding_steps
from src.engines import measures as bar_measures
from src.engines import orders as matching_rules
from src.engines import paths as bar_paths
from src.engines import plan as plan_layout
from src.engines import positions as position_steps
from src.engines import rungs as rung_levels
from src.engines import walk as rung_fills
from src.engines.account import mark_to_market
from src.engines.bar_steps import close_bar, funded_step, has_event, is_at_rest, note_measures, step
from src.engines.book import create_book
from src.engines.compiled import compiled, fingerprint
from src.engines.detail import ASKED, NOT_ASKED, RESOLVED, cached_inside, find_finer
from src.engines.funding_marks import AT_OPEN, INSIDE, marks_of
from src.engines.ledger import check_growth, pair_trades
from src.engines.measures import BarMeasures, measure_bars
from src.engines.orders import BarPrices
from src.engines.paths import OTHER_POLICY
from src.engines.plan import Plan, build_plan, plan_record
from src.engines.positions import end_run, move_stops

Prices = NDArray[np.float64]


@compiled
def simulate(
    part: tuple[int, int],
    open: Prices,
    high: Prices,
    low: Prices,
    close: Prices,
    action: NDArray[np.int8],
    marks: Prices,
    plans: NDArray[np.void],
    books: NDArray[np.void],
    fills: NDArray[np.void],
    balances: tuple[Prices, Prices, Prices],
    measures: BarMeasures,
) -> None:
    """Run the only book of `books` through the bars from `part[0]` to before `part[1]`; write `fills` and `balances`.

    `marks` are those of `funding_marks`, not read without funding; `balances` are cash, position and equity [n]. Only
    the `measures` that the plan uses are read.
    """
    book, plan = books[0], plans[0]
    cash, position, equity = balances
    has_funding = plan.funding_rate != 0.0
    cash_now, position_now = book.cash, book.position
    rests = is_at_rest(book, plan)
    for bar in range(part[0], part[1]):
        if not rests or action[bar] != 0:
            prices = BarPrices(open[bar], high[bar], low[bar], close[bar])
            if plan.uses_measures:
                note_measures(book, bar, measures, plan)
            if has_funding and (marks[bar, AT_OPEN] != 0.0 or marks[bar, INSIDE] != 0.0):
                funded_step(book, fills, bar, prices, action[bar], marks[bar], plan)
                rests = is_at_rest(book, plan)
            elif rests:
                close_bar(book, fills, bar, close[bar], action[bar], 0.0, plan)
                rests = is_at_rest(book, plan)
            elif has_event(book, bar, prices, action[bar]):
                step(book, fills, bar, prices, action[bar], 0.0, plan)
                rests = is_at_rest(book, plan)
            else:
                move_stops(book, prices, plan)
            cash_now, position_now = book.cash, book.position
        cash[bar] = cash_now
        position[bar] = position_now
        equity[bar] = mark_to_market(cash_now, position_now, close[bar])
    last = close.size - 1
    if part[1] > last and book.position != 0.0:
        end_run(book, fills, last, close[last], plan)
        cash[last] = book.cash
        position[last] = book.position
        equity[last] = mark_to_market(book.cash, book.position, close[last])


def _cached_on_disk(rules_fingerprint: str) -> Callable[..., None]:
    """Return `simulate` compiled once per machine, and again when a rule changes.

    numba's cache checks only the function's own file, and would use old rules after an edit of `orders.py`. Variables
    of a closure are part of the cache key, so the closure holds the fingerprint of the rules.
    """

    @njit(cache=True, nogil=True)
    def cached_simulate(*arguments: Any) -> None:
        _ = rules_fingerprint
        simulate(*arguments)

    return cached_simulate  # type: ignore[no-any-return]


RULES: Final = (
    compiling,
    money_rules,
    matching_rules,
    bar_paths,
    exchange_filters,
    book_layout,
    position_steps,
    order_steps,
    funding_steps,
    funding_marks,
    rung_levels,
    rung_fills,
    bar_measures,
    bar_steps,
    plan_layout,
    simulation,
    actions,
)
"""The modules whose rules are compiled into a run, for fingerprints."""

_simulate: Final = _cached_on_disk(fingerprint(*RULES))
_simulate_inside: Final = cached_inside(fingerprint(detail_steps, *RULES))


class EventDrivenEngine:
    """The `Engine` that simulates orders inside a bar; safe to share between threads; it releases the GIL.

    Bar t's fills read bars ≤ t only, and signals < t (≤ t with `SAME_CLOSE`): the run on the first k bars equals the
    first k bars of the full run.
    """

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        """Simulate the signals on the bars.

        Finer bars inside them (`Bars.inside`) are used if the rules ask for a detail interval. Raises ValueError if
        there is not one signal per bar; InvalidInput if the equity grows beyond `MAX_EQUITY`.
        """
        if rules.detail is None or bars.inside is None:
            return self.run_settled(bars, signals, rules, ())
        return self._run_inside(bars, signals, rules, bars.inside)[0]

    def find_detail(self, bars: Bars, signals: Signals, rules: TradingRules) -> NDArray[np.intp]:
        """Return the numbers of the bars that need finer bars and do not have all of them in `Bars.inside`: an exit or
        an entry is reached in them, or a stop moves."""
        inside = bars.inside or bars.slice(0, 0)
        return np.flatnonzero(self._run_inside(bars, signals, rules, inside)[1] == ASKED)

    def _run_inside(
        self, bars: Bars, signals: Signals, rules: TradingRules, inside: Bars
    ) -> tuple[Simulation, NDArray[np.int8]]:
        """Return the run, and for each bar whether its finer bars were needed and present."""
        if len(signals) != len(bars):
            raise ValueError(f"{len(signals)} signals for {len(bars)} bars")
        plan = build_plan(rules)
        books, fills = create_book(rules.initial_cash), allocate_fills(signals.action, plan)
        cash, position, equity = np.empty((3, len(bars)))
        resolutions = np.full(len(bars), NOT_ASKED, dtype=np.int8)
        _simulate_inside(
            (bars.open, bars.high, bars.low, bars.close), find_finer(bars, inside), signals.action,
            marks_of(bars, rules.funding), plan_record(plan), books, fills, (cash, position, equity),
            measure_bars(bars, rules), resolutions,
        )  # fmt: skip
        counts = np.bincount(resolutions, minlength=RESOLVED + 1)
        done = _conclude(bars, books[0], fills, cash, position, equity)
        return (
            replace(done, resolved_bars=int(counts[RESOLVED]), unresolved_bars=int(counts[ASKED])),
            resolutions,
        )

    def run_settled(
        self, bars: Bars, signals: Signals, rules: TradingRules, other_policy_bars: Sequence[int]
    ) -> Simulation:
        """Do the same as `run`, but decide the bars of these ascending numbers the other way round.

        `NEAREST` has no opposite policy: in these bars its decision is inverted.
        """
        if len(signals) != len(bars):
            raise ValueError(f"{len(signals)} signals for {len(bars)} bars")
        plan = build_plan(rules)
        plans, other_plans = (
            plan_record(plan._replace(intrabar=policy)) for policy in (plan.intrabar, OTHER_POLICY[plan.intrabar])
        )
        books = create_book(rules.initial_cash)
        fills = allocate_fills(signals.action, plan)
        cash, position, equity = np.empty((3, len(bars)))
        marks = marks_of(bars, rules.funding)
        arrays = (bars.open, bars.high, bars.low, bars.close, signals.action, marks)
        written = (books, fills, (cash, position, equity), measure_bars(bars, rules))
        first = 0
        for bar in other_policy_bars:
            _simulate((first, bar), *arrays, plans, *written)
            _simulate((bar, bar + 1), *arrays, other_plans, *written)
            first = bar + 1
        _simulate((first, len(bars)), *arrays, plans, *written)
        return _conclude(bars, books[0], fills, cash, position, equity)


def _conclude(
    bars: Bars, ended: np.void, fills: NDArray[np.void], cash: Prices, position: Prices, equity: Prices
) -> Simulation:
    """Return the result of a run: its balances, and the fills and counts of its book."""
    check_growth(equity)
    room, fills = len(fills), fills[: ended["fill_count"]]
    if 2 * len(fills) < room:
        fills = fills.copy()
    fills["time_ms"] = bars.open_time_ms[fills["bar"]]
    return Simulation(
        equity=equity,
        cash=cash,
        position=position,
        fills=fills,
        trades=pair_trades(
            fills,
            bars.open_time_ms,
            float(bars.close[-1]) if len(bars) else math.nan,
            open_funding=float(ended["funding"]),
        ),
        reduced_entries=int(ended["reduced_entries"]),
        dropped_entries=int(ended["dropped_entries"]),
        ambiguous_bars=int(ended["ambiguous_bars"]),
        is_liquidated=bool(ended["is_liquidated"]),
        liquidations=int(ended["liquidations"]),
        liquidation_distance=known_distance(float(ended["liquidation_distance"])),
    )


def known_distance(distance: float) -> float | None:
    """Return a distance from the liquidation level; None if nothing was ever at risk."""
    return distance if math.isfinite(distance) else None


def allocate_fills(action: NDArray[np.int8], plan: Plan) -> NDArray[np.void]:
    """Return an array for all possible fills: a buy or sell gives at most one entry."""
    entries = np.count_nonzero(np.abs(action) == 1 if plan.allowed_side == 0 else action == plan.allowed_side)
    return np.empty(plan.most_fills * entries, dtype=FILL_DTYPE)
