"""Targets that close a position in parts, and targets that change with its age."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming, IntrabarPolicy
from tests.scenarios.drawing import Scenario, rules

OPTIMISTIC = IntrabarPolicy.OPTIMISTIC

HALVES = [(0.1, 0.5), (0.2, None)]

CASES = [
    Scenario(
        name="half is sold at the first target and the rest at the second",
        rules=rules(units=2, targets=HALVES),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  110  95  105   |        | buy 2 @ 100 signal; sell 1 @ 110 take_profit | 1015
        105  108  104 106   |        |                          | 1016
        106  120  105 118   |        | sell 1 @ 120 take_profit | 1030
        """,
    ),
    Scenario(
        name="one bar reaches both targets and fills them in the order of their rates",
        rules=rules(units=2, targets=[(0.2, None), (0.1, 0.5)]),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  105  95  104   |        | buy 2 @ 100 signal | 1008
        104  125  103 124   |        | sell 1 @ 110 take_profit; sell 1 @ 120 take_profit | 1030
        """,
    ),
    Scenario(
        name="open beyond both targets sells at the open for a taker's fee",
        rules=rules(units=2, targets=HALVES, fee=0.01, maker=0.0),
        # Entry: 2 × 100 × 1 % = 2; each exit 130 × 1 %.
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  105  95  104   |        | buy 2 @ 100 signal fee 2 | 1006
        130  131  129 130   |        | sell 1 @ 130 take_profit fee 1.3; sell 1 @ 130 take_profit fee 1.3 | 1055.4
        """,
    ),
    Scenario(
        name="target that a price reaches pays the maker's fee on its part",
        rules=rules(units=2, targets=HALVES, fee=0.01, maker=0.001),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  105  95  104   |        | buy 2 @ 100 signal fee 2 | 1006
        104  112  103 108   |        | sell 1 @ 110 take_profit fee 0.11 | 1015.89
        """,
    ),
    Scenario(
        name="pessimistic stop closes everything before a target in the same bar",
        rules=rules(units=2, targets=HALVES, stop=0.1),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  111  90  105   |        | buy 2 @ 100 signal; sell 2 @ 90 stop_loss | 980
        """,
    ),
    Scenario(
        name="optimistic target fills before the stop closes what is left",
        rules=rules(units=2, targets=HALVES, stop=0.1, intrabar=OPTIMISTIC),
        ambiguous_bars=1,
        # The position was open all along, so that both levels were certainly reached.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  111  90  105   |        | buy 2 @ 100 signal; sell 1 @ 110 take_profit; sell 1 @ 90 stop_loss | 1000
        """,
    ),
    Scenario(
        name="optimistic stop entry keeps the rest if only its earlier low is at the stop",
        rules=rules(units=2, entry=EntryType.STOP, offset=0.0, targets=HALVES, stop=0.05, intrabar=OPTIMISTIC),
        ambiguous_bars=1,
        # Bought at 100 on the way up: 110 came later, 94 may have come before, and the close is above 95.
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        98   111  94  104   |        | buy 2 @ 100 stop; sell 1 @ 110 take_profit | 1014
        """,
    ),
    Scenario(
        name="optimistic stop entry stops the rest if the close is beyond the stop",
        rules=rules(units=2, entry=EntryType.STOP, offset=0.0, targets=HALVES, stop=0.05, intrabar=OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        98   111  93  94    |        | buy 2 @ 100 stop; sell 1 @ 110 take_profit; sell 1 @ 95 stop_loss | 1005
        """,
    ),
    Scenario(
        name="pessimistic limit entry takes only the target that the close proves",
        rules=rules(units=2, entry=EntryType.LIMIT, offset=0.0, targets=[(0.05, 0.5), (0.1, None)]),
        ambiguous_bars=1,
        # Bought at 100 on the way down from 111, which may have come before; the close at 106 came after.
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        104  111  99  106   |        | buy 2 @ 100 limit; sell 1 @ 105 take_profit | 1011
        """,
    ),
    Scenario(
        name="optimistic limit entry takes both targets",
        rules=rules(
            units=2, entry=EntryType.LIMIT, offset=0.0, targets=[(0.05, 0.5), (0.1, None)], intrabar=OPTIMISTIC
        ),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        104  111  99  106   |        | buy 2 @ 100 limit; sell 1 @ 105 take_profit; sell 1 @ 110 take_profit | 1015
        """,
    ),
    Scenario(
        name="stop loss closes what the first target has left",
        rules=rules(units=4, targets=[(0.1, 0.25), (0.5, None)], stop=0.1),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  111  99  105   |        | buy 4 @ 100 signal; sell 1 @ 110 take_profit | 1025
        105  106  80  85    |        | sell 3 @ 90 stop_loss | 980
        """,
    ),
    Scenario(
        name="signal closes what the targets have left",
        rules=rules(units=4, targets=[(0.1, 0.25), (0.2, 0.25)]),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  121  99  120   |        | buy 4 @ 100 signal; sell 1 @ 110 take_profit; sell 1 @ 120 take_profit | 1070
        120  150  119 140   | sell   |                    | 1110
        130  131  129 130   |        | sell 2 @ 130 signal | 1090
        """,
    ),
    Scenario(
        name="targets of a short lie below and are bought back in parts",
        rules=rules(units=2, direction=Direction.SHORT, targets=HALVES),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 1000
        100  101  89  95    |        | sell 2 @ 100 signal; buy 1 @ 90 take_profit | 1015
        95   96   80  82    |        | buy 1 @ 80 take_profit | 1030
        """,
    ),
    Scenario(
        name="next position has all its targets again",
        rules=rules(units=2, targets=HALVES),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  111  99  105   | sell   | buy 2 @ 100 signal; sell 1 @ 110 take_profit | 1015
        105  106  104 105   | buy    | sell 1 @ 105 signal | 1015
        100  111  99  105   |        | buy 2 @ 100 signal; sell 1 @ 110 take_profit | 1030
        """,
    ),
    Scenario(
        name="borrowed position keeps the margin of what is left",
        rules=rules(units=10, leverage=5, targets=[(0.1, 0.5)]),
        # Margin 200 and 800 borrowed: what is left is liquidated where all of it would have been, at 100 × 0.8.
        liquidations=1,
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  111  99  105   |        | buy 10 @ 100 signal; sell 5 @ 110 take_profit | 1075
        105  106  79  90    |        | sell 5 @ 80 liquidation | 950
        """,
    ),
    Scenario(
        name="short that is bought back in part is liquidated farther away",
        rules=rules(percent=1, cash=200, direction=Direction.SHORT, targets=[(0.5, 0.5)]),
        is_liquidated=True,
        # 2 units sold at 100: 400 in cash. After 1 × 50, 350 in cash pay for one unit up to 350.
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 200
        100  101  50  60    |        | sell 2 @ 100 signal; buy 1 @ 50 take_profit | 290
        60   300  60  250   |        |                     | 100
        250  360  240 300   |        | buy 1 @ 350 liquidation | 0
        """,
    ),
]

OF_AGES = [
    Scenario(
        name="return table: the target falls with the position's age",
        rules=rules(units=1, targets=[(0.1, None), (0.04, None, 2)]),
        # In the entry's bar and the next one 110 is asked, from the second bar after on 104.
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  106  99  103   |        | buy 1 @ 100 signal       | 1003
        103  106  100 103   |        |                          | 1003
        103  106  100 103   |        | sell 1 @ 104 take_profit | 1004
        """,
    ),
    Scenario(
        name="return table: first row holds until the second row's age",
        rules=rules(units=1, targets=[(0.1, None), (0.04, None, 5)]),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  106  99  103   |        | buy 1 @ 100 signal       | 1003
        103  111  100 103   |        | sell 1 @ 110 take_profit | 1010
        """,
    ),
    Scenario(
        name="return table: an open above a target that has fallen sells at the open",
        rules=rules(units=1, targets=[(0.1, None), (0.02, None, 2)]),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  106  99  105   |        | buy 1 @ 100 signal       | 1005
        105  107  103 106   |        |                          | 1006
        106  108  104 107   |        | sell 1 @ 106 take_profit | 1006
        """,
    ),
    Scenario(
        name="return table: rate of zero sells what is back at its price",
        rules=rules(units=1, targets=[(0.1, None), (0.0, None, 2)]),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  101  94  95    |        | buy 1 @ 100 signal       | 995
        95   102  94  96    |        |                          | 996
        96   99   95  98    |        |                          | 998
        98   101  97  99    |        | sell 1 @ 100 take_profit | 1000
        """,
    ),
    Scenario(
        name="return table: rate of -1 sells at any price",
        rules=rules(units=1, targets=[(0.1, None), (-1.0, None, 3)]),
        table="""
        open high low close | signal | fills                   | equity
        100  101  99  100   | buy    |                         | 1000
        100  101  94  95    |        | buy 1 @ 100 signal      | 995
        95   97   80  82    |        |                         | 982
        82   83   70  72    |        |                         | 972
        71   75   60  70    |        | sell 1 @ 71 take_profit | 971
        """,
    ),
    Scenario(
        name="return table: rate of -1 buys a short back at more than twice its price",
        rules=rules(units=1, direction=Direction.SHORT, targets=[(-1.0, None, 2)]),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   |                          | 1000
        100  201  99  200   |        | sell 1 @ 100 signal      | 900
        200  255  199 250   |        |                          | 850
        250  260  240 255   |        | buy 1 @ 250 take_profit  | 850
        """,
    ),
    Scenario(
        name="return table: before its first age there is no target",
        rules=rules(units=1, targets=[(0.02, None, 2)]),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  150  99  110   |        | buy 1 @ 100 signal       | 1010
        101  150  99  101   |        |                          | 1001
        101  103  99  101   |        | sell 1 @ 102 take_profit | 1002
        """,
    ),
    Scenario(
        name="return table: an entry at the close is one bar old in the next one",
        rules=rules(units=1, targets=[(0.1, None), (0.02, None, 1)], fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills                    | equity
        100  150  99  100   | buy    | buy 1 @ 100 signal       | 1000
        100  103  99  101   |        | sell 1 @ 102 take_profit | 1002
        """,
    ),
    Scenario(
        name="return table: stop in the same bar goes first",
        rules=rules(units=1, targets=[(0.1, None), (0.02, None, 1)], stop=0.05),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  98  101   |        | buy 1 @ 100 signal    | 1001
        101  103  94  101   |        | sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="part that an earlier age has sold is not sold again",
        rules=rules(units=4, targets=[(0.1, 0.5), (0.2, 0.25), (0.05, 0.5, 2)]),
        # At the age of 2 bars a half of all 4 units is sold at 105: the half that is left.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  111  99  104   |        | buy 4 @ 100 signal; sell 2 @ 110 take_profit | 1028
        104  106  100 103   |        |                    | 1026
        103  106  100 103   |        | sell 2 @ 105 take_profit | 1030
        """,
    ),
]

OF_LISTS = [
    Scenario(
        name="list of three targets whose parts are the whole",
        rules=rules(units=10, targets=[(0.01, 0.5), (0.02, 0.3), (0.03, 0.2)]),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   |        | buy 10 @ 100 signal; sell 5 @ 101 take_profit | 1005
        100  102  99  101   |        | sell 3 @ 102 take_profit | 1013
        101  103  100 102   |        | sell 2 @ 103 take_profit | 1017
        """,
    ),
    Scenario(
        name="list of two targets for a short that a gap passes",
        rules=rules(units=10, direction=Direction.SHORT, targets=[(0.01, 0.5), (0.02, 0.5)]),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | sell   |                      | 1000
        100  101  99.5 100  |        | sell 10 @ 100 signal | 1000
        97   98   96  97    |        | buy 5 @ 97 take_profit; buy 5 @ 97 take_profit | 1030
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES + OF_AGES + OF_LISTS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario) -> None:
    scenario.play()
