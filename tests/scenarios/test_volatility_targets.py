"""Entries sized by a target of volatility, on weekly bars: 30 days hold the returns of 5 of them."""

from __future__ import annotations

import math

import pytest

from src.domain.trading import Direction, FillTiming
from tests.scenarios.drawing import Scenario, rules

UP_AND_DOWN = math.log(1.1) * math.sqrt(1.2 * 365 / 7)
"""Of five returns +a −a +a −a +a the mean is a ÷ 5 and the variance (5 a² − a² ÷ 5) ÷ 4 = 1.2 a²; a year has 365 ÷ 7
weeks."""

WEEKS = """
        open high low close | signal | fills
        100  100  100 100   |        |
        110  110  110 110   |        |
        100  100  100 100   |        |
        110  110  110 110   |        |
        100  100  100 100   |        |"""

CASES = [
    Scenario(
        name="half of the market's volatility takes half of the equity",
        rules=rules(volatility=UP_AND_DOWN / 2),
        interval="1w",
        table=WEEKS
        + """
        110  110  110 110   | buy    |
        125  125  125 125   |        | buy 4 @ 125 signal
        """,
    ),
    Scenario(
        name="costs are paid beside the value, which counts at the price paid",
        rules=rules(volatility=UP_AND_DOWN / 2, fee=0.25, slippage=0.25),
        interval="1w",
        table=WEEKS
        + """
        110  110  110 110   | buy    |
        100  100  100 100   |        | buy 4 @ 125 signal fee 125
        """,
    ),
    Scenario(
        name="a value that cash does not pay with its fee is cut",
        rules=rules(volatility=UP_AND_DOWN * 0.9, fee=0.25),
        interval="1w",
        reduced_entries=1,
        table=WEEKS
        + """
        110  110  110 110   | buy    |
        100  100  100 100   |        | buy 8 @ 100 signal fee 200
        """,
    ),
    Scenario(
        name="a calm market takes all cash, and that is no cut",
        rules=rules(volatility=UP_AND_DOWN * 7, fee=0.25),
        interval="1w",
        table=WEEKS
        + """
        110  110  110 110   | buy    |
        100  100  100 100   |        | buy 8 @ 100 signal fee 200
        """,
    ),
    Scenario(
        name="leverage lets the value be more than the equity",
        rules=rules(volatility=UP_AND_DOWN * 2, leverage=4),
        interval="1w",
        table=WEEKS
        + """
        110  110  110 110   | buy    |
        100  100  100 100   |        | buy 20 @ 100 signal
        """,
    ),
    Scenario(
        name="the value is at most the leverage",
        rules=rules(volatility=UP_AND_DOWN * 9, leverage=4),
        interval="1w",
        table=WEEKS
        + """
        110  110  110 110   | buy    |
        100  100  100 100   |        | buy 40 @ 100 signal
        """,
    ),
    Scenario(
        name="a short is worth the same",
        rules=rules(volatility=UP_AND_DOWN / 2, direction=Direction.SHORT),
        interval="1w",
        table=WEEKS
        + """
        110  110  110 110   | sell   |
        125  125  125 125   |        | sell 4 @ 125 signal
        """,
    ),
    Scenario(
        name="a fill at the close reads its own bar",
        rules=rules(volatility=UP_AND_DOWN / 2, fill=FillTiming.SAME_CLOSE),
        interval="1w",
        table=WEEKS
        + """
        110  110  110 110   | buy    | buy 4.545454545454545 @ 110 signal
        """,
    ),
    Scenario(
        name="bars that do not reach back 30 days open nothing, and that is counted",
        rules=rules(volatility=1),
        interval="1w",
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   |        |
        110  110  110 110   |        |
        100  100  100 100   |        |
        110  110  110 110   |        |
        100  100  100 100   | buy    |
        110  110  110 110   |        |
        """,
    ),
    Scenario(
        name="a price that has not moved for 30 days opens nothing",
        rules=rules(volatility=1),
        interval="1w",
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        900  900  900 900   |        |
        100  100  100 100   |        |
        100  100  100 100   |        |
        100  100  100 100   |        |
        100  100  100 100   |        |
        100  100  100 100   |        |
        100  100  100 100   | buy    |
        110  110  110 110   |        |
        """,
    ),
    Scenario(
        name="one return in 30 days is none",
        rules=rules(volatility=1),
        interval="1w",
        slots=(0, 1, 2, 9, 10),
        dropped_entries=1,
        table="""
        open high low close | signal | fills
        100  100  100 100   |        |
        110  110  110 110   |        |
        100  100  100 100   |        |
        110  110  110 110   | buy    |
        110  110  110 110   |        |
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_volatility_targets_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
