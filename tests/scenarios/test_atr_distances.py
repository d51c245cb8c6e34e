"""Exits whose distance is in ATR of the signal's bar; `atr_bars=1` makes the ATR the bar's own true range."""

from __future__ import annotations

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="the stop is counted from the price paid, in ranges of the signal's bar",
        rules=rules(units=1, stop_atr=2, atr_bars=1),
        # The signal's bar ranges over 3: the stop is 6 below 101. The ranges of later bars do not matter.
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  102  99  101   | buy    |
        101  111  96  100   |        | buy 1 @ 101 signal
        100  101  95  96    |        | sell 1 @ 95 stop_loss
        """,
    ),
    Scenario(
        name="the true range counts the gap from the close before",
        rules=rules(units=1, stop_atr=1, atr_bars=1),
        # From 100 to 108: a range of 8, although the bar ranges over 3.
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        106  108  105 106   | buy    |
        106  107  99  106   |        | buy 1 @ 106 signal
        106  107  98  106   |        | sell 1 @ 98 stop_loss
        """,
    ),
    Scenario(
        name="a longer range is Wilder's mean",
        rules=rules(units=1, stop_atr=1, atr_bars=2),
        # True ranges 2, 4 and 7: their mean is 3 at first, then (3 × 1 + 7) ÷ 2 = 5.
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   |        |
        100  102  98  100   |        |
        100  104  97  100   | buy    |
        100  101  96  100   |        | buy 1 @ 100 signal
        100  101  95  96    |        | sell 1 @ 95 stop_loss
        """,
    ),
    Scenario(
        name="the target of a short lies its ranges below",
        rules=rules(units=1, target_atr=1.5, atr_bars=1, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   | sell   |
        100  101  98  99    |        | sell 1 @ 100 signal
        99   100  97  98    |        | buy 1 @ 97 take_profit
        """,
    ),
    Scenario(
        name="the trailing stop keeps its distance in quote currency",
        rules=rules(units=1, trail_atr=2, atr_bars=1),
        # A range of 2: 4 below the best price, whatever that is.
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   | buy    |
        100  101  97  100   |        | buy 1 @ 100 signal
        100  200  99  199   |        |
        199  199  196 198   |        | sell 1 @ 196 trailing_stop
        """,
    ),
    Scenario(
        name="before it starts to trail, the stop loss in ranges holds",
        rules=rules(units=1, stop_atr=2, trail_atr=1, trail_from=0.1, atr_bars=1),
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   | buy    |
        100  109  97  100   | sell   | buy 1 @ 100 signal
        100  101  97  100   | buy    | sell 1 @ 100 signal
        100  110  97  109   |        | buy 1 @ 100 signal
        109  109  106 107   |        | sell 1 @ 106 trailing_stop
        """,
    ),
    Scenario(
        name="bars without a range open nothing, and that is counted",
        rules=rules(units=1, stop_atr=2, atr_bars=2),
        dropped_entries=2,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | buy    |
        100  101  99  100   | buy    |
        100  101  99  100   |        | buy 1 @ 100 signal
        """,
    ),
    Scenario(
        name="a price that has not moved gives no distance",
        rules=rules(units=1, target_atr=2, atr_bars=1),
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   |        |
        100  100  100 100   | buy    |
        100  101  99  100   |        |
        """,
    ),
    Scenario(
        name="an entry that waits keeps the range of its signal, a new signal brings its own",
        rules=rules(units=1, entry=EntryType.LIMIT, offset=0.05, life=9, stop_atr=1, atr_bars=1),
        # The first signal's range is 2, the second one's 4: the stop lies 4 below the entry.
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   | buy    |
        100  108  99  100   |        |
        100  102  98  100   | buy    |
        100  109  99  100   |        |
        100  101  92  93    |        | buy 1 @ 95 limit
        93   94   91  92    |        | sell 1 @ 91 stop_loss
        """,
    ),
    Scenario(
        name="filled at the close, the exits hold from the next bar",
        rules=rules(units=1, stop_atr=2, atr_bars=1, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  95  100   | buy    | buy 1 @ 100 signal
        100  101  89  100   |        |
        100  101  88  100   |        | sell 1 @ 88 stop_loss
        """,
    ),
    Scenario(
        name="a risk buys what a stop in ranges loses",
        rules=rules(risk=0.02, stop_atr=2, atr_bars=1),
        # 2 % of 1000 is 20; the stop is 4 below 100: 5 units.
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   |        |                                            | 1000
        100  101  99  100   | buy    |                                            | 1000
        100  101  95  96    |        | buy 5 @ 100 signal ; sell 5 @ 96 stop_loss | 980
        """,
    ),
    Scenario(
        name="a risk counts to the nearer of a fixed stop and one in ranges",
        rules=rules(risk=0.02, stop=0.05, trail_atr=1, atr_bars=1),
        # The range of 2 is nearer than 5 %: 10 units. Then one of 8 is not: 4 units.
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 10 @ 100 signal
        100  104  96  100   | buy    | sell 10 @ 100 signal
        100  101  99  100   |        | buy 4 @ 100 signal
        """,
    ),
    Scenario(
        name="a stop in ranges lies on the tick that is harder to reach",
        rules=rules(risk=0.02, stop_atr=1.5, atr_bars=1, tick=4),
        # 3 below 100 is 97, in ticks 96: 20 ÷ 4 are 5 units.
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   | buy    |
        100  101  97  98    |        | buy 5 @ 100 signal
        98   99   96  97    |        | sell 5 @ 96 stop_loss
        """,
    ),
    Scenario(
        name="a target in ranges lies on the tick above, a trailing stop on the one below",
        rules=rules(units=1, target_atr=1.5, trail_atr=1.5, atr_bars=1, tick=4),
        table="""
        open high low close | signal | fills
        100  101  99  100   |        |
        100  101  99  100   | buy    |
        100  103  97  100   | sell   | buy 1 @ 100 signal
        100  101  99  100   | buy    | sell 1 @ 100 signal
        100  104  99  100   |        | buy 1 @ 100 signal ; sell 1 @ 104 take_profit
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_distances_in_ranges_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
