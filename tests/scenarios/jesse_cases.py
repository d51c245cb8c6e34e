"""Draw jesse's cases of orders anew: those of its strategy, broker and spot tests, and of the path inside a bar.

jesse fills market orders at the close that the strategy sees, so `fill` is `SAME_CLOSE`. Its prices are levels; here
they are distances from the mean price paid. A bar that rises goes from its open to the low, the high and the close
there, one that falls to the high first, and a bar begins at the close before it, so that no level is ever jumped over.
"""

from __future__ import annotations

from typing import Final

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import rules
from tests.scenarios.foreign_cases import ForeignCase, missing

LIMIT, STOP = EntryType.LIMIT, EntryType.STOP
SHORT, BOTH, SAME_CLOSE = Direction.SHORT, Direction.BOTH, FillTiming.SAME_CLOSE

GAP: Final = "an open beyond a level fills there; jesse moves the open to the close before it, and fills at the level"
PATH: Final = (
    "`PESSIMISTIC` takes the stop if a bar reaches both; jesse goes to the low first in a bar that rises, to the high "
    "first in one that falls"
)
ENTRY_BAR: Final = (
    "`PESSIMISTIC` takes what may have come before the entry for the stop; jesse takes the low of a bar that rises for "
    "earlier, as `OPTIMISTIC` does"
)
BANKRUPTCY: Final = (
    "a position is liquidated at the price that leaves the maintenance margin, by Binance's formula; jesse fills at "
    "the price that leaves nothing, if the bar reaches a level close to that"
)
NEAR_MARKET: Final = "a limit at any distance waits; jesse makes it a market order within 0.01 % of the price"
CUT: Final = "an entry that is too large is cut to the cash; jesse refuses it"
STOPS_OF_PARTS: Final = "stops that close a part"
MOVED_BY_CODE: Final = "levels by code: they lie at distances from the mean entry price"
ENTRIES_BY_CODE: Final = "entries that are withdrawn or moved by code once the first one has filled"

MARKET_ENTRIES = [
    ForeignCase(
        name="a long is bought at the close and sold at its target",
        rules=rules(units=1, fill=SAME_CLOSE, target=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        101  105  100 104   |        |
        104  112  103 111   |        | sell 1 @ 110 take_profit
        """,
    ),
    ForeignCase(
        name="a short is sold at the close and bought at its target",
        rules=rules(units=1, fill=SAME_CLOSE, target=0.1, direction=SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   | sell 1 @ 100 signal
        99   100  95  96    |        |
        96   97   88  89    |        | buy 1 @ 90 take_profit
        """,
    ),
    ForeignCase(
        name="a long by a market order ends at its stop loss",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        99   100  92  93    |        |
        93   94   88  89    |        | sell 1 @ 90 stop_loss
        """,
    ),
    ForeignCase(
        name="a position is closed at the market, and one of the other side is opened later",
        rules=rules(units=1, fill=SAME_CLOSE, direction=BOTH),
        table="""
        open high low close | signal      | fills
        100  101  99  100   | buy         | buy 1 @ 100 signal
        101  111  100 110   | close long  | sell 1 @ 110 signal
        110  121  109 120   | sell        | sell 1 @ 120 signal
        120  131  119 130   | close short | buy 1 @ 130 signal
        """,
    ),
    ForeignCase(
        name="a long becomes a short at one close, which later loses its whole margin",
        rules=rules(units=10, fill=SAME_CLOSE, direction=BOTH),
        is_liquidated=True,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 10 @ 100 signal
        100  103  99  102   | sell   | sell 10 @ 102 signal ; sell 10 @ 102 signal
        102  150  101 150   |        |
        150  205  149 200   |        | buy 10 @ 204 liquidation
        """,
    ),
    ForeignCase(
        name="a position that is open at the end is closed at the last close",
        rules=rules(units=1, fill=SAME_CLOSE, at_end=True),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        101  111  100 110   |        |
        110  121  109 120   |        | sell 1 @ 120 end
        """,
    ),
    ForeignCase(
        name="a short in a market without shorts opens nothing",
        rules=rules(units=1, fill=SAME_CLOSE),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        99   100  95  96    |        |
        """,
    ),
    ForeignCase(
        name="an order is larger than the balance",
        rules=rules(units=20, fill=SAME_CLOSE),
        reason=CUT,
        reduced_entries=1,
        table="""
        open high low close | signal | fills               | there
        100  101  99  100   | buy    | buy 10 @ 100 signal |
        100  101  99  100   |        |                     |
        """,
    ),
]

RESTING_ENTRIES = [
    ForeignCase(
        name="a buy above the price waits as a stop order",
        rules=rules(units=1, fill=SAME_CLOSE, entry=STOP, offset=0.05, life=5, stop=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  104  99  103   |        |
        103  107  102 106   |        | buy 1 @ 105 stop
        106  107  94  95    |        | sell 1 @ 94.5 stop_loss
        """,
    ),
    ForeignCase(
        name="a sell below the price waits as a stop order",
        rules=rules(units=1, fill=SAME_CLOSE, entry=STOP, offset=0.05, life=5, stop=0.1, direction=SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        100  101  96  97    |        |
        97   98   93  94    |        | sell 1 @ 95 stop
        94   105  93  104   |        | buy 1 @ 104.5 stop_loss
        """,
    ),
    ForeignCase(
        name="the stop loss of a stop entry fills and takes the target with it",
        rules=rules(units=1, fill=SAME_CLOSE, entry=STOP, offset=0.2, life=5, stop=1 / 3, target=1 / 3),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        105  121  104 120   |        | buy 1 @ 120 stop
        120  121  79  85    |        | sell 1 @ 80 stop_loss
        85   165  84  160   |        |
        """,
    ),
    ForeignCase(
        name="entries that the strategy cancels are not filled",
        rules=rules(units=1, fill=SAME_CLOSE, entry=LIMIT, offset=0.2, life=10),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   |
        100  101  70  75    |        |
        """,
    ),
    ForeignCase(
        name="a limit next to the price",
        rules=rules(units=1, fill=SAME_CLOSE, entry=LIMIT, offset=0.00005),
        reason=NEAR_MARKET,
        table="""
        open high low  close | signal | fills                | there
        100  101  99   100   | buy    |                      | buy 1 @ 100 signal
        100  101  99.9 100   |        | buy 1 @ 99.995 limit |
        """,
    ),
    missing("entries that wait are withdrawn once the first one has filled", ENTRIES_BY_CODE),
    missing("short: entries that wait are withdrawn once the first one has filled", ENTRIES_BY_CODE),
    missing("the list of entries is set anew while the position is open", ENTRIES_BY_CODE),
]

SEVERAL_LEVELS = [
    ForeignCase(
        name="a third of the position is sold at each of three targets",
        rules=rules(units=3, fill=SAME_CLOSE, targets=[(0.1, 1 / 3), (0.2, 1 / 3), (0.3, None)]),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 3 @ 100 signal
        101  111  100 110   |        | sell 1 @ 110 take_profit
        110  121  109 120   |        | sell 1 @ 120 take_profit
        120  131  119 130   |        | sell 1 @ 130 take_profit
        """,
    ),
    ForeignCase(
        name="one bar reaches two targets",
        rules=rules(units=2, fill=SAME_CLOSE, targets=[(0.2, 0.5), (0.4, None)]),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 2 @ 100 signal
        101  145  100 144   |        | sell 1 @ 120 take_profit ; sell 1 @ 140 take_profit
        """,
    ),
    ForeignCase(
        name="the target moves away while the position is open",
        rules=rules(units=1, fill=SAME_CLOSE, targets=[(0.1, None), (0.2, None, 2)]),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        101  108  100 107   |        |
        107  116  106 115   |        |
        115  121  114 120   |        | sell 1 @ 120 take_profit
        """,
    ),
    ForeignCase(
        name="a third is sold, and the rest at a target farther away",
        rules=rules(units=3, fill=SAME_CLOSE, targets=[(0.1, 1 / 3), (0.4, None)]),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 3 @ 100 signal
        101  111  100 110   |        | sell 1 @ 110 take_profit
        110  131  109 130   |        |
        130  141  129 140   |        | sell 2 @ 140 take_profit
        """,
    ),
    ForeignCase(
        name="half is sold by a second target that is set after the entry",
        rules=rules(units=2, fill=SAME_CLOSE, targets=[(0.1, 0.5), (0.5, None)]),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 2 @ 100 signal
        101  111  100 110   |        | sell 1 @ 110 take_profit
        110  151  109 150   |        | sell 1 @ 150 take_profit
        """,
    ),
    ForeignCase(
        name="a target of a part leaves the rest open",
        rules=rules(units=2, fill=SAME_CLOSE, targets=[(0.1, 0.5)]),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 2 @ 100 signal
        101  111  100 110   |        | sell 1 @ 110 take_profit
        110  131  109 130   |        |
        """,
    ),
    ForeignCase(
        name="after a target of a part the stop loss closes the rest",
        rules=rules(units=2, fill=SAME_CLOSE, stop=0.1, targets=[(0.1, 0.5)]),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 2 @ 100 signal
        101  111  100 110   |        | sell 1 @ 110 take_profit
        110  111  88  89    |        | sell 1 @ 90 stop_loss
        """,
    ),
    ForeignCase(
        name="of target and stop loss the first to fill takes the other with it",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1, target=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        101  111  100 110   |        | sell 1 @ 110 take_profit
        110  111  88  89    |        |
        """,
    ),
    ForeignCase(
        name="a position is bought at the market and at two stops above it",
        rules=rules(units=1, fill=SAME_CLOSE, target=0.5, adds=[(0.2, 1), (30 / 110, 1)]),
        # Means of 100, 110 and 120; the second stop is 140 from 110.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        101  121  100 118   |        | buy 1 @ 120 add_stop
        118  141  117 140   |        | buy 1 @ 140 add_stop
        140  181  139 180   |        | sell 3 @ 180 take_profit
        """,
    ),
    ForeignCase(
        name="an open position grows by a stop order, and its target counts from the mean",
        rules=rules(units=1, fill=SAME_CLOSE, target=0.2, adds=[(0.1, 1)]),
        # The mean is 105.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        101  111  100 110   |        | buy 1 @ 110 add_stop
        110  127  109 126   |        | sell 2 @ 126 take_profit
        """,
    ),
    ForeignCase(
        name="two entries and two targets in one bar that rises",
        rules=rules(
            units=1,
            fill=SAME_CLOSE,
            entry=STOP,
            offset=0.1,
            stop=0.2,
            adds=[(1 / 110, 1)],
            targets=[(9.5 / 110.5, 0.5), (19.5 / 110.5, None)],
        ),
        # Bought at 110 and 111; targets 120 and 130, counted from 110.5.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  200  100 200   |        | buy 1 @ 110 stop; buy 1 @ 111 add_stop; sell 1 @ 120 take_profit; \
sell 1 @ 130 take_profit
        """,
    ),
    ForeignCase(
        name="four entries close to each other in one bar, and one target for all",
        rules=rules(
            units=1,
            fill=SAME_CLOSE,
            entry=STOP,
            offset=0.1,
            target=1.4,
            adds=[(10 / 110, 1), (15 / 115, 1), (20 / 120, 1)],
        ),
        # Means of 110, 115, 120 and 125.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  200  100 200   |        | buy 1 @ 110 stop; buy 1 @ 120 add_stop; buy 1 @ 130 add_stop; \
buy 1 @ 140 add_stop
        200  301  199 300   |        | sell 4 @ 300 take_profit
        """,
    ),
    missing("short: a third is bought back at each of three stops", STOPS_OF_PARTS),
    missing("short: half is bought back at each of two stops", STOPS_OF_PARTS),
    missing("a stop of a part fills, and the rest's stop is moved", STOPS_OF_PARTS),
    missing("a stop of a part leaves the rest open", STOPS_OF_PARTS),
    missing("a target of a part fills, and that closes the rest at the market", "orders that a fill places"),
    missing("stop loss and target are set anew while the position is open", MOVED_BY_CODE),
    missing("a stop loss is set beyond the price and is filled at the market", MOVED_BY_CODE),
    missing("a target is set beyond the price and is filled at the market", MOVED_BY_CODE),
]

PATHS = [
    ForeignCase(
        name="a stop entry, its stop loss and its target in one bar that rises",
        rules=rules(units=1, fill=SAME_CLOSE, entry=STOP, offset=0.1, stop=0.05, target=0.05),
        reason=ENTRY_BAR,
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                                    | there
        200  202  198 200   | buy    |                                          |
        200  250  200 250   |      | buy 1 @ 220 stop; sell 1 @ 209 stop_loss |buy 1 @ 220 stop;sell 1 @ 231 take_profit
        """,
    ),
    ForeignCase(
        name="a long meets stop and target in a bar that rises",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1, target=0.1),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        100  112  88  105   |        | sell 1 @ 90 stop_loss
        """,
    ),
    ForeignCase(
        name="a long meets stop and target in a bar that falls",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1, target=0.1),
        reason=PATH,
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                 | there
        100  101  99  100   | buy    | buy 1 @ 100 signal    | buy 1 @ 100 signal
        100  112  88  95    |        | sell 1 @ 90 stop_loss | sell 1 @ 110 take_profit
        """,
    ),
    ForeignCase(
        name="a short meets stop and target in a bar that falls",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1, target=0.1, direction=SHORT),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   | sell 1 @ 100 signal
        100  112  88  95    |        | buy 1 @ 110 stop_loss
        """,
    ),
    ForeignCase(
        name="a short meets stop and target in a bar that rises",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1, target=0.1, direction=SHORT),
        reason=PATH,
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                 | there
        100  101  99  100   | sell   | sell 1 @ 100 signal   | sell 1 @ 100 signal
        100  112  88  105   |        | buy 1 @ 110 stop_loss | buy 1 @ 90 take_profit
        """,
    ),
    ForeignCase(
        name="a gap over the stop loss",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1),
        reason=GAP,
        table="""
        open high low close | signal | fills                 | there
        100  101  99  100   | buy    | buy 1 @ 100 signal    | buy 1 @ 100 signal
        80   85   78  84    |        | sell 1 @ 80 stop_loss | sell 1 @ 90 stop_loss
        """,
    ),
    ForeignCase(
        name="a gap over the target",
        rules=rules(units=1, fill=SAME_CLOSE, target=0.1),
        reason=GAP,
        table="""
        open high low close | signal | fills                    | there
        100  101  99  100   | buy    | buy 1 @ 100 signal       | buy 1 @ 100 signal
        120  122  118 121   |        | sell 1 @ 120 take_profit | sell 1 @ 110 take_profit
        """,
    ),
    ForeignCase(
        name="a gap over a limit entry",
        rules=rules(units=1, fill=SAME_CLOSE, entry=LIMIT, offset=0.1),
        reason=GAP,
        table="""
        open high low close | signal | fills            | there
        100  101  99  100   | buy    |                  |
        80   85   78  84    |        | buy 1 @ 80 limit | buy 1 @ 90 limit
        """,
    ),
    ForeignCase(
        name="a gap over a stop entry",
        rules=rules(units=1, fill=SAME_CLOSE, entry=STOP, offset=0.1),
        reason=GAP,
        table="""
        open high low close | signal | fills            | there
        100  101  99  100   | buy    |                  |
        120  122  118 121   |        | buy 1 @ 120 stop | buy 1 @ 110 stop
        """,
    ),
]

LIQUIDATIONS = [
    ForeignCase(
        name="twofold leverage: a long loses its margin",
        rules=rules(units=20, fill=SAME_CLOSE, leverage=2, maintenance=0.004),
        # 100 × (1 − 1/2) ÷ (1 − 0.004).
        reason=BANKRUPTCY,
        liquidations=1,
        table="""
        open high low close | signal | fills                             | there
        100  101  99  100   | buy    | buy 20 @ 100 signal               | buy 20 @ 100 signal
        100  101  90  92    |        |                                   |
        92   93   49  50    |        | sell 20 @ 50.200803213 liquidation | sell 20 @ 50 liquidation
        """,
    ),
    ForeignCase(
        name="twofold leverage: a short loses its margin",
        rules=rules(units=20, fill=SAME_CLOSE, leverage=2, maintenance=0.004, direction=SHORT),
        # 100 × (1 + 1/2) ÷ (1 + 0.004).
        reason=BANKRUPTCY,
        liquidations=1,
        table="""
        open high low close | signal | fills                              | there
        100  101  99  100   | sell   | sell 20 @ 100 signal               | sell 20 @ 100 signal
        100  110  99  108   |        |                                    |
        108  151  107 150   |        | buy 20 @ 149.402390438 liquidation | buy 20 @ 150 liquidation
        """,
    ),
]

CASES: Final = (*MARKET_ENTRIES, *RESTING_ENTRIES, *SEVERAL_LEVELS, *PATHS, *LIQUIDATIONS)
