"""Signals that only close: a long or a short becomes flat without a reversal, and entries of that direction end.

Each case says what the signal does to a position or to an entry of its own direction, and of the other one.
"""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

LONG, SHORT, BOTH = Direction.LONG, Direction.SHORT, Direction.BOTH
LIMIT, STOP = EntryType.LIMIT, EntryType.STOP

CASES = [
    Scenario(
        name="both ways: a long becomes flat at the next open",
        rules=rules(units=1, direction=BOTH),
        table="""
        open high low close | signal     | fills               | equity
        100  101  99  100   | buy        |                     | 1000
        100  111  99  110   | close long | buy 1 @ 100 signal  | 1010
        112  113  104 105   |            | sell 1 @ 112 signal | 1012
        100  101  90  91    |            |                     | 1012
        """,
    ),
    Scenario(
        name="both ways: a long becomes flat at the close",
        rules=rules(units=1, direction=BOTH, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal     | fills               | equity
        100  101  99  100   | buy        | buy 1 @ 100 signal  | 1000
        100  111  99  110   | close long | sell 1 @ 110 signal | 1010
        100  101  90  91    |            |                     | 1010
        """,
    ),
    Scenario(
        name="both ways: a short becomes flat at the next open",
        rules=rules(units=1, direction=BOTH),
        table="""
        open high low close | signal      | fills               | equity
        100  101  99  100   | sell        |                     | 1000
        100  101  89  90    | close short | sell 1 @ 100 signal | 1010
        88   96   87  95    |             | buy 1 @ 88 signal   | 1012
        100  111  99  110   |             |                     | 1012
        """,
    ),
    Scenario(
        name="both ways: a short becomes flat at the close",
        rules=rules(units=1, direction=BOTH, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal      | fills               | equity
        100  101  99  100   | sell        | sell 1 @ 100 signal | 1000
        100  101  89  90    | close short | buy 1 @ 90 signal   | 1010
        100  111  99  110   |             |                     | 1010
        """,
    ),
    Scenario(
        name="both ways: a reversal is two fills, a close is one",
        rules=rules(units=1, direction=BOTH),
        # Long 100 to 110, short 110 to 104, flat, long from 90.
        table="""
        open high low close | signal      | fills                                     | equity
        100  101  99  100   | buy         |                                           | 1000
        100  111  99  110   | sell        | buy 1 @ 100 signal                        | 1010
        110  111  104 105   | close short | sell 1 @ 110 signal ; sell 1 @ 110 signal | 1015
        104  105  90  91    | buy         | buy 1 @ 104 signal                        | 1016
        90   96   89  95    |             | buy 1 @ 90 signal                         | 1021
        """,
    ),
    Scenario(
        name="both ways: an all-cash entry after a close uses what the close left",
        rules=rules(direction=BOTH, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal     | fills                | equity
        100  101  99  100   | buy        | buy 10 @ 100 signal  | 1000
        100  111  99  110   | close long | sell 10 @ 110 signal | 1100
        110  111  54  55    | sell       | sell 20 @ 55 signal  | 1100
        55   56   49  50    |            |                      | 1200
        """,
    ),
    Scenario(
        name="both ways: a close pays the costs of one fill",
        rules=rules(units=1, direction=BOTH, slippage=0.01, fee=0.1),
        table="""
        open high low close | signal     | fills                       | equity
        100  101  99  100   | buy        |                             | 1000
        100  101  99  100   | close long | buy 1 @ 101 signal fee 10.1 | 988.9
        100  101  99  100   |            | sell 1 @ 99 signal fee 9.9  | 978
        """,
    ),
    Scenario(
        name="both ways: the closing of longs leaves a short, and the closing of shorts a long",
        rules=rules(units=1, direction=BOTH, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal      | fills                                    | equity
        100  101  99  100   | sell        | sell 1 @ 100 signal                      | 1000
        100  101  89  90    | close long  |                                          | 1010
        90   91   84  85    | buy         | buy 1 @ 85 signal ; buy 1 @ 85 signal    | 1015
        85   96   84  95    | close short |                                          | 1025
        95   98   94  97    |             |                                          | 1027
        """,
    ),
    Scenario(
        name="both ways: a close while flat does nothing",
        rules=rules(units=1, direction=BOTH),
        table="""
        open high low close | signal      | fills | equity
        100  101  99  100   | close long  |       | 1000
        100  101  89  90    | close short |       | 1000
        90   91   84  85    |             |       | 1000
        """,
    ),
    Scenario(
        name="both ways: a close keeps the stop of the other direction",
        rules=rules(units=1, direction=BOTH, stop=0.05, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal     | fills                | equity
        100  101  99  100   | sell       | sell 1 @ 100 signal  | 1000
        100  101  97  98    | close long |                      | 1002
        98   105  97  104   |            | buy 1 @ 105 stop_loss | 995
        """,
    ),
    Scenario(
        name="both ways: the stop fills in the bar whose close would have closed, and nothing is left to close",
        rules=rules(units=1, direction=BOTH, stop=0.05),
        table="""
        open high low close | signal     | fills                  | equity
        100  101  99  100   | buy        |                        | 1000
        100  101  99  100   |            | buy 1 @ 100 signal     | 1000
        100  101  94  96    | close long | sell 1 @ 95 stop_loss  | 995
        97   98   96  97    |            |                        | 995
        """,
    ),
    Scenario(
        name="both ways: an open beyond the stop fills the close, once",
        rules=rules(units=1, direction=BOTH, stop=0.05, slippage=0.01),
        # In at 101, stop at 95.95; out at 90 × 0.99.
        table="""
        open high low close | signal     | fills                 | equity
        100  101  99  100   | buy        |                       | 1000
        100  101  99  100   | close long | buy 1 @ 101 signal    | 999
        90   91   80  85    |            | sell 1 @ 89.1 signal  | 988.1
        85   86   80  85    |            |                       | 988.1
        """,
    ),
    Scenario(
        name="both ways: the target fills in the bar whose close would have closed",
        rules=rules(units=1, direction=BOTH, target=0.1),
        table="""
        open high low close | signal      | fills                                        | equity
        100  101  99  100   | sell        |                                              | 1000
        100  101  90  95    | close short | sell 1 @ 100 signal ; buy 1 @ 90 take_profit | 1010
        95   96   94  95    |             |                                              | 1010
        """,
    ),
    Scenario(
        name="both ways: a close comes before a time exit of the same bar and names the signal",
        rules=rules(units=1, direction=BOTH, max_bars=1),
        table="""
        open high low close | signal     | fills               | equity
        100  101  99  100   | buy        |                     | 1000
        100  111  99  110   | close long | buy 1 @ 100 signal  | 1010
        112  113  104 105   |            | sell 1 @ 112 signal | 1012
        """,
    ),
    Scenario(
        name="both ways: a close cancels a limit entry of its direction",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=BOTH),
        table="""
        open high low close | signal     | fills | equity
        100  101  99  100   | buy        |       | 1000
        100  101  99  100   | close long |       | 1000
        100  101  94  100   |            |       | 1000
        """,
    ),
    Scenario(
        name="both ways: a close cancels a stop entry of its direction",
        rules=rules(units=1, entry=STOP, offset=0.05, life=5, direction=BOTH),
        table="""
        open high low close | signal      | fills | equity
        100  101  99  100   | sell        |       | 1000
        100  101  99  100   | close short |       | 1000
        100  101  94  100   |             |       | 1000
        """,
    ),
    Scenario(
        name="both ways: a close leaves a limit entry of the other direction waiting",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=BOTH),
        table="""
        open high low close | signal      | fills            | equity
        100  101  99  100   | buy         |                  | 1000
        100  101  99  100   | close short |                  | 1000
        100  101  94  100   |             | buy 1 @ 95 limit | 1005
        """,
    ),
    Scenario(
        name="both ways: a close leaves a stop entry of the other direction waiting",
        rules=rules(units=1, entry=STOP, offset=0.05, life=5, direction=BOTH),
        table="""
        open high low close | signal     | fills            | equity
        100  101  99  100   | sell       |                  | 1000
        100  101  99  100   | close long |                  | 1000
        100  101  94  96    |            | sell 1 @ 95 stop | 999
        """,
    ),
    Scenario(
        name="both ways: after a reversal by limit, the closing of longs leaves the short's entry",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=BOTH),
        table="""
        open high low close | signal     | fills               | equity
        100  101  99  100   | buy        |                     | 1000
        100  101  95  100   | sell       | buy 1 @ 95 limit    | 1005
        101  104  100 104   | close long | sell 1 @ 101 signal | 1006
        104  106  103 104   |            | sell 1 @ 105 limit  | 1007
        """,
    ),
    Scenario(
        name="both ways: after a reversal by limit, the closing of shorts cancels the short's entry",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=BOTH),
        table="""
        open high low close | signal      | fills               | equity
        100  101  99  100   | buy         |                     | 1000
        100  101  95  100   | sell        | buy 1 @ 95 limit    | 1005
        101  104  100 104   | close short | sell 1 @ 101 signal | 1006
        104  106  103 104   |             |                     | 1006
        """,
    ),
    Scenario(
        name="longs only: a close of longs sells, a close of shorts does nothing",
        rules=rules(units=1, direction=LONG),
        table="""
        open high low close | signal      | fills               | equity
        100  101  99  100   | buy         |                     | 1000
        100  111  99  110   | close short | buy 1 @ 100 signal  | 1010
        112  113  104 105   | close long  |                     | 1005
        104  105  100 101   | close short | sell 1 @ 104 signal | 1004
        100  101  99  100   | close long  |                     | 1004
        100  101  99  100   |             |                     | 1004
        """,
    ),
    Scenario(
        name="longs only: a close of longs cancels an entry, a close of shorts does not",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=LONG),
        table="""
        open high low close | signal      | fills            | equity
        100  101  99  100   | buy         |                  | 1000
        100  101  99  100   | close long  |                  | 1000
        100  101  94  100   | buy         |                  | 1000
        100  101  99  100   | close short |                  | 1000
        100  101  94  100   |             | buy 1 @ 95 limit | 1005
        """,
    ),
    Scenario(
        name="shorts only: a close of shorts buys back, a close of longs does nothing",
        rules=rules(units=1, direction=SHORT),
        table="""
        open high low close | signal      | fills               | equity
        100  101  99  100   | sell        |                     | 1000
        100  101  89  90    | close long  | sell 1 @ 100 signal | 1010
        90   96   87  95    | close short |                     | 1005
        96   97   95  96    | close long  | buy 1 @ 96 signal   | 1004
        96   97   95  96    | close short |                     | 1004
        96   97   95  96    |             |                     | 1004
        """,
    ),
    Scenario(
        name="shorts only: a close of shorts cancels an entry, a close of longs does not",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=SHORT),
        table="""
        open high low close | signal      | fills              | equity
        100  101  99  100   | sell        |                    | 1000
        100  101  99  100   | close short |                    | 1000
        100  106  99  100   | sell        |                    | 1000
        100  101  99  100   | close long  |                    | 1000
        100  106  99  100   |             | sell 1 @ 105 limit | 1005
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_closing_signals_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
