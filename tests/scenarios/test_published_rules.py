"""Draw freqtrade's published rules ("Assumptions made by backtesting" in its documentation) as pictures.

Both the rules that equal ours and those that do not; a comment says what freqtrade would do.
"""

from __future__ import annotations

import pytest

from tests.scenarios.drawing import Scenario, rules

SAME = [
    Scenario(
        name="entries happen at the open, exit signals at the next one",
        rules=rules(units=1, stop=0.1),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        202  206  200 205   | sell   | buy 1 @ 202 signal
        207  208  203 204   |        | sell 1 @ 207 signal
        """,
    ),
    Scenario(
        name="a stop inside the bar fills at its price, even if the low was lower",
        rules=rules(units=1, stop=0.1),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  206  195 205   |        | buy 1 @ 200 signal
        199  201  120 130   |        | sell 1 @ 180 stop_loss
        """,
    ),
    Scenario(
        name="a return target is compared to the high, and its own price is used",
        rules=rules(units=1, target=0.02),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  203  195 201   |        | buy 1 @ 200 signal
        201  210  199 208   |        | sell 1 @ 204 take_profit
        """,
    ),
    Scenario(
        name="the stop is evaluated before the target of the same bar",
        rules=rules(units=1, stop=0.1, target=0.02),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  203  195 201   |        | buy 1 @ 200 signal
        201  210  170 208   |        | sell 1 @ 180 stop_loss
        """,
    ),
    Scenario(
        name="an exit signal is favored over the stop, as it trades on the open",
        rules=rules(units=1, stop=0.1),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  203  195 201   | sell   | buy 1 @ 200 signal
        199  201  150 160   |        | sell 1 @ 199 signal
        """,
    ),
    Scenario(
        name="entry and stop in one bar",
        rules=rules(units=1, stop=0.05),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  205  188 204   |        | buy 1 @ 200 signal ; sell 1 @ 190 stop_loss
        """,
    ),
    Scenario(
        name="entry and target in one bar",
        rules=rules(units=1, target=0.02),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  205  195 199   |        | buy 1 @ 200 signal ; sell 1 @ 204 take_profit
        """,
    ),
    Scenario(
        name="the trailing stop follows the high and fills in a later bar",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  210  195 205   |        | buy 1 @ 200 signal
        205  220  201 215   |        |
        215  216  197 199   |        | sell 1 @ 198 trailing_stop
        """,
    ),
]

OTHER = [
    Scenario(
        # freqtrade: the high moves the stop to 198 first, and the low of the same bar fills it there.
        name="a trailing stop that rises and would be hit in the same bar waits for the next",
        rules=rules(units=1, trail=0.1),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  200  195 199   |        | buy 1 @ 200 signal
        199  220  185 215   |        |
        215  216  190 199   |        | sell 1 @ 198 trailing_stop
        """,
    ),
    Scenario(
        # freqtrade: at 180, the stop's price, because the bar traded there later.
        name="an open beyond the stop fills at the open",
        rules=rules(units=1, stop=0.1),
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  200  195 199   |        | buy 1 @ 200 signal
        170  185  165 184   |        | sell 1 @ 170 stop_loss
        """,
    ),
    Scenario(
        # freqtrade: no slippage anywhere.
        name="stops slip",
        rules=rules(units=1, stop=0.1, slippage=0.01),
        # Paid 202; stop 181.8; sold at 181.8 × 0.99.
        table="""
        open high low close | signal | fills
        200  204  198 203   | buy    |
        200  200  195 199   |        | buy 1 @ 202 signal
        199  200  170 184   |        | sell 1 @ 179.982 stop_loss
        """,
    ),
]


@pytest.mark.parametrize("scenario", SAME, ids=lambda case: case.name)
def test_fills_equal_those_of_freqtrade(scenario: Scenario) -> None:
    scenario.play()


@pytest.mark.parametrize("scenario", OTHER, ids=lambda case: case.name)
def test_other_than_freqtrade(scenario: Scenario) -> None:
    scenario.play()
