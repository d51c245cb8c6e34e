"""The time exit: `maxBars` bars after the entry's, when market orders fill."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

AT_CLOSE = FillTiming.SAME_CLOSE

CASES = [
    Scenario(
        name="at the open of the second bar after the entry's",
        rules=rules(units=1, max_bars=2),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   |        | buy 1 @ 100 signal | 1000
        101  102  100 101   |        |                    | 1001
        103  104  100 101   |        | sell 1 @ 103 time  | 1003
        101  104  100 101   |        |                    | 1003
        """,
    ),
    Scenario(
        name="at the close of the second bar after the entry's",
        rules=rules(units=1, max_bars=2, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal | 1000
        101  102  100 101   |        |                    | 1001
        103  104  100 102   |        | sell 1 @ 102 time  | 1002
        101  104  100 101   |        |                    | 1002
        """,
    ),
    Scenario(
        name="pays slippage and fee as a market order",
        rules=rules(units=1, max_bars=1, slippage=0.01, fee=0.1),
        table="""
        open high low close | signal | fills                       | equity
        100  101  99  100   | buy    |                             | 1000
        100  101  99  100   |        | buy 1 @ 101 signal fee 10.1 | 988.9
        100  101  99  100   |        | sell 1 @ 99 time fee 9.9    | 978
        """,
    ),
    Scenario(
        name="a stop before the time cancels it",
        rules=rules(units=1, max_bars=2, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        100  101  94  101   |        | sell 1 @ 95 stop_loss | 995
        103  104  100 101   |        |                       | 995
        """,
    ),
    Scenario(
        name="a signal for the same open is the reason",
        rules=rules(units=1, max_bars=2),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   |        | buy 1 @ 100 signal  | 1000
        101  102  100 101   | sell   |                     | 1001
        103  104  100 101   |        | sell 1 @ 103 signal | 1003
        """,
    ),
    Scenario(
        name="an open through the stop: the market order goes first",
        rules=rules(units=1, max_bars=1, stop=0.05),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   |        | buy 1 @ 100 signal | 1000
        90   104  89  101   |        | sell 1 @ 90 time   | 990
        """,
    ),
    Scenario(
        name="at the close, the bar's stop goes first",
        rules=rules(units=1, max_bars=1, stop=0.05, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal    | 1000
        99   104  95  101   |        | sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="no way back without a new signal",
        rules=rules(units=1, max_bars=1),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   | buy    | buy 1 @ 100 signal | 1000
        101  102  100 101   | buy    | sell 1 @ 101 time  | 1001
        103  104  100 104   |        | buy 1 @ 103 signal | 1002
        """,
    ),
    Scenario(
        name="at the close, a word in the position's direction does not renew it",
        rules=rules(units=1, max_bars=1, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal | 1000
        101  102  100 101   | buy    | sell 1 @ 101 time  | 1001
        103  104  100 104   |        |                    | 1001
        """,
    ),
    Scenario(
        name="the data end first",
        rules=rules(units=1, max_bars=5),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  101   |        | buy 1 @ 100 signal | 1001
        """,
    ),
    Scenario(
        name="a reversal starts a new count",
        rules=rules(units=1, max_bars=2, direction=Direction.BOTH),
        table="""
        open high low close | signal | fills                                     | equity
        100  101  99  100   | buy    |                                           | 1000
        100  101  99  100   | sell   | buy 1 @ 100 signal                        | 1000
        100  101  99  100   |        | sell 1 @ 100 signal ; sell 1 @ 100 signal | 1000
        100  101  99  100   |        |                                           | 1000
        98   101  97  100   |        | buy 1 @ 98 time                           | 1002
        """,
    ),
    Scenario(
        name="counted from the bar in which a limit was filled",
        rules=rules(units=1, max_bars=1, entry=EntryType.LIMIT, offset=0.05, life=3),
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        100  101  99  100   |        |                  | 1000
        100  101  95  100   |        | buy 1 @ 95 limit | 1005
        98   101  97  100   |        | sell 1 @ 98 time | 1003
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_time_exits_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
