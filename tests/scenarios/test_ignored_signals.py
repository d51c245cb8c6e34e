"""Signals that change nothing: in a position that only its own exits close, and after a stop. The end of the bars."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="a position stays open although its signal ends",
        rules=rules(units=1, on_signal=False, target=0.1),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  101  99  100   | sell   | buy 1 @ 100 signal       | 1000
        100  101  99  100   |        |                          | 1000
        100  115  99  112   |        | sell 1 @ 110 take_profit | 1010
        """,
    ),
    Scenario(
        name="a position is not reversed",
        rules=rules(units=1, on_signal=False, direction=Direction.BOTH, max_bars=2),
        table="""
        open high low close | signal     | fills               | equity
        100  101  99  100   | buy        |                     | 1000
        100  101  99  100   | sell       | buy 1 @ 100 signal  | 1000
        100  101  99  100   | close long |                     | 1000
        105  106  99  100   | sell       | sell 1 @ 105 time   | 1005
        100  101  89  90    |            | sell 1 @ 100 signal | 1015
        """,
    ),
    Scenario(
        name="an entry that waits is still cancelled by the opposite signal",
        rules=rules(units=1, on_signal=False, entry=EntryType.LIMIT, offset=0.05, life=5),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        100  101  99  100   | sell   |       | 1000
        100  101  90  100   |        |       | 1000
        """,
    ),
    Scenario(
        name="the signal of a stop's own bar opens nothing",
        rules=rules(units=1, stop=0.05, cooldown=1),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  90  96    | buy    | buy 1 @ 100 signal ; sell 1 @ 95 stop_loss | 995
        96   97   95  96    | buy    |                       | 995
        96   97   95  97    |        | buy 1 @ 96 signal     | 996
        """,
    ),
    Scenario(
        name="three bars of rest after a stop count from its own",
        rules=rules(units=1, fill=FillTiming.SAME_CLOSE, stop=0.05, cooldown=3),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal    | 1000
        100  101  90  96    | buy    | sell 1 @ 95 stop_loss | 995
        96   97   95  96    | buy    |                       | 995
        96   97   95  96    | buy    |                       | 995
        96   97   95  96    | buy    | buy 1 @ 96 signal     | 995
        """,
    ),
    Scenario(
        name="nothing rests after a target or a signal",
        rules=rules(units=1, fill=FillTiming.SAME_CLOSE, target=0.05, cooldown=9),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal       | 1000
        100  110  99  100   | buy    | sell 1 @ 105 take_profit ; buy 1 @ 100 signal | 1005
        100  101  99  100   | sell   | sell 1 @ 100 signal      | 1005
        100  101  99  100   | buy    | buy 1 @ 100 signal       | 1005
        """,
    ),
    Scenario(
        name="an open position is closed at the last close, with costs",
        rules=rules(units=1, at_end=True, fee=0.25, slippage=0.25),
        table="""
        open high low close | signal | fills                        | equity
        100  101  99  100   | buy    |                              | 1000
        100  101  99  100   |        | buy 1 @ 125 signal fee 31.25 | 943.75
        100  121  99  120   |        | sell 1 @ 90 end fee 22.5     | 911.25
        """,
    ),
    Scenario(
        name="a position entered at the last close is closed there",
        rules=rules(units=1, at_end=True, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills                                  | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal ; sell 1 @ 100 end  | 1000
        """,
    ),
    Scenario(
        name="nothing is closed at the end without a position",
        rules=rules(units=1, at_end=True),
        table="""
        open high low close | signal | fills                                | equity
        100  101  99  100   | buy    |                                      | 1000
        100  101  99  100   | sell   | buy 1 @ 100 signal                   | 1000
        100  101  99  100   |        | sell 1 @ 100 signal                  | 1000
        """,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_signals_are_followed_as_drawn(case: Scenario) -> None:
    case.play()
