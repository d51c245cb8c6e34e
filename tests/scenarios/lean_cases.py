"""Draw the cases of LEAN's fill models anew: market, limit, stop, stop-limit and trailing orders, each for both sides.

LEAN tests an order against one bar after another. Here a signal at the first bar's close places it; a sell is that of
a short, and a trailing stop closes a position. "The general model" is LEAN's `FillModel`, the others are those of
`EquityFillModel`. A bar of one price is what LEAN calls a point.
"""

from __future__ import annotations

from typing import Final

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import rules
from tests.scenarios.foreign_cases import ForeignCase, missing

LIMIT, STOP, STOP_LIMIT = EntryType.LIMIT, EntryType.STOP, EntryType.STOP_LIMIT
SHORT, SAME_CLOSE = Direction.SHORT, FillTiming.SAME_CLOSE

TOUCH: Final = "a level is reached by a price that equals it; LEAN asks for a price beyond it"
BETTER_OPEN: Final = "an open beyond the limit fills there; LEAN's general model fills at the bar's worst price"
WORSE_CLOSE: Final = "a stop inside the bar fills at its level; LEAN's general model fills at a close that is worse"
STOP_FIRST: Final = (
    "a bar that reaches the stop from before it passes the stop first, and fills there; LEAN looks at the close, and "
    "fills if that is not beyond the limit, at the limit"
)
ONE_WAY: Final = "an entry with `entryReprice` keeps its distance from each close; LEAN's trailing stop only tightens"
QUOTES: Final = "quotes: bars have prices of trades only"
IF_TOUCHED: Final = "an order that becomes a limit order when a level is touched"
LIMITED_STOP: Final = "a limit on a stop that closes a position"
SESSIONS: Final = "sessions: the market never closes"
WHOLE: Final = "fills in parts: an order fills whole"

MARKET_ORDERS = [
    ForeignCase(
        name="a market buy fills at the price that the strategy sees",
        rules=rules(units=1, fill=SAME_CLOSE),
        table="""
        open high low close | signal | fills
        60   63   59  62    | buy    | buy 1 @ 62 signal
        64   65   63  64    |        |
        """,
    ),
    ForeignCase(
        name="a market sell fills at the price that the strategy sees",
        rules=rules(units=1, fill=SAME_CLOSE, direction=SHORT),
        table="""
        open high low close | signal | fills
        60   63   59  62    | sell   | sell 1 @ 62 signal
        64   65   63  64    |        |
        """,
    ),
    ForeignCase(
        name="a market buy pays the ask, half a spread above the price",
        rules=rules(units=1, fill=SAME_CLOSE, slippage=0.005),
        table="""
        open high low close | signal | fills
        80   81   79  80    | buy    | buy 1 @ 80.4 signal
        80   81   79  80    |        |
        """,
    ),
    ForeignCase(
        name="a market sell gets the bid, half a spread below the price",
        rules=rules(units=1, fill=SAME_CLOSE, slippage=0.005, direction=SHORT),
        table="""
        open high low close | signal | fills
        80   81   79  80    | sell   | sell 1 @ 79.6 signal
        80   81   79  80    |        |
        """,
    ),
    missing("a market order on a stale price is filled there, with a warning", "orders between two bars"),
    missing("a market order is filled in two parts", WHOLE),
    missing("each part of a market order needs a later time", WHOLE),
    ForeignCase(
        name="a buy on the open fills at the next open",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills
        60   63   59  62    | buy    |
        64   66   61  65    |        | buy 1 @ 64 signal
        """,
    ),
    ForeignCase(
        name="a sell on the open fills at the next open",
        rules=rules(units=1, direction=SHORT),
        table="""
        open high low close | signal | fills
        60   63   59  62    | sell   |
        64   66   61  65    |        | sell 1 @ 64 signal
        """,
    ),
    missing("an order on the open that is sent while the market is open waits for the next session", SESSIONS),
    ForeignCase(
        name="a buy on the close fills at a bar's close, and so does its sell",
        rules=rules(units=1, fill=SAME_CLOSE),
        table="""
        open high low close | signal | fills
        60   63   59  62    |        |
        62   66   61  65    | buy    | buy 1 @ 65 signal
        65   70   64  68    | sell   | sell 1 @ 68 signal
        """,
    ),
    ForeignCase(
        name="a sell on the close fills at a bar's close, and so does its buy",
        rules=rules(units=1, fill=SAME_CLOSE, direction=SHORT),
        table="""
        open high low close | signal | fills
        60   63   59  62    |        |
        62   66   61  65    | sell   | sell 1 @ 65 signal
        65   70   64  68    | buy    | buy 1 @ 68 signal
        """,
    ),
    missing("the opening and closing prints of the main exchange fill orders on the open and on the close", SESSIONS),
]

LIMIT_ORDERS = [
    ForeignCase(
        name="a limit buy is not filled by the bar before it, and then at its level",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        table="""
        open high low close | signal | fills
        80   81   70  80    | buy    |
        79   82   75  81    |        | buy 1 @ 76 limit
        """,
    ),
    ForeignCase(
        name="a limit sell is not filled by the bar before it, and then at its level",
        rules=rules(units=1, entry=LIMIT, offset=0.05, direction=SHORT),
        table="""
        open high low close | signal | fills
        80   90   79  80    | sell   |
        81   85   78  79    |        | sell 1 @ 84 limit
        """,
    ),
    ForeignCase(
        name="a limit buy needs the lowest price only, not the last",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5),
        table="""
        open high low  close | signal | fills
        80   81   79   80    | buy    |
        78   79   76.1 77    |        |
        77   88   75.9 88    |        | buy 1 @ 76 limit
        """,
    ),
    ForeignCase(
        name="a limit sell needs the highest price only, not the last",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=SHORT),
        table="""
        open high low close  | signal | fills
        80   81   79   80    | sell   |
        82   83.9 81   83    |        |
        83   84.1 72   72    |        | sell 1 @ 84 limit
        """,
    ),
    ForeignCase(
        name="the general model: a bar wholly below a limit buy",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        reason=BETTER_OPEN,
        table="""
        open high low close | signal | fills            | there
        80   81   79  80    | buy    |                  |
        72   74   71  73    |        | buy 1 @ 72 limit | buy 1 @ 74 limit
        """,
    ),
    ForeignCase(
        name="the general model: a bar wholly above a limit sell",
        rules=rules(units=1, entry=LIMIT, offset=0.05, direction=SHORT),
        reason=BETTER_OPEN,
        table="""
        open high low close | signal | fills             | there
        80   81   79  80    | sell   |                   |
        88   89   86  87    |        | sell 1 @ 88 limit | sell 1 @ 86 limit
        """,
    ),
    ForeignCase(
        name="a low equal to a limit buy",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        reason=TOUCH,
        table="""
        open high low close | signal | fills            | there
        80   81   79  80    | buy    |                  |
        79   80   76  79    |        | buy 1 @ 76 limit |
        """,
    ),
    ForeignCase(
        name="a high equal to a limit sell",
        rules=rules(units=1, entry=LIMIT, offset=0.05, direction=SHORT),
        reason=TOUCH,
        table="""
        open high low close | signal | fills             | there
        80   81   79  80    | sell   |                   |
        81   84   80  82    |        | sell 1 @ 84 limit |
        """,
    ),
    missing("a limit order is not filled by quotes", QUOTES),
]

STOP_ORDERS = [
    ForeignCase(
        name="a stop buy fills at its level in a bar that closes above it",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close | signal | fills
        80   81   79  80    | buy    |
        80   88   79  87    |        | buy 1 @ 84 stop
        """,
    ),
    ForeignCase(
        name="a stop sell fills at its level in a bar that closes below it",
        rules=rules(units=1, entry=STOP, offset=0.05, direction=SHORT),
        table="""
        open high low close | signal | fills
        80   81   79  80    | sell   |
        80   81   72  73    |        | sell 1 @ 76 stop
        """,
    ),
    ForeignCase(
        name="the general model: a bar closes above a stop buy",
        rules=rules(units=1, entry=STOP, offset=0.05),
        reason=WORSE_CLOSE,
        table="""
        open high low close | signal | fills           | there
        80   81   79  80    | buy    |                 |
        80   88   79  86    |        | buy 1 @ 84 stop | buy 1 @ 86 stop
        """,
    ),
    ForeignCase(
        name="the general model: a bar closes below a stop sell",
        rules=rules(units=1, entry=STOP, offset=0.05, direction=SHORT),
        reason=WORSE_CLOSE,
        table="""
        open high low close | signal | fills            | there
        80   81   79  80    | sell   |                  |
        80   81   72  74    |        | sell 1 @ 76 stop | sell 1 @ 74 stop
        """,
    ),
    ForeignCase(
        name="a stop buy whose level the open has passed fills at the open",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close | signal | fills
        80   81   79  80    | buy    |
        86   88   85  87    |        | buy 1 @ 86 stop
        """,
    ),
    ForeignCase(
        name="a stop sell whose level the open has passed fills at the open",
        rules=rules(units=1, entry=STOP, offset=0.05, direction=SHORT),
        table="""
        open high low close | signal | fills
        80   81   79  80    | sell   |
        74   75   72  73    |        | sell 1 @ 74 stop
        """,
    ),
    ForeignCase(
        name="a stop buy is not filled by the bar before it",
        rules=rules(units=1, entry=STOP, offset=0.05, life=5),
        table="""
        open high low close | signal | fills
        80   90   79  80    | buy    |
        81   83   80  82    |        |
        83   85   82  84    |        | buy 1 @ 84 stop
        """,
    ),
    ForeignCase(
        name="a stop sell is not filled by the bar before it",
        rules=rules(units=1, entry=STOP, offset=0.05, life=5, direction=SHORT),
        table="""
        open high low close | signal | fills
        80   81   70  80    | sell   |
        79   80   77  78    |        |
        77   78   75  76    |        | sell 1 @ 76 stop
        """,
    ),
    ForeignCase(
        name="a stop buy needs the highest price only, not the last",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close | signal | fills
        80   81   79  80    | buy    |
        82   85   80  81    |        | buy 1 @ 84 stop
        """,
    ),
    ForeignCase(
        name="a stop sell needs the lowest price only, not the last",
        rules=rules(units=1, entry=STOP, offset=0.05, direction=SHORT),
        table="""
        open high low close | signal | fills
        80   81   79  80    | sell   |
        78   80   75  79    |        | sell 1 @ 76 stop
        """,
    ),
    ForeignCase(
        name="a high equal to a stop buy",
        rules=rules(units=1, entry=STOP, offset=0.05),
        reason=TOUCH,
        table="""
        open high low close | signal | fills           | there
        80   81   79  80    | buy    |                 |
        80   84   79  83    |        | buy 1 @ 84 stop |
        """,
    ),
    ForeignCase(
        name="a low equal to a stop sell",
        rules=rules(units=1, entry=STOP, offset=0.05, direction=SHORT),
        reason=TOUCH,
        table="""
        open high low close | signal | fills            | there
        80   81   79  80    | sell   |                  |
        80   81   76  78    |        | sell 1 @ 76 stop |
        """,
    ),
    missing("a stop order is not filled by quotes", QUOTES),
    missing("a stop order waits outside of the regular trading hours", SESSIONS),
]

BUY_STOP_LIMIT = rules(units=1, entry=STOP_LIMIT, offset=0.05, limit=1 / 84, life=5)
"""Stop 84, limit 85 after a close of 80."""
SELL_STOP_LIMIT = rules(units=1, entry=STOP_LIMIT, offset=0.05, limit=1 / 76, life=5, direction=SHORT)
"""Stop 76, limit 75 after a close of 80."""

STOP_LIMIT_ORDERS = [
    ForeignCase(
        name="points: a stop-limit buy that a gap has passed fills when the price is back at its limit",
        rules=BUY_STOP_LIMIT,
        table="""
        open high low  close | signal | fills
        80   80   80   80    | buy    |
        88   88   88   88    |        |
        84.5 84.5 84.5 84.5  |        | buy 1 @ 84.5 limit
        """,
    ),
    ForeignCase(
        name="points: a stop-limit sell that a gap has passed fills when the price is back at its limit",
        rules=SELL_STOP_LIMIT,
        table="""
        open high low  close | signal | fills
        80   80   80   80    | sell   |
        72   72   72   72    |        |
        75.5 75.5 75.5 75.5  |        | sell 1 @ 75.5 limit
        """,
    ),
    ForeignCase(
        name="a bar passes a stop-limit buy and closes above the limit, to which the next bar falls",
        rules=BUY_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills            | there
        80   81   79  80    | buy    |                  |
        80   89   79  88    |        | buy 1 @ 84 limit |
        87   88   84  87    |        |                  | buy 1 @ 85 limit
        """,
    ),
    ForeignCase(
        name="a bar passes a stop-limit sell and closes below the limit, to which the next bar rises",
        rules=SELL_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills             | there
        80   81   79  80    | sell   |                   |
        80   81   71  72    |        | sell 1 @ 76 limit |
        73   76   72  73    |        |                   | sell 1 @ 75 limit
        """,
    ),
    ForeignCase(
        name="a bar passes a stop-limit buy and closes above the limit, and the next bar opens below it",
        rules=BUY_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills            | there
        80   81   79  80    | buy    |                  |
        80   89   79  88    |        | buy 1 @ 84 limit |
        83   88   82  87    |        |                  | buy 1 @ 83 limit
        """,
    ),
    ForeignCase(
        name="a bar passes a stop-limit sell and closes below the limit, and the next bar opens above it",
        rules=SELL_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills             | there
        80   81   79  80    | sell   |                   |
        80   81   71  72    |        | sell 1 @ 76 limit |
        77   78   72  73    |        |                   | sell 1 @ 77 limit
        """,
    ),
    ForeignCase(
        name="a bar passes a stop-limit buy and closes above the limit for good",
        rules=BUY_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills            | there
        80   81   79  80    | buy    |                  |
        80   89   79  88    |        | buy 1 @ 84 limit |
        88   90   87  89    |        |                  |
        """,
    ),
    ForeignCase(
        name="a bar passes a stop-limit sell and closes below the limit for good",
        rules=SELL_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills             | there
        80   81   79  80    | sell   |                   |
        80   81   71  72    |        | sell 1 @ 76 limit |
        72   73   70  71    |        |                   |
        """,
    ),
    ForeignCase(
        name="a bar passes stop and limit of a buy and closes below the stop",
        rules=BUY_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills            | there
        80   90   79  80    | buy    |                  |
        80   86   79  82    |        | buy 1 @ 84 limit | buy 1 @ 85 limit
        """,
    ),
    ForeignCase(
        name="a bar passes stop and limit of a sell and closes above the stop",
        rules=SELL_STOP_LIMIT,
        reason=STOP_FIRST,
        table="""
        open high low close | signal | fills             | there
        80   81   70  80    | sell   |                   |
        80   81   74  78    |        | sell 1 @ 76 limit | sell 1 @ 75 limit
        """,
    ),
]

TRAILING_STOPS = [
    ForeignCase(
        name="points: a trailing sell rises with the price, stays as it falls, and fills where it is passed",
        rules=rules(units=1, trail=0.05),
        # 76, then 79.8 from 84.
        table="""
        open high low close | signal | fills
        80   80   80  80    | buy    |
        80   80   80  80    |        | buy 1 @ 80 signal
        78   78   78  78    |        |
        84   84   84  84    |        |
        82   82   82  82    |        |
        75   75   75  75    |        | sell 1 @ 75 trailing_stop
        """,
    ),
    ForeignCase(
        name="points: a trailing buy falls with the price, stays as it rises, and fills where it is passed",
        rules=rules(units=1, trail=0.05, direction=SHORT),
        # 84, then 79.8 from 76.
        table="""
        open high low close | signal | fills
        80   80   80  80    | sell   |
        80   80   80  80    |        | sell 1 @ 80 signal
        82   82   82  82    |        |
        76   76   76  76    |        |
        78   78   78  78    |        |
        85   85   85  85    |        | buy 1 @ 85 trailing_stop
        """,
    ),
    ForeignCase(
        name="points: a trailing sell is passed by the first price after it",
        rules=rules(units=1, trail=0.05),
        table="""
        open high low close | signal | fills
        80   80   80  80    | buy    |
        80   80   80  80    |        | buy 1 @ 80 signal
        74   74   74  74    |        | sell 1 @ 74 trailing_stop
        """,
    ),
    ForeignCase(
        name="points: a trailing buy is passed by the first price after it",
        rules=rules(units=1, trail=0.05, direction=SHORT),
        table="""
        open high low close | signal | fills
        80   80   80  80    | sell   |
        80   80   80  80    |        | sell 1 @ 80 signal
        87   87   87  87    |        | buy 1 @ 87 trailing_stop
        """,
    ),
    ForeignCase(
        name="points: a trailing buy that enters keeps its level as the price rises to it",
        rules=rules(units=1, entry=STOP, offset=0.05, life=5, reprice=True),
        # 84 there; here 86.1 from the close of 82.
        reason=ONE_WAY,
        table="""
        open high low close | signal | fills | there
        80   80   80  80    | buy    |       |
        82   82   82  82    |        |       |
        85   85   85  85    |        |       | buy 1 @ 85 stop
        """,
    ),
    ForeignCase(
        name="points: a trailing sell that enters keeps its level as the price falls to it",
        rules=rules(units=1, entry=STOP, offset=0.05, life=5, reprice=True, direction=SHORT),
        # 76 there; here 74.1 from the close of 78.
        reason=ONE_WAY,
        table="""
        open high low close | signal | fills | there
        80   80   80  80    | sell   |       |
        78   78   78  78    |        |       |
        75   75   75  75    |        |       | sell 1 @ 75 stop
        """,
    ),
    missing("a trailing stop-limit is passed by the first price after it", LIMITED_STOP),
    missing("a trailing stop-limit follows the price, and its limit with it", LIMITED_STOP),
    missing("a trailing stop-limit is not filled by the bar before it", LIMITED_STOP),
]

IF_TOUCHED_ORDERS = [
    missing("a buy if touched waits at its limit once the price has touched a level above that", IF_TOUCHED),
    missing("a sell if touched waits at its limit once the price has touched a level below that", IF_TOUCHED),
    missing("an order if touched needs the extreme prices only, not the last", IF_TOUCHED),
    missing("an order if touched fills at its limit in a bar wholly beyond it", IF_TOUCHED),
    missing("an order if touched is not filled by the bar before it", IF_TOUCHED),
    missing("an order if touched is not triggered by quotes", QUOTES),
]

CASES: Final = (
    *MARKET_ORDERS,
    *LIMIT_ORDERS,
    *STOP_ORDERS,
    *STOP_LIMIT_ORDERS,
    *TRAILING_STOPS,
    *IF_TOUCHED_ORDERS,
)
