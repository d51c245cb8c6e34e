"""Which fee an order pays: that of makers if it waits until a price reaches it, else that of takers."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="market orders pay the taker's fee",
        rules=rules(units=1, fee=0.5, maker=0.1, taker=0.2),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  99  100   | sell   | buy 1 @ 100 signal fee 20  | 980
        100  101  99  100   |        | sell 1 @ 100 signal fee 20 | 960
        """,
    ),
    Scenario(
        name="a limit that the low reaches pays the maker's fee, and a target that the high reaches",
        rules=rules(units=1, entry=EntryType.LIMIT, offset=0.1, target=0.1, maker=0.1, taker=0.2),
        table="""
        open high low close | signal | fills                         | equity
        100  101  99  100   | buy    |                               | 1000
        98   98.5 90  95    |        | buy 1 @ 90 limit fee 9        | 996
        95   99   94  98    |        | sell 1 @ 99 take_profit fee 9.9 | 990.1
        """,
    ),
    Scenario(
        name="a limit and a target that the open has passed pay the taker's fee",
        rules=rules(units=1, entry=EntryType.LIMIT, offset=0.1, target=0.1, maker=0.1, taker=0.2),
        table="""
        open high low close | signal | fills                             | equity
        100  101  99  100   | buy    |                                   | 1000
        80   85   79  82    |        | buy 1 @ 80 limit fee 16           | 986
        100  101  99  100   |        | sell 1 @ 100 take_profit fee 20   | 984
        """,
    ),
    Scenario(
        name="stops take",
        rules=rules(units=1, entry=EntryType.STOP, offset=0.1, stop=0.1, maker=0.1, taker=0.2),
        table="""
        open high low close | signal | fills                          | equity
        100  101  99  100   | buy    |                                | 1000
        100  111  100 111   |        | buy 1 @ 110 stop fee 22        | 979
        110  111  99  100   |        | sell 1 @ 99 stop_loss fee 19.8 | 947.2
        """,
    ),
    Scenario(
        name="a rebate is paid to the maker",
        rules=rules(entry=EntryType.LIMIT, offset=0.1, target=0.1, fee=0.001, maker=-0.01),
        # 1000 ÷ 0.99 ÷ 90 units: the rebate of 10.10 pays for some of them.
        table="""
        open high low close | signal | fills                                                         | equity
        100  101  99  100   | buy    |                                                               | 1000
        98   98.5 90  90    |        | buy 11.223344557 @ 90 limit fee -10.101010101                 | 1010.101010101
        95   99   94  98    |        | sell 11.223344557 @ 99 take_profit fee -11.111111111          | 1122.222222222
        """,
    ),
    Scenario(
        name="without a taker's fee the common one holds",
        rules=rules(units=1, direction=Direction.SHORT, fee=0.2, maker=0.1),
        table="""
        open high low close | signal | fills                       | equity
        100  101  99  100   | sell   |                             | 1000
        100  101  99  100   |        | sell 1 @ 100 signal fee 20  | 980
        """,
    ),
    Scenario(
        name="a break-even stop knows what the entry has paid",
        rules=rules(
            cash=1000, units=1, entry=EntryType.LIMIT, offset=0.1, life=2, break_even=0.5, maker=0.0, taker=0.25
        ),
        # Paid 90 without a fee; 120 less 25 % pays it back.
        table="""
        open high low close | signal | fills                            | equity
        100  101  99  100   | buy    |                                  | 1000
        100  101  90  95    |        | buy 1 @ 90 limit                 | 1005
        95   140  95  139   |        |                                  | 1049
        139  139  110 111   |        | sell 1 @ 120 break_even fee 30   | 1000
        """,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fee_is_paid_as_drawn(case: Scenario) -> None:
    case.play()
