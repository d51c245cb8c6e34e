"""The size of an entry: all cash, a fixed size, a fraction; never more than the cash allows."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="an amount in quote currency pays its fee out of itself",
        rules=rules(quote=500, fee=0.25),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  99  100   |        | buy 4 @ 100 signal fee 100 | 900
        """,
    ),
    Scenario(
        name="an amount beyond cash is cut",
        rules=rules(quote=3000),
        reduced_entries=1,
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   |        | buy 10 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="an amount stays the same when equity grows",
        rules=rules(quote=500, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    | buy 5 @ 100 signal  | 1000
        200  201  199 200   | sell   | sell 5 @ 200 signal | 1500
        250  251  249 250   | buy    | buy 2 @ 250 signal  | 1500
        """,
    ),
    Scenario(
        name="a risk buys what its stop loses",
        rules=rules(risk=0.02, stop=0.05),
        # 2 % of 1000 is 20; a stop 5 below 100 loses that on 4 units.
        table="""
        open high low close | signal | fills                                       | equity
        100  101  99  100   | buy    |                                             | 1000
        100  101  90  96    |        | buy 4 @ 100 signal ; sell 4 @ 95 stop_loss  | 980
        """,
    ),
    Scenario(
        name="a risk is that of the nearest stop",
        rules=rules(risk=0.02, stop=0.05, trail=0.04),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   |        | buy 5 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="a trailing stop that begins later is no risk of the entry",
        rules=rules(risk=0.02, stop=0.05, trail=0.01, trail_from=0.3),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   |        | buy 4 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="a risk counts from the price paid",
        rules=rules(risk=0.1, stop=0.5, slippage=0.25),
        # 100 ÷ (125 × 0.5) = 1.6 units; sold at 62.5 × 0.75.
        table="""
        open high low close | signal | fills                                                | equity
        100  101  99  100   | buy    |                                                      | 1000
        100  101  60  70    |        | buy 1.6 @ 125 signal ; sell 1.6 @ 46.875 stop_loss   | 875
        """,
    ),
    Scenario(
        name="a risk that needs more than the cash is cut",
        rules=rules(risk=0.5, stop=0.01),
        reduced_entries=1,
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  100 100   |        | buy 10 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="a risk of a short is above its price",
        rules=rules(risk=0.02, stop=0.05, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills                                         | equity
        100  101  99  100   | sell   |                                               | 1000
        100  110  99  108   |        | sell 4 @ 100 signal ; buy 4 @ 105 stop_loss   | 980
        """,
    ),
    Scenario(
        name="all cash",
        rules=rules(),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  111  99  110   |        | buy 10 @ 100 signal | 1100
        """,
    ),
    Scenario(
        name="all cash when the open gaps up buys less",
        rules=rules(),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        125  126  99  100   |        | buy 8 @ 125 signal | 800
        """,
    ),
    Scenario(
        name="all cash when the open gaps down buys more",
        rules=rules(),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        80   101  79  100   |        | buy 12.5 @ 80 signal | 1250
        """,
    ),
    Scenario(
        name="all cash pays its fee out of itself",
        rules=rules(fee=0.25),
        table="""
        open high low close | signal | fills                       | equity
        100  101  99  100   | buy    |                             | 1000
        100  101  99  100   | sell   | buy 8 @ 100 signal fee 200  | 800
        100  101  99  100   |        | sell 8 @ 100 signal fee 200 | 600
        """,
    ),
    Scenario(
        name="all cash at the price after slippage",
        rules=rules(slippage=0.25),
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        100  101  99  100   |        | buy 8 @ 125 signal | 800
        """,
    ),
    Scenario(
        name="all cash trades on with what is left",
        rules=rules(fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    | buy 10 @ 100 signal  | 1000
        50   51   49  50    | sell   | sell 10 @ 50 signal  | 500
        25   26   24  25    | buy    | buy 20 @ 25 signal   | 500
        30   31   29  30    |        |                      | 600
        """,
    ),
    Scenario(
        name="a fixed size beyond cash is cut",
        rules=rules(units=20),
        reduced_entries=1,
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   |        | buy 10 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="a fixed size that cash just pays for is whole",
        rules=rules(units=10),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   |        | buy 10 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="a fixed size whose fee cash does not pay is cut",
        rules=rules(units=10, fee=0.25),
        reduced_entries=1,
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  99  100   |        | buy 8 @ 100 signal fee 200 | 800
        """,
    ),
    Scenario(
        name="a fixed size that fitted the signal's close is cut when the open gaps up",
        rules=rules(units=10),
        reduced_entries=1,
        table="""
        open high low close | signal | fills              | equity
        100  101  99  100   | buy    |                    | 1000
        125  126  99  100   |        | buy 8 @ 125 signal | 800
        """,
    ),
    Scenario(
        name="each cut entry is counted",
        rules=rules(units=10, fill=FillTiming.SAME_CLOSE),
        reduced_entries=2,
        # 10 at 100, back at 50 for 500; 4 at 125, back at 100 for 400; 2 at 200.
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    | buy 10 @ 100 signal | 1000
        50   51   49  50    | sell   | sell 10 @ 50 signal | 500
        125  126  124 125   | buy    | buy 4 @ 125 signal  | 500
        100  101  99  100   | sell   | sell 4 @ 100 signal | 400
        200  201  199 200   | buy    | buy 2 @ 200 signal  | 400
        """,
    ),
    Scenario(
        name="a fraction of equity, of what it is at each entry",
        rules=rules(percent=0.5, fill=FillTiming.SAME_CLOSE),
        # 5 at 100, back at 120: 1100; 550 buy 5 at 110.
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    | buy 5 @ 100 signal  | 1000
        120  121  119 120   | sell   | sell 5 @ 120 signal | 1100
        110  111  109 110   | buy    | buy 5 @ 110 signal  | 1100
        """,
    ),
    Scenario(
        name="a fraction pays its costs out of itself",
        rules=rules(percent=0.5, fee=0.25, slippage=0.25),
        # 500 ÷ 1.25 ÷ 125 = 3.2.
        table="""
        open high low close | signal | fills                        | equity
        100  101  99  100   | buy    |                              | 1000
        100  101  99  100   |        | buy 3.2 @ 125 signal fee 100 | 820
        """,
    ),
    Scenario(
        name="a fraction of 1 is all cash",
        rules=rules(percent=1.0, fee=0.25),
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  99  100   |        | buy 8 @ 100 signal fee 200 | 800
        """,
    ),
    Scenario(
        name="all cash through a limit order, at its own price",
        rules=rules(entry=EntryType.LIMIT, offset=0.2, slippage=0.25),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  101  79  100   |        | buy 12.5 @ 80 limit  | 1250
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_position_sizes_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
