"""Stop loss and take profit: touches, gaps, both in one bar, and what cancels what."""

from __future__ import annotations

import pytest

from src.domain.trading import Direction, FillTiming, IntrabarPolicy
from tests.scenarios.drawing import Scenario, rules

AT_CLOSE = FillTiming.SAME_CLOSE
OPTIMISTIC = IntrabarPolicy.OPTIMISTIC

CASES = [
    Scenario(
        # 95 % of 100.8 come to 95.75999999999999 in binary numbers.
        name="stop touched exactly by a price with cents",
        rules=rules(fill=FillTiming.SAME_CLOSE, units=1, stop=0.05),
        table="""
        open  high  low   close | signal | fills
        100.8 100.8 100.8 100.8 | buy    | buy 1 @ 100.8 signal
        100   100   95.76 99    |        | sell 1 @ 95.76 stop_loss
        """,
    ),
    Scenario(
        name="target touched exactly by a price with cents",
        rules=rules(fill=FillTiming.SAME_CLOSE, cash=20_000, units=1, target=0.1),
        table="""
        open    high     low     close   | signal | fills
        13759.7 13759.7  13759.7 13759.7 | buy    | buy 1 @ 13759.7 signal
        13800   15135.67 13800   14000   |        | sell 1 @ 15135.67 take_profit
        """,
    ),
    Scenario(
        name="stop touched exactly",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        99   99   95  98    |        | sell 1 @ 95 stop_loss | 995
        98   99   97  98    |        |                       | 995
        """,
    ),
    Scenario(
        name="stop missed by a cent",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close   | signal | fills              | equity
        100  101  99    100   | buy    |                    | 1000
        100  101  99    100   |        | buy 1 @ 100 signal | 1000
        99   99   95.01 98    |        |                    | 998
        """,
    ),
    Scenario(
        name="gap through the stop fills at the open",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        90   97   89  96    |        | sell 1 @ 90 stop_loss | 990
        """,
    ),
    Scenario(
        name="open exactly at the stop",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        95   97   94  96    |        | sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="stop in the bar of an entry at the open",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills                                      | equity
        110  111  109 110   | buy    |                                            | 1000
        100  101  94  97    |        | buy 1 @ 100 signal ; sell 1 @ 95 stop_loss | 995
        97   98   90  91    |        |                                            | 995
        """,
    ),
    Scenario(
        name="target in the bar of an entry at the open",
        rules=rules(units=1, target=0.1),
        table="""
        open high low close | signal | fills                                          | equity
        90   91   89  90    | buy    |                                                | 1000
        100  112  99  105   |        | buy 1 @ 100 signal ; sell 1 @ 110 take_profit  | 1010
        """,
    ),
    Scenario(
        name="entered at the close: that bar's range came before",
        rules=rules(units=1, stop=0.05, target=0.1, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills                 | equity
        100  130  70  100   | buy    | buy 1 @ 100 signal    | 1000
        100  101  96  97    |        |                       | 997
        97   98   94  96    |        | sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="entered at the close, gap through the stop at the next open",
        rules=rules(units=1, stop=0.05, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal    | 1000
        80   101  79  100   |        | sell 1 @ 80 stop_loss | 980
        """,
    ),
    Scenario(
        name="target touched exactly",
        rules=rules(units=1, target=0.1),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  101  99  100   |        | buy 1 @ 100 signal       | 1000
        105  110  104 105   |        | sell 1 @ 110 take_profit | 1010
        """,
    ),
    Scenario(
        name="target missed by a cent",
        rules=rules(units=1, target=0.1),
        table="""
        open high low close   | signal | fills              | equity
        100  101  99  100     | buy    |                    | 1000
        100  101  99  100     |        | buy 1 @ 100 signal | 1000
        105  109.99 104 105   |        |                    | 1005
        """,
    ),
    Scenario(
        name="gap over the target fills at the better open",
        rules=rules(units=1, target=0.1),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  101  99  100   |        | buy 1 @ 100 signal       | 1000
        115  120  104 105   |        | sell 1 @ 115 take_profit | 1015
        """,
    ),
    Scenario(
        name="stop and target in one bar, pessimistic",
        rules=rules(units=1, stop=0.05, target=0.1),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        100  112  94  105   |        | sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="stop and target in one bar, optimistic",
        rules=rules(units=1, stop=0.05, target=0.1, intrabar=OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  101  99  100   |        | buy 1 @ 100 signal       | 1000
        100  112  94  105   |        | sell 1 @ 110 take_profit | 1010
        """,
    ),
    Scenario(
        name="stop and target in the bar of the entry, pessimistic",
        rules=rules(units=1, stop=0.05, target=0.1),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    |                                            | 1000
        100  110  95  105   |        | buy 1 @ 100 signal ; sell 1 @ 95 stop_loss | 995
        """,
    ),
    Scenario(
        name="the open has passed the target: the low does not matter",
        rules=rules(units=1, stop=0.05, target=0.1),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  101  99  100   |        | buy 1 @ 100 signal       | 1000
        111  112  94  105   |        | sell 1 @ 111 take_profit | 1011
        """,
    ),
    Scenario(
        name="the open has passed the stop: the high does not matter",
        rules=rules(units=1, stop=0.05, target=0.1, intrabar=OPTIMISTIC),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        94   112  93  105   |        | sell 1 @ 94 stop_loss | 994
        """,
    ),
    Scenario(
        name="levels start from the price paid, and stops pay slippage",
        rules=rules(units=1, stop=0.05, slippage=0.01),
        # Paid 101; stop 101 − 5.05 = 95.95; sold at 95.95 × 0.99.
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  99  100   |        | buy 1 @ 101 signal         | 999
        99   99   95  98    |        | sell 1 @ 94.9905 stop_loss | 993.9905
        """,
    ),
    Scenario(
        name="a gap through the stop pays slippage on the open",
        rules=rules(units=1, stop=0.05, slippage=0.01),
        table="""
        open high low close | signal | fills                   | equity
        100  101  99  100   | buy    |                         | 1000
        100  101  99  100   |        | buy 1 @ 101 signal      | 999
        90   99   89  98    |        | sell 1 @ 89.1 stop_loss | 988.1
        """,
    ),
    Scenario(
        name="slippage beyond the stop: out at the open that let it in",
        rules=rules(units=1, stop=0.02, slippage=0.05),
        # Paid 105; stop 102.9, above the market; sold at 100 × 0.95.
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    |                                            | 1000
        100  101  99  100   |        | buy 1 @ 105 signal ; sell 1 @ 95 stop_loss | 990
        """,
    ),
    Scenario(
        name="targets pay no slippage",
        rules=rules(units=1, target=0.1, slippage=0.01),
        # Paid 101; target 101 + 10.1.
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  99  100   |        | buy 1 @ 101 signal         | 999
        105  112  104 105   |        | sell 1 @ 111.1 take_profit | 1010.1
        """,
    ),
    Scenario(
        name="a gap over the target pays no slippage",
        rules=rules(units=1, target=0.1, slippage=0.01),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  101  99  100   |        | buy 1 @ 101 signal       | 999
        120  121  104 105   |        | sell 1 @ 120 take_profit | 1019
        """,
    ),
    Scenario(
        name="fees are taken of stops and targets too",
        rules=rules(units=1, stop=0.05, target=0.1, fee=0.01),
        table="""
        open high low close | signal | fills                              | equity
        100  101  99  100   | buy    |                                    | 1000
        100  101  99  100   | hold   | buy 1 @ 100 signal fee 1           | 999
        105  110  104 105   | buy    | sell 1 @ 110 take_profit fee 1.1   | 1007.9
        100  101  99  100   |        | buy 1 @ 100 signal fee 1           | 1006.9
        95   96   90  91    |        | sell 1 @ 95 stop_loss fee 0.95     | 1000.95
        """,
    ),
    Scenario(
        name="an exit signal waits and the open gaps through the stop: one fill, the signal's",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   | sell   | buy 1 @ 100 signal | 1000
        90   97   89  96    |        | sell 1 @ 90 signal | 990
        95   97   80  96    |        |                    | 990
        """,
    ),
    Scenario(
        name="an exit signal waits and the open gaps over the target: the market order goes first",
        rules=rules(units=1, target=0.1, slippage=0.01),
        table="""
        open high low close | signal | fills                  | equity
        100  101  99  100   | buy    |                        | 1000
        100  101  99  100   | sell   | buy 1 @ 101 signal     | 999
        120  121  119 120   |        | sell 1 @ 118.8 signal  | 1017.8
        """,
    ),
    Scenario(
        name="stopped out, bought again by a signal of the same bar",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        99   99   94  98    | buy    | sell 1 @ 95 stop_loss | 995
        98   99   97  98    |        | buy 1 @ 98 signal     | 995
        98   99   93  94    |        | sell 1 @ 93.1 stop_loss | 990.1
        """,
    ),
    Scenario(
        name="stopped out, sold by a signal of the same bar: already flat",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | buy    |                       | 1000
        100  101  99  100   |        | buy 1 @ 100 signal    | 1000
        99   99   94  98    | sell   | sell 1 @ 95 stop_loss | 995
        98   99   97  98    |        |                       | 995
        """,
    ),
    Scenario(
        name="stopped out and bought at the close of one bar",
        rules=rules(units=1, stop=0.05, fill=AT_CLOSE),
        table="""
        open high low close | signal | fills                                     | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal                        | 1000
        99   99   94  96    | buy    | sell 1 @ 95 stop_loss ; buy 1 @ 96 signal | 995
        97   98   96  98    |        |                                           | 997
        """,
    ),
    Scenario(
        name="the old stop is gone with the old position",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   | sell   | buy 1 @ 100 signal  | 1000
        100  101  99  100   |        | sell 1 @ 100 signal | 1000
        100  101  50  60    | buy    |                     | 1000
        60   61   58  60    |        | buy 1 @ 60 signal   | 1000
        """,
    ),
    Scenario(
        name="short: stop above, touched exactly",
        rules=rules(units=1, stop=0.05, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | sell   |                       | 1000
        100  101  99  100   |        | sell 1 @ 100 signal   | 1000
        101  105  100 102   |        | buy 1 @ 105 stop_loss | 995
        """,
    ),
    Scenario(
        name="short: gap through the stop, with slippage",
        rules=rules(units=1, stop=0.05, slippage=0.01, direction=Direction.SHORT),
        # Sold at 99; stop 103.95; bought at 110 × 1.01.
        table="""
        open high low close | signal | fills                   | equity
        100  101  99  100   | sell   |                         | 1000
        100  101  99  100   |        | sell 1 @ 99 signal      | 999
        110  111  100 102   |        | buy 1 @ 111.1 stop_loss | 987.9
        """,
    ),
    Scenario(
        name="short: target below, touched exactly",
        rules=rules(units=1, target=0.1, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills                  | equity
        100  101  99  100   | sell   |                        | 1000
        100  101  99  100   |        | sell 1 @ 100 signal    | 1000
        95   96   90  92    |        | buy 1 @ 90 take_profit | 1010
        """,
    ),
    Scenario(
        name="short: stop and target in one bar, pessimistic",
        rules=rules(units=1, stop=0.05, target=0.1, direction=Direction.SHORT),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                 | equity
        100  101  99  100   | sell   |                       | 1000
        100  101  99  100   |        | sell 1 @ 100 signal   | 1000
        100  106  89  92    |        | buy 1 @ 105 stop_loss | 995
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_stops_and_targets(scenario: Scenario) -> None:
    scenario.play()
