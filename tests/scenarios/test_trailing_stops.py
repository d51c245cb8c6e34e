"""The trailing stop: it follows the best price since entry, and is tested before it is moved."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming, IntrabarPolicy
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="rises with the high and is hit in the next bar",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  100 118   |        | buy 1 @ 100 signal         | 1018
        118  119  107 110   |        | sell 1 @ 108 trailing_stop | 1008
        """,
    ),
    Scenario(
        name="rises in a bar whose low is under the new level: not hit, as it was moved after",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  95  118   |        | buy 1 @ 100 signal         | 1018
        118  119  109 112   |        |                            | 1012
        112  113  108 110   |        | sell 1 @ 108 trailing_stop | 1008
        """,
    ),
    Scenario(
        name="rises in a bar that closes under the new level: filled at the next open",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  100 105   |        | buy 1 @ 100 signal         | 1005
        104  110  103 110   |        | sell 1 @ 104 trailing_stop | 1004
        """,
    ),
    Scenario(
        name="rises and is hit at its old level in one bar",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills                     | equity
        100  101  99  100   | buy    |                           | 1000
        100  101  99  100   |        | buy 1 @ 100 signal        | 1000
        100  150  90  140   |        | sell 1 @ 90.9 trailing_stop | 990.9
        """,
    ),
    Scenario(
        name="never moves down",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  100 118   |        | buy 1 @ 100 signal         | 1018
        118  119  110 111   |        |                            | 1011
        111  112  109 110   |        |                            | 1010
        110  111  108 110   |        | sell 1 @ 108 trailing_stop | 1008
        """,
    ),
    Scenario(
        name="starts from the price paid",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills                                          | equity
        100  101  99  100   | buy    |                                                | 1000
        100  101  90  95    |        | buy 1 @ 100 signal ; sell 1 @ 90 trailing_stop | 990
        """,
    ),
    Scenario(
        name="gap through the level fills at the open",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  100 118   |        | buy 1 @ 100 signal         | 1018
        101  119  100 110   |        | sell 1 @ 101 trailing_stop | 1001
        """,
    ),
    Scenario(
        name="pays slippage",
        rules=rules(units=1, trail=0.1, slippage=0.01),
        # Paid 101; best 120; level 108; sold at 108 × 0.99.
        table="""
        open high low close | signal | fills                         | equity
        100  101  99  100   | buy    |                               | 1000
        100  120  100 118   |        | buy 1 @ 101 signal            | 1017
        118  119  107 110   |        | sell 1 @ 106.92 trailing_stop | 1005.92
        """,
    ),
    Scenario(
        name="a tighter stop loss goes first",
        rules=rules(units=1, trail=0.1, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        99   100  89  98    |        | sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="overtakes the stop loss",
        rules=rules(units=1, trail=0.1, stop=0.05),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  100 118   |        | buy 1 @ 100 signal         | 1018
        118  119  90  98    |        | sell 1 @ 108 trailing_stop | 1008
        """,
    ),
    Scenario(
        name="level with the stop loss: the stop loss is named",
        rules=rules(units=1, trail=0.1, stop=0.1),
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    |                                            | 1000
        100  100  90  98    |        | buy 1 @ 100 signal ; sell 1 @ 90 stop_loss | 990
        """,
    ),
    Scenario(
        name="with a target in one bar, pessimistic",
        rules=rules(units=1, trail=0.1, target=0.25),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  100 118   |        | buy 1 @ 100 signal         | 1018
        118  126  107 110   |        | sell 1 @ 108 trailing_stop | 1008
        """,
    ),
    Scenario(
        name="with a target in one bar, optimistic",
        rules=rules(units=1, trail=0.1, target=0.25, intrabar=IntrabarPolicy.OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  120  100 118   |        | buy 1 @ 100 signal       | 1018
        118  126  107 110   |        | sell 1 @ 125 take_profit | 1025
        """,
    ),
    Scenario(
        name="a target without the stop in reach cancels the trailing stop",
        rules=rules(units=1, trail=0.1, target=0.25, stop=0.05),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  120  100 118   |        | buy 1 @ 100 signal       | 1018
        118  126  112 113   |        | sell 1 @ 125 take_profit | 1025
        113  114  50  60    |        |                          | 1025
        """,
    ),
    Scenario(
        name="short: falls with the low",
        rules=rules(units=1, trail=0.1, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  100  80  82    |        | sell 1 @ 100 signal      | 1018
        82   88   81  85    |        | buy 1 @ 88 trailing_stop | 1012
        """,
    ),
    Scenario(
        name="entered at the close: that bar's high came before",
        rules=rules(units=1, trail=0.1, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills                     | equity
        100  150  90  100   | buy    | buy 1 @ 100 signal        | 1000
        100  100  91  95    |        |                           | 995
        95   96   90  92    |        | sell 1 @ 90 trailing_stop | 990
        """,
    ),
    Scenario(
        name="entered by a limit inside the bar: only the close surely came after",
        rules=rules(units=1, trail=0.1, entry=EntryType.LIMIT, offset=0.05),
        # Limit 95; best since entry 96, the close; level 86.4.
        table="""
        open high low close | signal | fills                       | equity
        100  101  99  100   | buy    |                             | 1000
        100  130  94  96    |        | buy 1 @ 95 limit            | 1001
        96   96   87  90    |        |                             | 995
        90   91   86  87    |        | sell 1 @ 86.4 trailing_stop | 991.4
        """,
    ),
    Scenario(
        name="entered by a stop inside the bar: the high came after",
        rules=rules(units=1, trail=0.1, entry=EntryType.STOP, offset=0.05),
        # Stop 105; best since entry 120; level 108.
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  99  110   |        | buy 1 @ 105 stop           | 1005
        110  111  107 110   |        | sell 1 @ 108 trailing_stop | 1003
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_trailing_stops_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
