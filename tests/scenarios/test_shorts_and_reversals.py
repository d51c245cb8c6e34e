"""Shorts: direction, margin, liquidation; and reversals."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming, IntrabarPolicy
from tests.scenarios.drawing import Scenario, rules

SHORT, BOTH = Direction.SHORT, Direction.BOTH

CASES = [
    Scenario(
        name="a short gains as the price falls",
        rules=rules(units=1, direction=SHORT),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 1000
        100  101  95  96    |        | sell 1 @ 100 signal | 1004
        95   96   89  90    | buy    |                     | 1010
        88   89   87  89    |        | buy 1 @ 88 signal   | 1012
        """,
    ),
    Scenario(
        name="a buy while flat changes nothing for shorts only",
        rules=rules(units=1, direction=SHORT),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        100  101  95  96    | buy    |       | 1000
        """,
    ),
    Scenario(
        name="costs of a short: sold cheaper, bought dearer, fees on both",
        rules=rules(units=1, direction=SHORT, slippage=0.01, fee=0.1),
        table="""
        open high low close | signal | fills                        | equity
        100  101  99  100   | sell   |                              | 1000
        100  101  99  100   | buy    | sell 1 @ 99 signal fee 9.9   | 989.1
        100  101  99  100   |        | buy 1 @ 101 signal fee 10.1  | 978
        """,
    ),
    Scenario(
        name="reversal at the next open: two fills at one price",
        rules=rules(units=1, direction=BOTH),
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    |                                            | 1000
        100  111  99  110   | sell   | buy 1 @ 100 signal                         | 1010
        110  111  104 105   | buy    | sell 1 @ 110 signal ; sell 1 @ 110 signal  | 1015
        100  101  98  99    |        | buy 1 @ 100 signal ; buy 1 @ 100 signal    | 1019
        """,
    ),
    Scenario(
        name="reversal at the close",
        rules=rules(units=1, direction=BOTH, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal                         | 1000
        100  111  99  110   | sell   | sell 1 @ 110 signal ; sell 1 @ 110 signal  | 1010
        110  111  104 105   |        |                                            | 1015
        """,
    ),
    Scenario(
        name="each half of a reversal pays its costs",
        rules=rules(units=1, direction=BOTH, slippage=0.01, fee=0.1),
        # In at 101 (fee 10.1); out and short at 99 (fee 9.9 each).
        table="""
        open high low close | signal | fills                                                        | equity
        100  101  99  100   | buy    |                                                              | 1000
        100  101  99  100   | sell   | buy 1 @ 101 signal fee 10.1                                  | 988.9
        100  101  99  100   |        | sell 1 @ 99 signal fee 9.9 ; sell 1 @ 99 signal fee 9.9      | 967.1
        """,
    ),
    Scenario(
        name="an all-cash reversal takes all that the exit leaves",
        rules=rules(direction=BOTH),
        # 10 units at 100; out at 110 leaves 1100; short 10 at 110, back at 88 leaves 1320; long 15 at 88.
        table="""
        open high low close | signal | fills                                          | equity
        100  101  99  100   | buy    |                                                | 1000
        100  111  99  110   | sell   | buy 10 @ 100 signal                            | 1100
        110  111  87  88    | buy    | sell 10 @ 110 signal ; sell 10 @ 110 signal    | 1320
        88   101  87  100   |        | buy 10 @ 88 signal ; buy 15 @ 88 signal        | 1500
        """,
    ),
    Scenario(
        name="stopped out in both ways: a new signal enters from flat",
        rules=rules(units=1, direction=BOTH, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  94  96    | sell   | buy 1 @ 100 signal ; sell 1 @ 95 stop_loss | 995
        96   97   95  96    |        | sell 1 @ 96 signal    | 995
        """,
    ),
    Scenario(
        name="margin: an all-cash short sells what the equity covers",
        rules=rules(direction=SHORT),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | sell   |                      | 1000
        100  101  89  90    |        | sell 10 @ 100 signal | 1100
        """,
    ),
    Scenario(
        name="margin: the fee is part of it",
        rules=rules(direction=SHORT, fee=0.25),
        # 1000 ÷ 1.25 ÷ 100 = 8; value 800, fee 200.
        table="""
        open high low close | signal | fills                       | equity
        100  101  99  100   | sell   |                             | 1000
        100  101  99  100   |        | sell 8 @ 100 signal fee 200 | 800
        """,
    ),
    Scenario(
        name="margin: a fixed size beyond it is cut",
        rules=rules(units=20, direction=SHORT),
        reduced_entries=1,
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | sell   |                      | 1000
        125  126  124 125   |        | sell 8 @ 125 signal  | 1000
        """,
    ),
    Scenario(
        name="margin: a fraction of equity",
        rules=rules(percent=0.5, direction=SHORT),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 1000
        100  101  89  90    |        | sell 5 @ 100 signal | 1050
        """,
    ),
    Scenario(
        name="liquidated inside the bar at the price where nothing is left",
        rules=rules(direction=SHORT),
        is_liquidated=True,
        # 10 sold at 100: 2000 in cash buy 10 back at 200.
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  150  99  150   |        | sell 10 @ 100 signal     | 500
        150  200  140 150   |        | buy 10 @ 200 liquidation | 0
        150  151  50  60    | sell   |                          | 0
        60   61   50  60    | buy    |                          | 0
        """,
    ),
    Scenario(
        name="a gap beyond ruin is closed at the bankruptcy price, not at the open",
        rules=rules(direction=SHORT),
        is_liquidated=True,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  150  99  150   |        | sell 10 @ 100 signal     | 500
        250  300  240 260   |        | buy 10 @ 200 liquidation | 0
        """,
    ),
    Scenario(
        name="a cent short of ruin lives on",
        rules=rules(direction=SHORT),
        table="""
        open high low close   | signal | fills                | equity
        100  101    99  100   | sell   |                      | 1000
        100  199.99 99  199   |        | sell 10 @ 100 signal | 10
        199  199    90  95    |        |                      | 1050
        """,
    ),
    Scenario(
        name="the fee of closing is kept back from ruin",
        rules=rules(direction=SHORT, fee=0.25),
        is_liquidated=True,
        # 8 sold at 100 for 800 − 200: 1600 in cash ÷ 1.25 ÷ 8 = 160, fee 320.
        table="""
        open high low close | signal | fills                           | equity
        100  101  99  100   | sell   |                                 | 1000
        100  159  99  150   |        | sell 8 @ 100 signal fee 200     | 400
        150  160  140 150   |        | buy 8 @ 160 liquidation fee 320 | 0
        """,
    ),
    Scenario(
        name="slippage brings ruin nearer: the market need not reach the price",
        rules=rules(direction=SHORT, slippage=0.25),
        is_liquidated=True,
        # 1000 ÷ 75 sold at 75: 2000 in cash buy them back at 150, which is 120 in the market.
        table="""
        open high low close | signal | fills                                     | equity
        100  101  99  100   | sell   |                                           | 1000
        100  119  99  105   |        | sell 13.333333333333334 @ 75 signal       | 600
        105  120  100 110   |        | buy 13.333333333333334 @ 150 liquidation  | 0
        """,
    ),
    Scenario(
        name="costs that ruin a short at once",
        rules=rules(direction=SHORT, slippage=0.5, fill=FillTiming.SAME_CLOSE),
        is_liquidated=True,
        # 20 sold at 50 for 1000: 2000 in cash buy 20 back at 100, which is 66.67 in the market: already passed.
        table="""
        open high low close | signal | fills                                         | equity
        100  101  99  100   | sell   | sell 20 @ 50 signal ; buy 20 @ 100 liquidation | 0
        """,
    ),
    Scenario(
        name="a stop loss before ruin saves what it can",
        rules=rules(direction=SHORT, stop=0.5),
        table="""
        open high low close | signal | fills                  | equity
        100  101  99  100   | sell   |                        | 1000
        100  101  99  100   |        | sell 10 @ 100 signal   | 1000
        100  250  99  240   |        | buy 10 @ 150 stop_loss | 500
        """,
    ),
    Scenario(
        name="a stop loss beyond ruin comes too late",
        rules=rules(direction=SHORT, stop=0.75, fee=0.25),
        is_liquidated=True,
        # Stop at 175, liquidation at 160.
        table="""
        open high low close | signal | fills                           | equity
        100  101  99  100   | sell   |                                 | 1000
        100  101  99  100   |        | sell 8 @ 100 signal fee 200     | 800
        150  180  140 150   |        | buy 8 @ 160 liquidation fee 320 | 0
        """,
    ),
    Scenario(
        name="an exit signal waits, and the open is beyond ruin",
        rules=rules(direction=SHORT),
        is_liquidated=True,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  101  99  100   | buy    | sell 10 @ 100 signal     | 1000
        220  221  90  100   |        | buy 10 @ 200 liquidation | 0
        """,
    ),
    Scenario(
        name="a reversal beyond ruin has no cash to enter with",
        rules=rules(direction=BOTH),
        is_liquidated=True,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  101  99  100   | buy    | sell 10 @ 100 signal     | 1000
        220  221  90  100   |        | buy 10 @ 200 liquidation | 0
        """,
    ),
    Scenario(
        name="half the margin free: ruin is farther away",
        rules=rules(percent=0.5, direction=SHORT),
        # 5 sold at 100: 1500 in cash buy 5 back at 300.
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 1000
        100  299  99  250   |        | sell 5 @ 100 signal | 250
        """,
    ),
    Scenario(
        name="target and ruin in one bar, pessimistic",
        rules=rules(direction=SHORT, target=0.1),
        ambiguous_bars=1,
        is_liquidated=True,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  101  99  100   |        | sell 10 @ 100 signal     | 1000
        100  210  80  100   |        | buy 10 @ 200 liquidation | 0
        """,
    ),
    Scenario(
        name="target and ruin in one bar, optimistic",
        rules=rules(direction=SHORT, target=0.1, intrabar=IntrabarPolicy.OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                   | equity
        100  101  99  100   | sell   |                         | 1000
        100  101  99  100   |        | sell 10 @ 100 signal    | 1000
        100  210  80  100   |        | buy 10 @ 90 take_profit | 1100
        """,
    ),
    Scenario(
        name="a short limit filled on the way to a ruinous high",
        rules=rules(cash=1050, direction=SHORT, entry=EntryType.LIMIT, offset=0.05),
        is_liquidated=True,
        # 10 sold at 105: 2100 in cash buy 10 back at 210.
        table="""
        open high low close | signal | fills                                          | equity
        100  101  99  100   | sell   |                                                | 1050
        100  210  99  110   |        | sell 10 @ 105 limit ; buy 10 @ 210 liquidation | 0
        """,
    ),
    Scenario(
        name="a short stop filled in a bar whose ruinous high may have come before, optimistic",
        rules=rules(cash=950, direction=SHORT, entry=EntryType.STOP, offset=0.05, intrabar=IntrabarPolicy.OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills             | equity
        100  101  99  100   | sell   |                   | 950
        100  300  90  90    |        | sell 10 @ 95 stop | 1000
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_shorts_and_reversals(scenario: Scenario) -> None:
    scenario.play()
