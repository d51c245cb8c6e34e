"""Limit and stop entries: touched, gapped over, expired, cancelled, replaced.

Their stops and targets in the bar that fills them are in `test_entry_bars.py`.
"""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

LIMIT, STOP = EntryType.LIMIT, EntryType.STOP

CASES = [
    Scenario(
        name="limit touched exactly",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        99   100  95  97    |        | buy 1 @ 95 limit | 1002
        """,
    ),
    Scenario(
        # Three quarters of the close come to 56078.81999999999 in binary numbers.
        name="limit touched exactly by a price with cents",
        rules=rules(units=0.01, cash=10_000, entry=LIMIT, offset=0.25),
        table="""
        open     high     low      close    | signal | fills
        74771.76 74771.76 74771.76 74771.76 | buy    |
        60000    60000    56078.82 60000    |        | buy 0.01 @ 56078.82 limit
        """,
    ),
    Scenario(
        name="limit missed by a cent expires",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        table="""
        open high low close   | signal | fills | equity
        100  101  99    100   | buy    |       | 1000
        99   100  95.01 97    |        |       | 1000
        97   98   80    82    |        |       | 1000
        """,
    ),
    Scenario(
        name="limit filled in the last bar of its life",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=3),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        99   100  96  97    |        |
        97   100  96  97    |        |
        97   100  94  97    |        | buy 1 @ 95 limit
        """,
    ),
    Scenario(
        name="limit expires after its life",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=3),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        99   100  96  97    |        |
        97   100  96  97    |        |
        97   100  96  97    |        |
        97   100  90  97    |        |
        """,
    ),
    Scenario(
        name="limit gapped over fills at the better open",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        93   100  92  97    |        | buy 1 @ 93 limit | 1004
        """,
    ),
    Scenario(
        name="open exactly at the limit",
        rules=rules(units=1, entry=LIMIT, offset=0.05),
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        95   100  94  97    |        | buy 1 @ 95 limit | 1002
        """,
    ),
    Scenario(
        name="limits pay the fee and no slippage",
        rules=rules(units=1, entry=LIMIT, offset=0.05, slippage=0.01, fee=0.01),
        table="""
        open high low close | signal | fills                     | equity
        100  101  99  100   | buy    |                           | 1000
        99   100  94  97    |        | buy 1 @ 95 limit fee 0.95 | 1001.05
        """,
    ),
    Scenario(
        name="stop touched exactly",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        101  105  99  104   |        | buy 1 @ 105 stop | 999
        """,
    ),
    Scenario(
        name="stop missed by a cent expires",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close   | signal | fills | equity
        100  101    99  100   | buy    |       | 1000
        101  104.99 99  104   |        |       | 1000
        104  110    99  104   |        |       | 1000
        """,
    ),
    Scenario(
        name="stop gapped over fills at the worse open",
        rules=rules(units=1, entry=STOP, offset=0.05),
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        108  109  99  104   |        | buy 1 @ 108 stop | 996
        """,
    ),
    Scenario(
        name="stop gapped over pays slippage on the open",
        rules=rules(units=1, entry=STOP, offset=0.05, slippage=0.01),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        108  109  99  104   |        | buy 1 @ 109.08 stop | 994.92
        """,
    ),
    Scenario(
        name="stop inside the bar pays slippage on its level",
        rules=rules(units=1, entry=STOP, offset=0.05, slippage=0.01),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        101  106  99  104   |        | buy 1 @ 106.05 stop | 997.95
        """,
    ),
    Scenario(
        name="stop gapped over with slippage beyond its stop loss: out at the same open",
        rules=rules(units=1, entry=STOP, offset=0.05, slippage=0.05, stop=0.02),
        # Paid 110 × 1.05; stop 113.19, above the market; sold at 110 × 0.95.
        table="""
        open high low close | signal | fills                                         | equity
        100  101  99  100   | buy    |                                               | 1000
        110  120  99  104   |        | buy 1 @ 115.5 stop ; sell 1 @ 104.5 stop_loss | 989
        """,
    ),
    Scenario(
        name="an exit signal while an entry waits cancels it",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        100  101  99  100   | sell   |       | 1000
        100  101  90  91    |        |       | 1000
        """,
    ),
    Scenario(
        name="the entry is filled in the bar whose close would have cancelled it",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  95  100   | sell   | buy 1 @ 95 limit   | 1005
        100  101  90  91    |        | sell 1 @ 100 signal | 1005
        """,
    ),
    Scenario(
        name="the same signal again moves the order to the new close",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=2),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        101  110  99  110   | buy    |
        108  109  104 108   |        | buy 1 @ 104.5 limit
        """,
    ),
    Scenario(
        name="the same signal again renews the order's life",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | buy    |
        100  101  95  100   |        | buy 1 @ 95 limit
        """,
    ),
    Scenario(
        name="hold leaves the order waiting",
        rules=rules(units=1, entry=STOP, offset=0.05, life=9),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | hold   |
        100  101  99  100   | hold   |
        100  106  99  100   | hold   | buy 1 @ 105 stop
        """,
    ),
    Scenario(
        name="filled at the open: its stop is in force in that bar",
        rules=rules(units=1, entry=LIMIT, offset=0.05, stop=0.1),
        # Filled at 90, stop 81.
        table="""
        open high low close | signal | fills                                    | equity
        100  101  99  100   | buy    |                                          | 1000
        90   91   80  85    |        | buy 1 @ 90 limit ; sell 1 @ 81 stop_loss | 991
        """,
    ),
    Scenario(
        name="an entry order given at the last bar is never filled",
        rules=rules(units=1, entry=LIMIT, offset=0.0),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   |        |       | 1000
        100  101  99  100   | buy    |       | 1000
        """,
    ),
    Scenario(
        name="with SAME_CLOSE too, an entry order waits for the next bar, and exits fill at the close",
        rules=rules(units=1, entry=LIMIT, offset=0.0, life=2, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        102  103  101 102   |        |                      | 1000
        101  103  100 102   |        | buy 1 @ 100 limit    | 1002
        101  103  100 103   | sell   | sell 1 @ 103 signal  | 1003
        """,
    ),
    Scenario(
        name="short limit above, touched exactly",
        rules=rules(units=1, entry=LIMIT, offset=0.05, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | sell   |                    | 1000
        100  105  99  103   |        | sell 1 @ 105 limit | 1002
        """,
    ),
    Scenario(
        name="short stop below, touched exactly, with slippage",
        rules=rules(units=1, entry=STOP, offset=0.05, slippage=0.01, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 1000
        100  101  95  96    |        | sell 1 @ 94.05 stop | 998.05
        """,
    ),
    Scenario(
        name="short stop gapped over fills at the worse open",
        rules=rules(units=1, entry=STOP, offset=0.05, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills             | equity
        100  101  99  100   | sell   |                   | 1000
        92   101  91  96    |        | sell 1 @ 92 stop  | 996
        """,
    ),
    Scenario(
        name="both ways: the exit at the market, then the opposite limit in the same bar",
        rules=rules(units=1, entry=LIMIT, offset=0.05, direction=Direction.BOTH),
        table="""
        open high low close | signal | fills                                    | equity
        100  101  99  100   | buy    |                                          | 1000
        100  101  95  100   | sell   | buy 1 @ 95 limit                         | 1005
        101  106  100 104   |        | sell 1 @ 101 signal ; sell 1 @ 105 limit | 1007
        """,
    ),
    Scenario(
        name="both ways: flat between the exit and an opposite limit that is not reached",
        rules=rules(units=1, entry=LIMIT, offset=0.05, direction=Direction.BOTH),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  95  100   | sell   | buy 1 @ 95 limit    | 1005
        101  104  100 104   |        | sell 1 @ 101 signal | 1006
        110  111  109 110   |        |                     | 1006
        """,
    ),
    Scenario(
        name="both ways: the opposite signal replaces the order that waits",
        rules=rules(units=1, entry=LIMIT, offset=0.05, life=5, direction=Direction.BOTH),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   | sell   |                    | 1000
        100  105  94  100   |        | sell 1 @ 105 limit | 1005
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_resting_entries_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
