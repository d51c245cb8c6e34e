"""Orders that add to a position: what they cost, what moves with the mean entry price, what a bar proves."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, IntrabarPolicy
from tests.scenarios.drawing import Scenario, rules

OPTIMISTIC = IntrabarPolicy.OPTIMISTIC

DIP = [(-0.1, 1.0)]

CASES = [
    Scenario(
        name="addition against the position buys at its level for a maker's fee",
        rules=rules(units=1, adds=DIP, fee=0.01, maker=0.001, slippage=0.0),
        # 100 × 1 % = 1; 90 × 0.1 % = 0.09.
        table="""
        open high low close | signal | fills                         | equity
        100  101  99  100   | buy    |                               | 1000
        100  101  95  96    |        | buy 1 @ 100 signal fee 1      | 995
        96   97   90  94    |        | buy 1 @ 90 add_limit fee 0.09 | 996.91
        """,
    ),
    Scenario(
        name="addition in favor of the position pays slippage and a taker's fee",
        rules=rules(units=2, adds=[(0.1, 0.5)], fee=0.01, maker=0.0, slippage=0.25),
        # Paid 80 × 1.25 = 100; at 110 half of the 2 units for 110 × 1.25 = 137.5.
        table="""
        open high low close | signal | fills                            | equity
        80   81   79  80    | buy    |                                  | 1000
        80   90   79  88    |        | buy 2 @ 100 signal fee 2         | 974
        88   110  87  100   |        | buy 1 @ 137.5 add_stop fee 1.375 | 959.125
        """,
    ),
    Scenario(
        name="each addition is made once",
        rules=rules(units=1, adds=DIP),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  101  95  96    |        | buy 1 @ 100 signal   | 996
        96   97   90  94    |        | buy 1 @ 90 add_limit | 998
        94   94   60  70    |        |                      | 950
        """,
    ),
    Scenario(
        name="two additions in one bar, the second from the new mean price",
        rules=rules(units=1, adds=[(-0.1, 1), (-0.1, 1)]),
        # After 100 and 90 the mean is 95, and 10 % below it 85.5.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  85  95    |        | buy 1 @ 100 signal; buy 1 @ 90 add_limit; buy 1 @ 85.5 add_limit | 1009.5
        """,
    ),
    Scenario(
        name="nearer addition comes first, whatever its place in the list",
        rules=rules(units=1, adds=[(-0.2, 2), (-0.1, 1)]),
        # The mean is 95 after 90; 20 % below it is 76.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  76  80    |        | buy 1 @ 100 signal; buy 1 @ 90 add_limit; buy 2 @ 76 add_limit | 978
        """,
    ),
    Scenario(
        name="open beyond the level buys at the open for a taker's fee",
        rules=rules(units=1, adds=DIP, fee=0.01, maker=0.0),
        table="""
        open high low close | signal | fills                        | equity
        100  101  99  100   | buy    |                              | 1000
        100  101  95  100   |        | buy 1 @ 100 signal fee 1     | 999
        80   82   79  81    |        | buy 1 @ 80 add_limit fee 0.8 | 980.2
        """,
    ),
    Scenario(
        name="open beyond the level of a stop order pays the open and slippage",
        rules=rules(units=1, adds=[(0.1, 1)], slippage=0.25),
        table="""
        open high low close | signal | fills                | equity
        80   81   79  80    | buy    |                      | 1000
        80   82   79  80    |        | buy 1 @ 100 signal   | 980
        120  122  119 120   |        | buy 1 @ 150 add_stop | 990
        """,
    ),
    Scenario(
        name="addition nearer than the stop is made first and moves the stop",
        rules=rules(units=1, adds=DIP, stop=0.2),
        # The stop was at 80; from the mean of 95 it is at 76.
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  101  78  79    |        | buy 1 @ 100 signal; buy 1 @ 90 add_limit | 968
        79   80   76  77    |        | sell 2 @ 76 stop_loss | 962
        """,
    ),
    Scenario(
        name="stop nearer than the addition closes the position",
        rules=rules(units=1, adds=DIP, stop=0.05),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  85  88    |        | buy 1 @ 100 signal; sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="open beyond addition and stop closes the position at the open",
        rules=rules(units=1, adds=DIP, stop=0.2),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  95  96    |        | buy 1 @ 100 signal    | 996
        70   75   69  72    |        | sell 1 @ 70 stop_loss | 970
        """,
    ),
    Scenario(
        name="additions to a short lie on the other side",
        rules=rules(units=1, direction=Direction.SHORT, adds=[(-0.1, 1), (0.2, 1)], stop=0.5),
        # 110 against it; the mean is then 105, and 20 % below it 84.
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | sell   |                       | 1000
        100  110  99  108   |        | sell 1 @ 100 signal; sell 1 @ 110 add_limit | 994
        108  109  84  90    |        | sell 1 @ 84 add_stop  | 1024
        """,
    ),
    Scenario(
        name="target is counted from the new mean price",
        rules=rules(units=1, adds=DIP, target=0.1),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  101  90  92    |        | buy 1 @ 100 signal; buy 1 @ 90 add_limit | 994
        92   105  91  104   |        | sell 2 @ 104.5 take_profit | 1019
        """,
    ),
    Scenario(
        name="pessimistic bar with addition and target takes the target alone",
        rules=rules(units=1, adds=[(-0.05, 1)], target=0.1),
        ambiguous_bars=1,
        # Down first: mean 97.5 and 2 units sold at 107.25 gain 19.5. Up first: one unit sold at 110 gains 10.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  111  95  100   |        | buy 1 @ 100 signal; sell 1 @ 110 take_profit | 1010
        """,
    ),
    Scenario(
        name="optimistic bar with addition and target adds first",
        rules=rules(units=1, adds=[(-0.05, 1)], target=0.1, intrabar=OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  111  95  100   |        | buy 1 @ 100 signal; buy 1 @ 95 add_limit; sell 2 @ 107.25 take_profit | 1019.5
        """,
    ),
    Scenario(
        name="pessimistic target that only the addition brings into reach is not taken",
        rules=rules(units=1, adds=[(-0.05, 1)], target=0.1),
        ambiguous_bars=1,
        # The high of 108 may have come before the addition, when the target was at 110.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  108  95  100   |        | buy 1 @ 100 signal; buy 1 @ 95 add_limit | 1005
        """,
    ),
    Scenario(
        name="target after an addition is certain if the close reaches it",
        rules=rules(units=1, adds=[(-0.05, 1)], target=0.1),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  108  95  108   |        | buy 1 @ 100 signal; buy 1 @ 95 add_limit; sell 2 @ 107.25 take_profit | 1019.5
        """,
    ),
    Scenario(
        name="pessimistic bar adds in favor before the stop that this has moved nearer",
        rules=rules(units=1, adds=[(0.05, 1)], stop=0.1),
        ambiguous_bars=1,
        # Up first: mean 102.5, stop at 92.25, and the low is 92. Down first: the stop at 90 is not reached.
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  106  92  100   |        | buy 1 @ 100 signal; buy 1 @ 105 add_stop; sell 2 @ 92.25 stop_loss | 979.5
        """,
    ),
    Scenario(
        name="optimistic bar reaches its low before it adds in favor",
        rules=rules(units=1, adds=[(0.05, 1)], stop=0.1, intrabar=OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  106  92  100   |        | buy 1 @ 100 signal; buy 1 @ 105 add_stop | 995
        """,
    ),
    Scenario(
        name="low of a limit entry's bar proves an addition below it",
        rules=rules(units=1, entry=EntryType.LIMIT, offset=0.0, adds=[(-0.05, 1)]),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        104  105  94  97    |        | buy 1 @ 100 limit; buy 1 @ 95 add_limit | 999
        """,
    ),
    Scenario(
        name="low of a stop entry's bar may have come before it and adds nothing if pessimistic",
        rules=rules(units=1, entry=EntryType.STOP, offset=0.0, adds=[(-0.05, 1)]),
        ambiguous_bars=1,
        # At the close of 101 the addition at 95 would have gained.
        table="""
        open high low close | signal | fills            | equity
        100  101  99  100   | buy    |                  | 1000
        98   103  90  101   |        | buy 1 @ 100 stop | 1001
        """,
    ),
    Scenario(
        name="addition is cut to the cash, and counted",
        rules=rules(units=8, adds=[(-0.2, 1)]),
        reduced_entries=1,
        table="""
        open high low close | signal | fills                  | equity
        100  101  99  100   | buy    |                        | 1000
        100  101  95  96    |        | buy 8 @ 100 signal     | 968
        96   97   80  90    |        | buy 2.5 @ 80 add_limit | 945
        """,
    ),
    Scenario(
        name="addition without any cash is dropped, and counted",
        rules=rules(adds=DIP),
        reduced_entries=1,
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  85  90    |        | buy 10 @ 100 signal | 900
        90   91   80  85    |        |                     | 850
        """,
    ),
    Scenario(
        name="short adds no more than its equity is worth in all",
        rules=rules(units=1, cash=300, direction=Direction.SHORT, adds=[(-0.25, 5)]),
        reduced_entries=1,
        # 400 in cash; at 125 the equity is 275, and the short of 125 leaves 150 for 1.2 units.
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | sell   |                     | 300
        100  125  99  120   |        | sell 1 @ 100 signal; sell 1.2 @ 125 add_limit | 286
        """,
    ),
    Scenario(
        name="borrowed addition has a margin too and moves the liquidation level",
        rules=rules(units=10, leverage=5, adds=DIP),
        liquidations=1,
        # Margins of 200 and 180; the mean is 95, and 95 × 0.8 = 76 is where both are lost.
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  85  88    |        | buy 10 @ 100 signal; buy 10 @ 90 add_limit | 860
        88   89   75  80    |        | sell 20 @ 76 liquidation | 620
        """,
    ),
    Scenario(
        name="trailing stop stays where it is when the position grows",
        rules=rules(units=1, adds=[(0.15, 1)], trail=0.1),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  120  99  118   |        | buy 1 @ 100 signal; buy 1 @ 115 add_stop | 1021
        118  119  108 110   |        | sell 2 @ 108 trailing_stop | 1001
        """,
    ),
    Scenario(
        name="break-even stop begins anew from the new mean price",
        rules=rules(units=1, adds=[(0.2, 1)], break_even=0.1),
        # It held at 100 from the second bar on; from the mean of 110 it begins at 121, and then holds at 110.
        table="""
        open high low close | signal | fills                   | equity
        100  101  99  100   | buy    |                         | 1000
        100  112  99  111   |        | buy 1 @ 100 signal      | 1011
        111  120  105 106   |        | buy 1 @ 120 add_stop    | 992
        106  107  99  104   |        |                         | 988
        104  121  103 118   |        |                         | 1016
        118  119  109 112   |        | sell 2 @ 110 break_even | 1000
        """,
    ),
    Scenario(
        name="break-even price pays back both entries and all fees",
        rules=rules(units=1, adds=[(0.2, 1)], break_even=0.1, fee=0.01),
        # Paid 101 and 121.2 with fees: 222.2 ÷ 0.99 ÷ 2.
        table="""
        open high low close | signal | fills                         | equity
        100  101  99  100   | buy    |                               | 1000
        100  120  99  118   |        | buy 1 @ 100 signal fee 1; buy 1 @ 120 add_stop fee 1.2 | 1013.8
        118  122  115 120   |        |                               | 1017.8
        120  120  111 112   |        | sell 2 @ 112.222222222222 break_even fee 2.244444444444 | 1000
        """,
    ),
    Scenario(
        name="addition after a part was sold is weighed with what is left",
        rules=rules(units=2, targets=[(0.1, 0.5), (0.25, None)], adds=[(0.2, 1)]),
        # One unit at 100 is left, two come at 120: mean 340 ÷ 3, and 25 % above it 141.67.
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  115  99  112   |        | buy 2 @ 100 signal; sell 1 @ 110 take_profit | 1022
        112  140  111 130   |        | buy 2 @ 120 add_stop     | 1060
        130  142  129 140   |        | sell 3 @ 141.666666666667 take_profit | 1095
        """,
    ),
    Scenario(
        name="portion is of all units that the position was given",
        rules=rules(units=2, targets=[(0.1, 0.5)], adds=[(-0.1, 1)]),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  101  90  92    |        | buy 2 @ 100 signal; buy 2 @ 90 add_limit | 988
        92   105  91  104   |        | sell 2 @ 104.5 take_profit | 1037
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario) -> None:
    scenario.play()
