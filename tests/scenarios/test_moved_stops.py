"""Stops that begin to follow later, and stops that move to where closing pays back the costs."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="trailing stop does not follow before its gain is reached",
        rules=rules(units=1, trail=0.1, trail_from=0.2),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  119  100 118   |        | buy 1 @ 100 signal | 1018
        118  119  90  95    |        |                    | 995
        95   96   70  80    |        |                    | 980
        """,
    ),
    Scenario(
        name="trailing stop follows from the bar that touches its gain",
        rules=rules(units=1, trail=0.1, trail_from=0.2),
        # 120 × 0.9 = 108, from the bar after.
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  95  118   |        | buy 1 @ 100 signal         | 1018
        118  119  108 110   |        | sell 1 @ 108 trailing_stop | 1008
        """,
    ),
    Scenario(
        name="trailing stop stays where it is when the gain is lost again",
        rules=rules(units=1, trail=0.1, trail_from=0.2),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  130  100 128   |        | buy 1 @ 100 signal         | 1028
        128  129  118 119   |        |                            | 1019
        119  119  117 118   |        | sell 1 @ 117 trailing_stop | 1017
        """,
    ),
    Scenario(
        name="stop loss holds before the trailing stop begins",
        rules=rules(units=1, stop=0.05, trail=0.01, trail_from=0.2),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  110  98  105   |        | buy 1 @ 100 signal    | 1005
        105  105  94  96    |        | sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="gain of a short is counted downwards",
        rules=rules(units=1, direction=Direction.SHORT, trail=0.1, trail_from=0.2),
        # 80 × 1.1 = 88.
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  115  80  85    |        | sell 1 @ 100 signal      | 1015
        85   88   84  86    |        | buy 1 @ 88 trailing_stop | 1012
        """,
    ),
    Scenario(
        name="break-even stop moves to the price paid where nothing costs",
        rules=rules(units=1, break_even=0.1),
        table="""
        open high low close | signal | fills                   | equity
        100  101  99  100   | buy    |                         | 1000
        100  110  95  105   |        | buy 1 @ 100 signal      | 1005
        105  106  99  101   |        | sell 1 @ 100 break_even | 1000
        """,
    ),
    Scenario(
        name="break-even stop waits for its gain",
        rules=rules(units=1, break_even=0.1),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  109  95  105   |        | buy 1 @ 100 signal | 1005
        105  106  80  90    |        |                    | 990
        """,
    ),
    Scenario(
        name="break-even stop pays back the fees and slippage of both sides",
        rules=rules(cash=1000, units=1, break_even=0.5, fee=0.25, slippage=0.25),
        # Paid 125 + 31.25; 277.777… sells at 208.333… less 52.0833…: 156.25.
        table="""
        open high low close | signal | fills                                                          | equity
        100  101  99  100   | buy    |                                                                | 1000
        100  400  100 390   |        | buy 1 @ 125 signal fee 31.25                                   | 1233.75
        390  391  250 260   |        | sell 1 @ 208.333333333 break_even fee 52.083333333             | 1000
        """,
    ),
    Scenario(
        name="break-even stop of a short pays back its costs",
        rules=rules(cash=1000, units=1, direction=Direction.SHORT, break_even=0.3, fee=0.25),
        # Sold for 100 − 25 = 75; 60 × 1.25 = 75 buys it back.
        table="""
        open high low close | signal | fills                          | equity
        100  101  99  100   | sell   |                                | 1000
        100  100  50  55    |        | sell 1 @ 100 signal fee 25     | 1020
        55   65   54  62    |        | buy 1 @ 60 break_even fee 15   | 1000
        """,
    ),
    Scenario(
        name="break-even stop waits until the price has passed its level",
        rules=rules(cash=1000, units=1, break_even=0.1, fee=0.25),
        # Closing pays back from 100 × 1.25 ÷ 0.75 = 166.67 on.
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  100 110   |        | buy 1 @ 100 signal fee 25  | 985
        110  111  60  90    |        |                            | 965
        """,
    ),
    Scenario(
        name="tighter one of break-even stop and trailing stop holds",
        rules=rules(units=1, break_even=0.1, trail=0.3),
        # 110 × 0.7 = 77 is looser than 100.
        table="""
        open high low close | signal | fills                   | equity
        100  101  99  100   | buy    |                         | 1000
        100  110  95  105   |        | buy 1 @ 100 signal      | 1005
        105  106  99  101   |        | sell 1 @ 100 break_even | 1000
        """,
    ),
    Scenario(
        name="bar of a limit entry moves the stops by what it proves",
        rules=rules(units=1, entry=EntryType.LIMIT, offset=0.05, break_even=0.02, trail=0.5, trail_from=0.02),
        # The high of 120 may have come before the fill at 95; the close of 96 is a gain of 1.05 %.
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        100  120  94  96    |        | buy 1 @ 95 limit | 1001
        96   96   90  92    |        |                  | 997
        """,
    ),
    Scenario(
        name="position entered at the close moves its stops from the next bar on",
        rules=rules(units=1, fill=FillTiming.SAME_CLOSE, break_even=0.1),
        table="""
        open high low close | signal | fills              | equity
        100  150  99  100   | buy    | buy 1 @ 100 signal | 1000
        100  109  90  95    |        |                    | 995
        """,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stop_moves_as_drawn(case: Scenario) -> None:
    case.play()
