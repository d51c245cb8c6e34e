"""Exit signals that place a limit order in favor of the position."""

from __future__ import annotations

import pytest

from src.domain.errors import InvalidInput
from src.domain.exit_orders import ExitOrder, ExitType
from src.domain.ladders import AddEntry, TakeProfit
from src.domain.order_rules import EntryOrder, Exits
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from tests.scenarios.drawing import Scenario, rules

LIMIT = ExitType.LIMIT

CASES = [
    Scenario(
        name="the exit rests above the signal's close until a bar reaches it",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1, slippage=0.25, maker=0.01, taker=0.02),
        table="""
        open high low close | signal | fills
        80   81   79  80    | buy    |
        80   101  79  100   | sell   | buy 1 @ 100 signal fee 2
        100  109  99  100   |        |
        100  109  50  100   |        |
        100  110  99  100   |        | sell 1 @ 110 signal fee 1.1
        100  120  99  100   |        |
        """,
    ),
    Scenario(
        name="an open beyond the exit takes it there",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1, slippage=0.25, maker=0.01, taker=0.02),
        table="""
        open high low close | signal | fills
        80   81   79  80    | buy    |
        80   101  79  100   | sell   | buy 1 @ 100 signal fee 2
        120  121  99  100   |        | sell 1 @ 120 signal fee 2.4
        """,
    ),
    Scenario(
        name="without an offset it asks for the close",
        rules=rules(units=1, exit=LIMIT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        98   99   97  98    |        |
        98   100  97  98    |        | sell 1 @ 100 signal
        """,
    ),
    Scenario(
        name="the exit of a short waits below",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills
        100  101  99  100   | sell   |
        100  101  99  100   | buy    | sell 1 @ 100 signal
        100  101  91  100   |        |
        100  101  90  100   |        | buy 1 @ 90 signal
        """,
    ),
    Scenario(
        name="at the close of its signal it does not fill yet",
        rules=rules(units=1, exit=LIMIT, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    | buy 1 @ 100 signal
        100  101  99  100   | sell   |
        99   100  98  99    |        | sell 1 @ 100 signal
        """,
    ),
    Scenario(
        name="a signal in the position's direction cancels it",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        100  104  99  100   | buy    |
        100  120  99  100   |        |
        """,
    ),
    Scenario(
        name="a later exit signal places it anew at the new close, also farther away",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        100  108  99  108   | sell   |
        108  118  99  100   | sell   |
        100  110  99  100   |        | sell 1 @ 110 signal
        """,
    ),
    Scenario(
        name="a signal that would reverse only closes",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1, direction=Direction.BOTH),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        100  110  99  100   |        | sell 1 @ 110 signal
        100  101  99  100   | sell   |
        100  101  99  100   |        | sell 1 @ 100 signal
        """,
    ),
    Scenario(
        name="a signal that only closes places it, and one of the other direction leaves it",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1, direction=Direction.BOTH),
        table="""
        open high low close | signal      | fills
        100  101  99  100   | buy         |
        100  101  99  100   | close long  | buy 1 @ 100 signal
        100  101  99  100   | close short |
        100  110  99  100   |             | sell 1 @ 110 signal
        """,
    ),
    Scenario(
        name="the nearer of target and exit fills, and a canceled exit leaves the target",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.05, target=0.1),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        100  105  99  100   |        | sell 1 @ 105 signal
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        100  104  99  100   | buy    |
        100  109  99  107   | sell   |
        107  112  99  107   |        | sell 1 @ 110 take_profit
        """,
    ),
    Scenario(
        name="a stop closes the position and takes the exit with it",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1, stop=0.05),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        100  101  95  96    | buy    | sell 1 @ 95 stop_loss
        100  111  99  100   |        | buy 1 @ 100 signal
        """,
    ),
    *(
        Scenario(
            name=f"a bar that reaches stop and exit is decided {policy}",
            rules=rules(units=1, exit=LIMIT, exit_offset=0.05, stop=0.05, intrabar=policy),
            ambiguous_bars=1,
            table=f"""
            open high low close | signal | fills
            100  101  99  100   | buy    |
            100  101  99  100   | sell   | buy 1 @ 100 signal
            100  106  94  100   |        | {fill}
            """,
        )
        for policy, fill in (
            (IntrabarPolicy.PESSIMISTIC, "sell 1 @ 95 stop_loss"),
            (IntrabarPolicy.OPTIMISTIC, "sell 1 @ 105 signal"),
            (IntrabarPolicy.NEAREST, "sell 1 @ 95 stop_loss"),
        )
    ),
    Scenario(
        name="the time exit and the end are market orders",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.1, max_bars=2, at_end=True, slippage=0.25),
        table="""
        open high low close | signal | fills
        80   80   80  80    | buy    |
        80   80   80  80    | sell   | buy 1 @ 100 signal
        80   80   80  80    |        |
        80   80   80  80    | buy    | sell 1 @ 60 time
        80   80   80  80    | sell   | buy 1 @ 100 signal ; sell 1 @ 60 end
        """,
    ),
    Scenario(
        name="its level is on the tick that is harder to reach",
        rules=rules(units=1, exit=LIMIT, exit_offset=0.05, tick=4),
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   | sell   | buy 1 @ 100 signal
        100  107  99  100   |        |
        100  108  99  100   |        | sell 1 @ 108 signal
        """,
    ),
]


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_exit_orders_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()


def test_limit_exit_refuses_what_it_cannot_close() -> None:
    order, fill = ExitOrder(type=LIMIT), FillTiming.NEXT_OPEN
    with pytest.raises(InvalidInput, match="exit is LIMIT, and takeProfits is given"):
        Exits(order=order, take_profits=(TakeProfit(rate=0.1),))
    with pytest.raises(InvalidInput, match="exit is LIMIT, and exitOnSignal is false"):
        Exits(order=order, on_signal=False)
    with pytest.raises(InvalidInput, match="exit is LIMIT, and addEntries is given"):
        TradingRules(fill=fill, exits=Exits(order=order), entry=EntryOrder(additions=(AddEntry(move=0.1),)))
    with pytest.raises(InvalidInput, match=r"exitOffset is 0\.1\. A MARKET exit allows none\."):
        ExitOrder(offset_rate=0.1)
