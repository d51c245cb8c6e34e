"""Orders in the exchange's steps: quantities down, levels harder to reach, small entries dropped."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction
from tests.scenarios.drawing import Scenario, rules

QUANTITIES = [
    Scenario(
        name="all cash buys whole steps",
        rules=rules(step=0.3),
        # 1000 ÷ 99 is 10.101…: 33 steps of 0.3 are 9.9 units for 980.1.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        99   101  99  100   |        | buy 9.9 @ 99 signal | 1009.9
        """,
    ),
    Scenario(
        name="whole steps pay the fee of their own value",
        rules=rules(step=3, fee=0.25),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  99  100   |        | buy 6 @ 100 signal fee 150 | 850
        """,
    ),
    Scenario(
        name="a fixed size in steps stays whole",
        rules=rules(step=0.1, units=0.3),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  101  99  100   |        | buy 0.3 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="less than a step is dropped and counted",
        rules=rules(step=0.5, units=0.4),
        dropped_entries=2,
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        100  101  99  100   | buy    |       | 1000
        100  101  99  100   |        |       | 1000
        """,
    ),
    Scenario(
        name="cut by cash, then to the step",
        rules=rules(step=4, units=20),
        reduced_entries=1,
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  111  99  110   |        | buy 8 @ 100 signal | 1080
        """,
    ),
    Scenario(
        name="a short is sold in steps, and bought back whole",
        rules=rules(step=3, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 1000
        100  101  99  100   | buy    | sell 9 @ 100 signal | 1000
        90   91   89  90    |        | buy 9 @ 90 signal   | 1090
        """,
    ),
    Scenario(
        name="an entry worth the minimum is made, one below is dropped",
        rules=rules(least=50, units=0.5),
        dropped_entries=1,
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   | sell   | buy 0.5 @ 100 signal  | 1000
        100  101  99  100   | buy    | sell 0.5 @ 100 signal | 1000
        99   101  99  100   |        |                       | 1000
        """,
    ),
    Scenario(
        name="the value is that of the price paid",
        rules=rules(least=50, units=0.49, slippage=0.25),
        # 0.49 units cost 61.25 after slippage; the exit of 36.75 is not refused.
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   | sell   | buy 0.49 @ 125 signal | 987.75
        100  101  99  100   |        | sell 0.49 @ 75 signal | 975.5
        """,
    ),
    Scenario(
        name="a dropped limit entry is gone",
        rules=rules(entry=EntryType.LIMIT, offset=0.1, life=5, units=0.5, least=50),
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  85  100   |        |
        100  101  85  100   |        |
        """,
    ),
    Scenario(
        name="steps bind borrowed positions too",
        rules=rules(step=7, leverage=2),
        # 1000 of margin are 20 units; 14 have a margin of 700, and what is left buys no more.
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  111  99  110   |        | buy 14 @ 100 signal | 1140
        """,
    ),
]

LEVELS = [
    Scenario(
        name="a limit to buy lies on the tick below",
        rules=rules(tick=2, entry=EntryType.LIMIT, offset=0.03, units=1, life=2),
        # 97 is between the ticks 96 and 98.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  97  100   |        |
        100  101  96  100   |        | buy 1 @ 96 limit
        """,
    ),
    Scenario(
        name="a limit to sell lies on the tick above",
        rules=rules(tick=2, entry=EntryType.LIMIT, offset=0.03, units=1, life=2, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        100  103  99  100   |        |
        100  104  99  100   |        | sell 1 @ 104 limit
        """,
    ),
    Scenario(
        name="a stop to buy lies on the tick above",
        rules=rules(tick=2, entry=EntryType.STOP, offset=0.03, units=1, life=2),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  103  99  100   |        |
        100  104  99  100   |        | buy 1 @ 104 stop
        """,
    ),
    Scenario(
        name="a stop to sell lies on the tick below",
        rules=rules(tick=2, entry=EntryType.STOP, offset=0.03, units=1, life=2, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        100  101  97  100   |        |
        100  101  96  100   |        | sell 1 @ 96 stop
        """,
    ),
    Scenario(
        name="the limit of a stop to buy lies on the tick below",
        rules=rules(tick=2, entry=EntryType.STOP_LIMIT, offset=0.03, limit=0.03, units=1),
        # The stop is 104, its limit 107.12, which is 106 in ticks: the open of 107 is beyond, and it waits.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        107  108  106 107   |        | buy 1 @ 106 limit
        """,
    ),
    Scenario(
        name="an entry that is repriced stays on ticks",
        rules=rules(tick=2, entry=EntryType.LIMIT, offset=0.03, units=1, life=3, reprice=True),
        # Of 106 the level is 102.82: 102.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        101  107  101 106   |        |
        106  107  102 104   |        | buy 1 @ 102 limit
        """,
    ),
    Scenario(
        name="the stop of a long lies on the tick below, its target above",
        rules=rules(tick=2, stop=0.05, target=0.05, units=1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  105  95  100   | sell   | buy 1 @ 100 signal
        100  105  95  100   | buy    | sell 1 @ 100 signal
        100  105  94  100   | buy    | buy 1 @ 100 signal ; sell 1 @ 94 stop_loss
        100  106  95  100   |        | buy 1 @ 100 signal ; sell 1 @ 106 take_profit
        """,
    ),
    Scenario(
        name="the stop of a short lies on the tick above, its target below",
        rules=rules(tick=2, stop=0.05, target=0.05, units=1, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        100  105  95  100   | buy    | sell 1 @ 100 signal
        100  105  95  100   | sell   | buy 1 @ 100 signal
        100  106  95  100   | sell   | sell 1 @ 100 signal ; buy 1 @ 106 stop_loss
        100  105  94  100   |        | sell 1 @ 100 signal ; buy 1 @ 94 take_profit
        """,
    ),
    Scenario(
        name="a trailing stop follows by whole ticks",
        rules=rules(tick=2, trail=0.05, units=1),
        # From 100 it lies at 95, which is 94; from 107 at 101.65, which is 100.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  95  100   |        | buy 1 @ 100 signal
        101  107  101 106   |        |
        106  107  101 106   |        |
        106  107  100 106   |        | sell 1 @ 100 trailing_stop
        """,
    ),
    Scenario(
        name="a break-even stop lies on the tick below",
        rules=rules(tick=2, break_even=0.05, units=1, fee=0.01),
        # Closing pays the fees back at 101 ÷ 0.99, 102.02: the tick is 102.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  106  100 105   |        | buy 1 @ 100 signal fee 1
        105  106  102 103   |        | sell 1 @ 102 break_even fee 1.02
        """,
    ),
    Scenario(
        name="a risk counts to the stop on its tick",
        rules=rules(tick=4, stop=0.05, risk=0.02),
        # The stop at 95 is 92 in ticks: 2 % of 1000 are lost there by 2.5 units.
        table="""
        open high low close | signal | fills                                          | equity
        100  101  99  100   | buy    |                                                | 1000
        100  101  92  100   |        | buy 2.5 @ 100 signal ; sell 2.5 @ 92 stop_loss | 980
        """,
    ),
    Scenario(
        name="a level below the smallest tick is never reached",
        rules=rules(tick=200, stop=0.05, units=1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  1   50    |        | buy 1 @ 100 signal
        """,
    ),
    Scenario(
        name="a liquidation is the exchange's own order",
        rules=rules(tick=7, leverage=2, units=10),
        is_liquidated=False,
        liquidations=1,
        # A long of 1000 that borrows half of it is liquidated at 50, between the ticks 49 and 56.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  50  60    |        | buy 10 @ 100 signal ; sell 10 @ 50 liquidation
        """,
    ),
]


@pytest.mark.parametrize("scenario", [*QUANTITIES, *LEVELS], ids=lambda case: case.name)
def test_exchange_rules_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
