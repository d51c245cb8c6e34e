"""Fills that move the price and are limited by the volume of their bar, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.exit_orders import ExitType
from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming, TradingRules
from src.domain.volume_rules import VolumeRules
from tests.scenarios.drawing import Scenario, rules


def moved(base: TradingRules, *, impact: float = 0.0, share: float | None = None) -> TradingRules:
    return replace(base, volume=VolumeRules(impact=impact, max_share=share))


BOTH = Direction.BOTH

CASES = [
    Scenario(
        name="half of the volume moves the price by a quarter of the impact",
        # 2 of 4 units: 0.4 × 0.5² = 10 %.
        rules=moved(rules(units=2), impact=0.4),
        volume=4,
        table="""
        open high low close | signal | fills                | equity
        100  100  100 100   | buy    |                      | 1000
        100  100  100 100   |        | buy 2 @ 110 signal   | 980
        100  100  100 100   | sell   |                      | 980
        100  100  100 100   |        | sell 2 @ 90 signal   | 960
        """,
    ),
    Scenario(
        name="slippage and impact add up, and the fee is that of the price paid",
        # 1 % and 0.16 × 0.25² = 1 % of 100.
        rules=moved(rules(units=1, slippage=0.01, fee=0.5), impact=0.16),
        volume=4,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 1 @ 102 signal fee 51
        """,
    ),
    Scenario(
        name="a short sells lower and buys back higher",
        rules=moved(rules(units=2, direction=Direction.SHORT), impact=0.4),
        volume=4,
        table="""
        open high low close | signal | fills
        100  100  100 100   | sell   |
        100  100  100 100   |        | sell 2 @ 90 signal
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 2 @ 110 signal
        """,
    ),
    Scenario(
        name="all cash buys what it pays at the price that it moves to",
        # 8 units of 10: 0.390625 × 0.8² = 25 %, and 8 × 125 is all the cash.
        rules=moved(rules(), impact=0.390625),
        volume=10,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 8 @ 125 signal
        """,
    ),
    Scenario(
        name="the fee is paid out of the same cash",
        # 8 × 100 × 1.25 with the fee is all the cash, as above.
        rules=moved(rules(cash=1250, fee=0.25), impact=0.390625),
        volume=10,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 8 @ 125 signal fee 250
        """,
    ),
    Scenario(
        name="a short of all cash sells what it would without impact",
        rules=moved(rules(direction=Direction.SHORT), impact=0.4),
        volume=20,
        table="""
        open high low close | signal | fills
        100  100  100 100   | sell   |
        100  100  100 100   |        | sell 10 @ 90 signal
        """,
    ),
    Scenario(
        name="units that cash does not pay at their own price are cut",
        rules=moved(rules(units=9), impact=0.390625),
        volume=10,
        reduced_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 8 @ 125 signal
        """,
    ),
    Scenario(
        name="an entry is cut to its share of the volume, and its exit is not",
        # The exit of 2 of 4 units pays for a share of 0.25 only.
        rules=moved(rules(units=9, slippage=0.02), impact=0.16, share=0.25),
        volume=(8, 8, 8, 4),
        reduced_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 2 @ 103 signal
        100  100  100 100   | sell   |
        100  100  100 100   |        | sell 2 @ 97 signal
        """,
    ),
    Scenario(
        name="a share alone costs nothing",
        rules=moved(rules(direction=BOTH), share=0.5),
        volume=4,
        reduced_entries=2,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   | sell   | buy 2 @ 100 signal
        90   90   90  90    |        | sell 2 @ 90 signal; sell 2 @ 90 signal
        """,
    ),
    Scenario(
        name="what is left of the volume is a whole step",
        # 0.4 × (1 ÷ 4)² = 2.5 % for the unit that is bought, not for the half that is not.
        rules=moved(rules(step=1.0), impact=0.4, share=0.375),
        volume=4,
        reduced_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 1 @ 102.5 signal
        """,
    ),
    Scenario(
        name="the least value holds for what is left",
        rules=moved(rules(least=500.0), share=0.5),
        volume=4,
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        |
        """,
    ),
    Scenario(
        name="a bar without volume fills no entry that is limited by it",
        rules=moved(rules(entry=EntryType.LIMIT, life=5), share=0.5),
        volume=0,
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        |
        100  100  100 100   |        |
        """,
    ),
    Scenario(
        name="a bar without volume moves the price most",
        rules=moved(rules(units=1), impact=0.25),
        volume=0,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 1 @ 125 signal
        """,
    ),
    Scenario(
        name="a stop pays for its volume at its level, and at the open that has passed it",
        rules=moved(rules(units=2, stop=0.1), impact=0.4),
        volume=4,
        # Bought at 110: the stop is 10 % below at 99, and sells at 89.1; the one passed at 80 sells at 72.
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  105  100 105   |        | buy 2 @ 110 signal
        105  105  95  100   | buy    | sell 2 @ 89.1 stop_loss
        100  100  100 100   |        | buy 2 @ 110 signal
        80   80   80  80    |        | sell 2 @ 72 stop_loss
        """,
    ),
    Scenario(
        name="a stop entry pays, and the stop of a short is above the price that it got",
        rules=moved(rules(units=2, direction=Direction.SHORT, entry=EntryType.STOP, offset=0.1, stop=0.1), impact=0.4),
        volume=4,
        # Sold at 90 − 10 %; the stop is at 89.1, where the position is closed at once for having passed it.
        table="""
        open high low close | signal | fills
        100  100  100 100   | sell   |
        100  100  85  88    |        | sell 2 @ 81 stop; buy 2 @ 99 stop_loss
        """,
    ),
    Scenario(
        name="limits and targets stay at their level, cut to the share",
        rules=moved(rules(entry=EntryType.LIMIT, offset=0.1, target=0.1), impact=0.4, share=0.5),
        volume=4,
        reduced_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        95   95   88  90    |        | buy 2 @ 90 limit
        95   100  95  100   |        | sell 2 @ 99 take_profit
        """,
    ),
    Scenario(
        name="a limit order of a signal stays at its level",
        rules=moved(rules(units=2, exit=ExitType.LIMIT, exit_offset=0.1), impact=0.4),
        volume=4,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   | sell   | buy 2 @ 110 signal
        100  112  100 100   |        | sell 2 @ 110 signal
        """,
    ),
    Scenario(
        name="a fill at the close reads its own bar, and so does the end",
        rules=moved(rules(units=2, fill=FillTiming.SAME_CLOSE, at_end=True), impact=0.4),
        volume=4,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    | buy 2 @ 110 signal
        100  100  100 100   |        | sell 2 @ 90 end
        """,
    ),
    Scenario(
        name="the end reads the last bar also if nothing happened since the entry",
        rules=moved(rules(units=2, fill=FillTiming.SAME_CLOSE, at_end=True), impact=0.4),
        volume=(4, 1, 1, 8),
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    | buy 2 @ 110 signal
        100  100  100 100   |        |
        100  100  100 100   |        |
        100  100  100 100   |        | sell 2 @ 97.5 end
        """,
    ),
    Scenario(
        name="the volume is that of the bar of the fill, also at its open",
        rules=moved(rules(units=2), impact=0.4),
        volume=(1, 4, 1, 8),
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 2 @ 110 signal
        100  100  100 100   | sell   |
        100  100  100 100   |        | sell 2 @ 97.5 signal
        """,
    ),
    Scenario(
        name="a break-even stop counts the impact at the volume of the entry's bar",
        # 110 paid ÷ 0.9 is 122.222, and pays back 110.
        rules=moved(rules(units=2, break_even=0.2), impact=0.4),
        volume=4,
        table="""
        open high low close | signal | fills                     | equity
        100  100  100 100   | buy    |                           | 1000
        100  140  100 140   |        | buy 2 @ 110 signal        | 1060
        140  140  120 120   |        | sell 2 @ 110 break_even   | 1000
        """,
    ),
    Scenario(
        name="an addition at a stop pays for its own volume",
        # 2 of 8 units: 2.5 %. The addition's stop is 10 % over 102.5.
        rules=moved(rules(units=2, adds=[(0.1, 1.0)]), impact=0.4),
        volume=8,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 2 @ 102.5 signal
        100  115  100 115   |        | buy 2 @ 115.56875 add_stop
        """,
    ),
    Scenario(
        name="an addition is cut to the share, and dropped without volume",
        rules=moved(rules(units=2, adds=[(-0.1, 3.0), (-0.2, 1.0)]), share=0.5),
        volume=(8, 8, 8, 0),
        reduced_entries=1,
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  100  100 100   |        | buy 2 @ 100 signal
        95   95   90  90    |        | buy 4 @ 90 add_limit
        80   80   70  70    |        |
        """,
    ),
    Scenario(
        name="the impact of a liquidation takes no more than the margin",
        # 1,100 of which 550 are borrowed: at 55 nothing is left of the margin, and a sale at 49.5 would owe 55.
        rules=moved(rules(units=10, leverage=2), impact=0.4),
        volume=20,
        liquidations=1,
        table="""
        open high low close | signal | fills                    | equity
        100  100  100 100   | buy    |                          | 1000
        100  100  100 100   |        | buy 10 @ 110 signal      | 900
        100  100  50  60    |        | sell 10 @ 55 liquidation | 450
        """,
    ),
    Scenario(
        name="buying a short back at its own price takes no more than the cash",
        # 1,200 of cash buy 4 units back at 300; 250 × 1.5 would be more.
        rules=moved(rules(units=4, direction=Direction.SHORT), impact=0.5),
        volume=4,
        is_liquidated=True,
        table="""
        open high low close | signal | fills                    | equity
        100  100  100 100   | sell   |                          | 1000
        100  100  100 100   |        | sell 4 @ 50 signal       | 800
        100  100  100 100   | buy    |                          | 800
        250  250  250 250   |        | buy 4 @ 300 liquidation  | 0
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_volume_moves_and_limits_fills_as_drawn(scenario: Scenario) -> None:
    scenario.play()
