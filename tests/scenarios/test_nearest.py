"""`intrabar: NEAREST`: the price went to the nearer of high and low first, then to the other one."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, IntrabarPolicy
from tests.scenarios.drawing import Scenario, rules

NEAREST, SHORT = IntrabarPolicy.NEAREST, Direction.SHORT
BOTH = {"units": 1, "stop": 0.05, "target": 0.1, "intrabar": NEAREST}
LIMIT = {"units": 1, "entry": EntryType.LIMIT, "offset": 0.05, "intrabar": NEAREST}
STOP = {"units": 1, "entry": EntryType.STOP, "offset": 0.05, "intrabar": NEAREST}

CASES = [
    Scenario(
        name="the high is nearer: a long takes its target",
        rules=rules(**BOTH),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  105  99  104   |        | buy 1 @ 100 signal
        104  111  94  100   |        | sell 1 @ 110 take_profit
        """,
    ),
    Scenario(
        name="the low is nearer: a long is stopped",
        rules=rules(**BOTH),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  111  95  100   |        | buy 1 @ 100 signal ; sell 1 @ 95 stop_loss
        """,
    ),
    Scenario(
        name="both as near: the low comes first",
        rules=rules(**BOTH | {"stop": 0.1}),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  110  90  100   |        | buy 1 @ 100 signal ; sell 1 @ 90 stop_loss
        """,
    ),
    Scenario(
        name="both as near in decimal prices that doubles round: the low comes first",
        # 102.02 - 99.17 is 2.8499999999999943, 99.17 - 96.32 is 2.8500000000000085.
        rules=rules(**BOTH | {"stop": 0.025, "target": 0.025}),
        ambiguous_bars=1,
        table="""
        open  high   low   close | signal | fills
        99    100    98    99    | buy    |
        99.17 102.02 96.32 99.3  |        | buy 1 @ 99.17 signal ; sell 1 @ 96.69075 stop_loss
        """,
    ),
    Scenario(
        name="the high is nearer: a short is stopped",
        rules=rules(direction=SHORT, **BOTH),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        100  105  90  100   |        | sell 1 @ 100 signal ; buy 1 @ 105 stop_loss
        """,
    ),
    Scenario(
        name="the low is nearer: a short takes its target",
        rules=rules(direction=SHORT, **BOTH | {"stop": 0.2}),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        100  121  90  100   |        | sell 1 @ 100 signal ; buy 1 @ 90 take_profit
        """,
    ),
    Scenario(
        name="the high came before a limit to buy",
        rules=rules(target=0.1, **LIMIT),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  105  94  100   |        | buy 1 @ 95 limit
        """,
    ),
    Scenario(
        name="the high came after a limit to buy",
        rules=rules(target=0.1, **LIMIT),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  107  94  100   |        | buy 1 @ 95 limit ; sell 1 @ 104.5 take_profit
        """,
    ),
    Scenario(
        name="a limit to buy whose bar reaches both is stopped",
        rules=rules(target=0.1, stop=0.1, **LIMIT),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  120  85  100   |        | buy 1 @ 95 limit ; sell 1 @ 85.5 stop_loss
        """,
    ),
    Scenario(
        name="the low came after a stop to buy",
        rules=rules(stop=0.1, **STOP),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  105  94  100   |        | buy 1 @ 105 stop ; sell 1 @ 94.5 stop_loss
        """,
    ),
    Scenario(
        name="the low came before a stop to buy",
        rules=rules(stop=0.1, **STOP),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  107  94  100   |        | buy 1 @ 105 stop
        """,
    ),
    Scenario(
        name="a stop to buy whose bar reaches both takes its target",
        rules=rules(stop=0.1, target=0.1, **STOP),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  116  94  100   |        | buy 1 @ 105 stop ; sell 1 @ 115.5 take_profit
        """,
    ),
    Scenario(
        name="the high came after a limit to buy, and reaches a part's target",
        rules=rules(targets=[(0.1, 0.5), (0.2, None)], **LIMIT | {"units": 2}),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  107  94  100   |        | buy 2 @ 95 limit ; sell 1 @ 104.5 take_profit
        """,
    ),
    Scenario(
        name="the high came before a limit to buy, and reaches no part's target",
        rules=rules(targets=[(0.1, 0.5), (0.2, None)], **LIMIT | {"units": 2}),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  105  94  100   |        | buy 2 @ 95 limit
        """,
    ),
    Scenario(
        name="the low came after a stop to buy that has parts",
        rules=rules(stop=0.1, targets=[(0.2, None)], **STOP),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  105  94  100   |        | buy 1 @ 105 stop ; sell 1 @ 94.5 stop_loss
        """,
    ),
    Scenario(
        name="the low came before a stop to buy that has parts",
        rules=rules(stop=0.1, targets=[(0.2, None)], **STOP),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  107  94  100   |        | buy 1 @ 105 stop
        """,
    ),
    Scenario(
        name="an addition below a limit to buy, and then a target of the lower mean price",
        # Mean (95 + 90.25) / 2 = 92.625; its target 10 % above at 101.8875, under the later high.
        rules=rules(targets=[(0.1, None)], adds=[(-0.05, 1)], **LIMIT),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  112  90  100   |        | buy 1 @ 95 limit ; buy 1 @ 90.25 add_limit ; sell 2 @ 101.8875 take_profit
        """,
    ),
    Scenario(
        name="the trailing stop follows no high that the bar does not prove",
        rules=rules(trail=0.2, **LIMIT),
        # The low is nearer, so the high of 110 came after the entry; yet the stop stays at 76.8, and 97 lifts it.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  110  95  96    |        | buy 1 @ 95 limit
        96   97   77  90    |        |
        90   91   76  80    |        | sell 1 @ 77.6 trailing_stop
        """,
    ),
    Scenario(
        name="the trailing stop follows no high that came before the fill",
        rules=rules(trail=0.2, **LIMIT),
        # The high of 104 is nearer: the stop stays 20 % below the close of 96, at 76.8.
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  104  95  96    |        | buy 1 @ 95 limit
        96   97   77  90    |        |
        """,
    ),
    Scenario(
        name="a bar that tells is not decided by the path",
        rules=rules(**BOTH),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  95  100   |        | buy 1 @ 100 signal ; sell 1 @ 95 stop_loss
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_nearer_extreme_comes_first_as_drawn(scenario: Scenario) -> None:
    scenario.play()
