"""Market orders: the next open or the same close, costs, and signals that change nothing."""

from __future__ import annotations

import pytest

from src.domain.trading import FillTiming
from tests.scenarios.drawing import Scenario, rules

AT_CLOSE = FillTiming.SAME_CLOSE

CASES = [
    Scenario(
        name="next open",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        102  103  101 103   |        | buy 1 @ 102 signal    | 1001
        105  106  104 105   | sell   |                       | 1003
        107  108  106 106   |        | sell 1 @ 107 signal   | 1005
        """,
    ),
    Scenario(
        name="same close",
        rules=rules(units=1, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal    | 1000
        102  103  101 103   |        |                       | 1003
        105  106  104 105   | sell   | sell 1 @ 105 signal   | 1005
        107  108  106 106   |        |                       | 1005
        """,
    ),
    Scenario(
        name="a signal at the last bar has no next open",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   |        |       | 1000
        102  103  101 103   | buy    |       | 1000
        """,
    ),
    Scenario(
        name="an exit signal at the last bar leaves the trade open",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        102  103  101 103   |        | buy 1 @ 102 signal | 1001
        105  106  104 104   | sell   |                    | 1002
        """,
    ),
    Scenario(
        name="a signal at the last bar fills at its close",
        rules=rules(units=1, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   |        |                    | 1000
        102  103  101 103   | buy    | buy 1 @ 103 signal | 1000
        """,
    ),
    Scenario(
        name="a second buy changes nothing",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        102  103  101 103   | buy    | buy 1 @ 102 signal
        105  106  104 105   | buy    |
        107  108  106 106   |        |
        """,
    ),
    Scenario(
        name="a sell while flat changes nothing",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | sell   |       | 1000
        90   91   89  90    | sell   |       | 1000
        80   81   79  80    |        |       | 1000
        """,
    ),
    Scenario(
        name="in and out on neighboring bars",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        102  103  101 103   | sell   | buy 1 @ 102 signal  | 1001
        99   100  98  98    | buy    | sell 1 @ 99 signal  | 997
        95   96   94  96    |        | buy 1 @ 95 signal   | 998
        """,
    ),
    Scenario(
        name="one bar, next open",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        """,
    ),
    Scenario(
        name="one bar, same close",
        rules=rules(units=1, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="flat prices cost the fees and nothing else",
        rules=rules(units=1, fee=0.01),
        table="""
        open high low close | signal | fills                      | equity
        100  100  100 100   | buy    |                            | 1000
        100  100  100 100   | sell   | buy 1 @ 100 signal fee 1   | 999
        100  100  100 100   |        | sell 1 @ 100 signal fee 1  | 998
        """,
    ),
    Scenario(
        name="bars without volume fill orders",
        rules=rules(units=1),
        volume=0.0,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   | sell   | buy 1 @ 100 signal
        100  100  100 100   |        | sell 1 @ 100 signal
        """,
    ),
    Scenario(
        name="slippage makes buys dearer and sells cheaper",
        rules=rules(units=1, slippage=0.01),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   | sell   | buy 1 @ 101 signal  | 999
        200  201  199 200   |        | sell 1 @ 198 signal | 1097
        """,
    ),
    Scenario(
        name="slippage at the close may leave the bar's range",
        rules=rules(units=1, slippage=0.05, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    | buy 1 @ 105 signal | 995
        """,
    ),
    Scenario(
        name="the fee is taken of the price after slippage",
        rules=rules(units=1, slippage=0.01, fee=0.1),
        table="""
        open high low close | signal | fills                         | equity
        100  101  99  100   | buy    |                               | 1000
        100  101  99  100   | sell   | buy 1 @ 101 signal fee 10.1   | 988.9
        100  101  99  100   |        | sell 1 @ 99 signal fee 9.9    | 978
        """,
    ),
    Scenario(
        name="a gap between close and open is paid",
        rules=rules(units=1),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        150  151  149 150   | sell   | buy 1 @ 150 signal  | 1000
        80   81   79  80    |        | sell 1 @ 80 signal  | 930
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_market_orders_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
