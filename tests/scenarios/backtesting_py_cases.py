"""Draw the order cases of backtesting.py anew: those of its `_test.py`, and of the rules that its broker follows.

The fills in the column `there` are those of version 0.6.6. `sl` and `tp` are prices there and fractions of the price
paid here; `spread` is paid by entries only there, and by both sides here as `slippage`.
"""

from __future__ import annotations

from typing import Final

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import rules
from tests.scenarios.foreign_cases import ForeignCase, missing

LIMIT, STOP, STOP_LIMIT = EntryType.LIMIT, EntryType.STOP, EntryType.STOP_LIMIT
SHORT, BOTH, SAME_CLOSE = Direction.SHORT, Direction.BOTH, FillTiming.SAME_CLOSE

NEXT_BAR: Final = (
    "stops and targets hold in the bar of a resting entry, as far as the bar proves them or `intrabar` decides; "
    "backtesting.py leaves them to the next bar, with a warning"
)
OPEN_FIRST: Final = "the open comes first and fills the target; backtesting.py looks at the stop first"
OPEN_BEYOND_STOP: Final = (
    "an open beyond the stop fills there; backtesting.py fills at the stop, which the bar did not see"
)
LAST_CLOSE: Final = "a position open at the end is closed at the last close"
SPREAD: Final = "slippage is paid on each side; backtesting.py adds its spread to entries only"
LIQUIDATED: Final = (
    "a position is liquidated at its level; backtesting.py looks at the equity of closes, and ends the run"
)
CUT: Final = "an entry that is too large is cut to the cash; backtesting.py drops it, with a warning"

ENTRY_BARS = [
    ForeignCase(
        name="the stop is hit in the bar of an entry at its open",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  102  94  101   |        | buy 1 @ 100 signal ; sell 1 @ 95 stop_loss
        """,
    ),
    ForeignCase(
        name="a stop entry whose bar falls to the stop loss",
        rules=rules(units=1, entry=STOP, offset=0.05, stop=0.1),
        reason=NEXT_BAR,
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                                      | there
        100  101  99  100   | buy    |                                            |
        101  106  90  96    |        | buy 1 @ 105 stop ; sell 1 @ 94.5 stop_loss | buy 1 @ 105 stop
        93   98   92  97    |        |                                            | sell 1 @ 93 stop_loss
        """,
    ),
    ForeignCase(
        name="a stop entry between a stop loss and a target that its bar reaches too",
        rules=rules(units=1, entry=STOP, offset=0.05, stop=0.1, target=0.1),
        reason=NEXT_BAR,
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                                      | there
        100  101  99  100   | buy    |                                            |
        101  117  94  100   |        | buy 1 @ 105 stop ; sell 1 @ 94.5 stop_loss | buy 1 @ 105 stop
        100  104  93  95    |        |                                            | sell 1 @ 94.5 stop_loss
        """,
    ),
    ForeignCase(
        name="a limit entry whose bar falls to the stop loss",
        rules=rules(units=1, entry=LIMIT, offset=0.05, stop=0.1),
        reason=NEXT_BAR,
        table="""
        open high low close | signal | fills                                      | there
        100  101  99  100   | buy    |                                            |
        99   100  84  90    |        | buy 1 @ 95 limit ; sell 1 @ 85.5 stop_loss | buy 1 @ 95 limit
        91   93   88  92    |        |                                            |
        91   92   85  90    |        |                                            | sell 1 @ 85.5 stop_loss
        """,
    ),
    ForeignCase(
        name="a limit entry whose bar closes above the target",
        rules=rules(units=1, entry=LIMIT, offset=0.05, target=0.1),
        reason=NEXT_BAR,
        table="""
        open high  low close | signal | fills                                         | there
        100  101   99  100   | buy    |                                               |
        99   106   94  105   |        | buy 1 @ 95 limit ; sell 1 @ 104.5 take_profit | buy 1 @ 95 limit
        104  105   103 104   |        |                                               | sell 1 @ 104.5 take_profit
        """,
    ),
    ForeignCase(
        name="a stop entry whose bar reaches the target and not the stop loss",
        rules=rules(units=1, entry=STOP, offset=0.05, stop=0.1, target=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        101  117  100 110   |        | buy 1 @ 105 stop ; sell 1 @ 115.5 take_profit
        110  111  109 110   |        |
        """,
    ),
    ForeignCase(
        name="short: a stop entry whose bar reaches the target and not the stop loss",
        rules=rules(units=1, entry=STOP, offset=0.05, stop=0.1, target=0.1, direction=SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        99   100  85  90    |        | sell 1 @ 95 stop ; buy 1 @ 85.5 take_profit
        90   91   89  90    |        |
        """,
    ),
]

STOPS_AND_TARGETS = [
    ForeignCase(
        name="a bar that reaches both is stopped",
        rules=rules(units=1, stop=0.05, target=0.1),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  102  99  101   |        | buy 1 @ 100 signal
        101  112  94  108   |        | sell 1 @ 95 stop_loss
        """,
    ),
    ForeignCase(
        name="an open beyond the stop fills it",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  102  99  101   |        | buy 1 @ 100 signal
        92   96   90  94    |        | sell 1 @ 92 stop_loss
        """,
    ),
    ForeignCase(
        name="an open beyond the target fills it",
        rules=rules(units=1, target=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  102  99  101   |        | buy 1 @ 100 signal
        112  113  111 112   |        | sell 1 @ 112 take_profit
        """,
    ),
    ForeignCase(
        name="an open beyond the target, in a bar that falls to the stop",
        rules=rules(units=1, stop=0.05, target=0.1),
        reason=OPEN_FIRST,
        table="""
        open high low close | signal | fills                    | there
        100  101  99  100   | buy    |                          |
        100  102  99  101   |        | buy 1 @ 100 signal       | buy 1 @ 100 signal
        112  113  94  100   |        | sell 1 @ 112 take_profit | sell 1 @ 95 stop_loss
        """,
    ),
    ForeignCase(
        name="a stop takes the target with it",
        rules=rules(units=1, stop=0.05, target=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  102  99  101   |        | buy 1 @ 100 signal
        101  103  94  96    |        | sell 1 @ 95 stop_loss
        96   120  95  118   |        |
        """,
    ),
    ForeignCase(
        name="a close by signal takes stop and target with it",
        rules=rules(units=1, stop=0.1, target=0.15),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  102  99  101   |        | buy 1 @ 100 signal
        101  103  100 102   | sell   |
        102  103  101 102   |        | sell 1 @ 102 signal
        102  120  80  100   |        |
        """,
    ),
    missing(
        "a target within the spread is refused",
        "levels as prices: they are distances from the price paid, so none lies on its wrong side",
    ),
    missing("stop and target are set anew while the position is open", "levels by code"),
]

CLOSES = [
    ForeignCase(
        name="trading on the close enters and exits at the closes of the signals",
        rules=rules(units=1, fill=SAME_CLOSE),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        99   103  98  102   |        |
        103  105  102 104   | sell   | sell 1 @ 104 signal
        """,
    ),
    ForeignCase(
        name="trading on the close: the stop fills at an open that has passed it",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        100  101  99  100   |        |
        50   51   49  50    |        | sell 1 @ 50 stop_loss
        """,
    ),
    ForeignCase(
        name="trading on the close: the bar after the entry hits the stop",
        rules=rules(units=1, fill=SAME_CLOSE, stop=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        100  101  88  95    |        | sell 1 @ 90 stop_loss
        """,
    ),
    ForeignCase(
        name="a signal's exit and a stop at the same open",
        rules=rules(units=1, stop=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        92   102  91  102   |        | buy 1 @ 92 signal
        102  103  101 102   | sell   |
        40   51   39  50    |        | sell 1 @ 40 signal
        """,
    ),
    ForeignCase(
        name="a signal of the last bar fills nothing",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        101  103  100 102   |        | buy 1 @ 101 signal
        103  104  102 103   | sell   |
        """,
    ),
    ForeignCase(
        name="a position that is open at the end is closed",
        rules=rules(units=1, at_end=True),
        reason=LAST_CLOSE + "; backtesting.py closes it at the last open",
        table="""
        open high low close | signal | fills              | there
        100  101  99  100   | buy    |                    |
        101  103  100 102   |        | buy 1 @ 101 signal | buy 1 @ 101 signal
        103  106  102 105   |        | sell 1 @ 105 end   | sell 1 @ 103 end
        """,
    ),
    ForeignCase(
        name="trading on the close: a position that is open at the end is closed",
        rules=rules(units=1, fill=SAME_CLOSE, at_end=True),
        reason=LAST_CLOSE + "; backtesting.py closes it at the close before",
        table="""
        open high low close | signal | fills              | there
        100  101  99  100   | buy    | buy 1 @ 100 signal | buy 1 @ 100 signal
        101  103  100 102   |        |                    | sell 1 @ 102 end
        103  106  102 105   |        | sell 1 @ 105 end   |
        """,
    ),
    ForeignCase(
        name="a signal of the last bar closes a position that the end closes",
        rules=rules(units=1, at_end=True),
        reason=LAST_CLOSE + "; backtesting.py closes it at the last open",
        table="""
        open high low close | signal | fills              | there
        100  101  99  100   | buy    |                    |
        101  103  100 102   |        | buy 1 @ 101 signal | buy 1 @ 101 signal
        103  106  102 105   | sell   | sell 1 @ 105 end   | sell 1 @ 103 signal
        """,
    ),
    ForeignCase(
        name="a position that is closed twice is closed once",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        101  103  100 102   | sell   | buy 1 @ 101 signal
        103  106  102 105   | sell   | sell 1 @ 103 signal
        104  106  102 105   |        |
        """,
    ),
    ForeignCase(
        name="exclusive orders: a sell closes a long and opens a short",
        rules=rules(units=2, direction=BOTH),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        101  103  100 102   |        | buy 2 @ 101 signal
        103  106  102 105   | sell   |
        104  106  102 105   |        | sell 2 @ 104 signal ; sell 2 @ 104 signal
        """,
    ),
    missing("two orders at one bar, and an opposite order that closes one of them", "several market orders at one bar"),
    missing("a long and a short at once", "hedging: one position at a time"),
    missing("half of a position is closed at the market", "market orders for a part of a position"),
]

RESTING_ORDERS = [
    ForeignCase(
        name="a limit is filled by a price that equals it",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        98   99   95  97    |        | buy 1 @ 95 limit
        """,
    ),
    ForeignCase(
        name="a limit is filled at an open that is better",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        93   96   92  95    |        | buy 1 @ 93 limit
        """,
    ),
    ForeignCase(
        name="a limit waits for many bars",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=10),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        99   100  97  98    |        |
        98   99   96  97    |        |
        97   98   94  96    |        | buy 1 @ 95 limit
        """,
    ),
    ForeignCase(
        name="a limit that the strategy cancels is not filled",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=10),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        99   100  97  98    | sell   |
        98   99   90  97    |        |
        """,
    ),
    ForeignCase(
        name="a stop is filled by a price that equals it",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        102  105  101 104   |        | buy 1 @ 105 stop
        """,
    ),
    ForeignCase(
        name="a stop is filled at an open that has passed it",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        107  109  106 108   |        | buy 1 @ 107 stop
        """,
    ),
    ForeignCase(
        name="a stop-limit buy is filled at its stop",
        rules=rules(units=1, entry=STOP_LIMIT, offset=0.1, limit=3 / 110),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        104  112  103 111   |        | buy 1 @ 110 limit
        """,
    ),
    ForeignCase(
        name="a stop-limit sell is filled at its stop",
        rules=rules(units=1, entry=STOP_LIMIT, offset=0.1, limit=2 / 90, direction=SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        96   97   88  89    |        | sell 1 @ 90 limit
        """,
    ),
    ForeignCase(
        name="a stop-limit that a gap has passed is filled when the price is back at its limit",
        rules=rules(units=1, entry=STOP_LIMIT, offset=0.1, limit=3 / 110, life=10),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        116  118  114 115   |        |
        115  116  112 115   |        | buy 1 @ 113 limit
        """,
    ),
    ForeignCase(
        name="an open between a stop and its limit, and no price at the stop",
        rules=rules(units=1, entry=STOP_LIMIT, offset=0.1, limit=3 / 110),
        reason=OPEN_BEYOND_STOP,
        table="""
        open  high low   close | signal | fills               | there
        100   101  99    100   | buy    |                     |
        111   112  110.5 111   |        | buy 1 @ 111 limit   | buy 1 @ 110 limit
        """,
    ),
    ForeignCase(
        name="an open beyond the limit of a stop-limit, in a bar that comes back to it",
        rules=rules(units=1, entry=STOP_LIMIT, offset=0.1, limit=3 / 110),
        reason=OPEN_BEYOND_STOP,
        table="""
        open high low close | signal | fills             | there
        100  101  99  100   | buy    |                   |
        116  118  112 114   |        | buy 1 @ 113 limit | buy 1 @ 110 limit
        """,
    ),
    missing(
        "a stop makes a limit order on its near side, which waits for the price to come back",
        "a stop-limit whose limit is better than its stop",
    ),
]

MONEY = [
    ForeignCase(
        name="the spread of a long",
        rules=rules(units=1, slippage=0.01),
        reason=SPREAD,
        # There a spread of 2 %.
        table="""
        open high low close | signal | fills                 | there
        100  101  99  100   | buy    |                       |
        100  102  99  101   | sell   | buy 1 @ 101 signal    | buy 1 @ 102 signal
        110  112  109 111   |        | sell 1 @ 108.9 signal | sell 1 @ 110 signal
        """,
    ),
    ForeignCase(
        name="the spread of a short",
        rules=rules(units=1, slippage=0.01, direction=SHORT),
        reason=SPREAD,
        table="""
        open high low close | signal | fills                | there
        100  101  99  100   | sell   |                      |
        100  102  99  101   | buy    | sell 1 @ 99 signal   | sell 1 @ 98 signal
        110  112  109 111   |        | buy 1 @ 111.1 signal | buy 1 @ 110 signal
        """,
    ),
    ForeignCase(
        name="all cash buys whole units",
        rules=rules(step=1),
        table="""
        open high low close | signal | fills
        300  303  297 300   | buy    |
        300  303  297 300   |        | buy 3 @ 300 signal
        """,
    ),
    ForeignCase(
        name="an order is larger than the cash",
        rules=rules(units=20),
        reason=CUT,
        reduced_entries=1,
        table="""
        open high low close | signal | fills               | there
        100  101  99  100   | buy    |                     |
        100  101  99  100   |        | buy 10 @ 100 signal |
        """,
    ),
    ForeignCase(
        name="margin of 10 %: a long loses it",
        rules=rules(units=100, leverage=10),
        reason=LIQUIDATED,
        is_liquidated=True,
        table="""
        open high low close | signal | fills                   | there
        100  101  99  100   | buy    |                         |
        100  101  99  100   |        | buy 100 @ 100 signal    | buy 100 @ 100 signal
        99   100  88  89    |        | sell 100 @ 90 liquidation | sell 100 @ 89 liquidation
        """,
    ),
    ForeignCase(
        name="margin of 10 %: a short loses it",
        rules=rules(units=100, leverage=10, direction=SHORT),
        reason=LIQUIDATED,
        is_liquidated=True,
        table="""
        open high low close | signal | fills                     | there
        100  101  99  100   | sell   |                           |
        100  101  99  100   |        | sell 100 @ 100 signal     | sell 100 @ 100 signal
        101  112  100 111   |        | buy 100 @ 110 liquidation | buy 100 @ 111 liquidation
        """,
    ),
    ForeignCase(
        name="margin of 10 %: a low takes it, and the close gives it back",
        rules=rules(units=100, leverage=10),
        reason=LIQUIDATED,
        is_liquidated=True,
        table="""
        open high low close | signal | fills                     | there
        100  101  99  100   | buy    |                           |
        100  101  99  100   |        | buy 100 @ 100 signal      | buy 100 @ 100 signal
        99   100  85  98    |        | sell 100 @ 90 liquidation |
        """,
    ),
    ForeignCase(
        name="a short without a margin of its own loses all",
        rules=rules(units=10, direction=SHORT),
        reason=LIQUIDATED,
        is_liquidated=True,
        table="""
        open high low close | signal | fills                    | there
        100  101  99  100   | sell   |                          |
        100  101  99  100   |        | sell 10 @ 100 signal     | sell 10 @ 100 signal
        150  211  149 210   |        | buy 10 @ 200 liquidation | buy 10 @ 210 liquidation
        """,
    ),
    missing("a fixed fee is paid by each order", "fees that are not a fraction of the value"),
]

CASES: Final = (*ENTRY_BARS, *STOPS_AND_TARGETS, *CLOSES, *RESTING_ORDERS, *MONEY)
