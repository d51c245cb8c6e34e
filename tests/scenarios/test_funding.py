"""What positions pay at 00:00, 08:00 and 16:00 UTC: when, at what price, and out of which cash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.errors import InvalidInput
from src.domain.funding import Funding, FundingKind
from src.domain.funding_rates import build_rates
from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming
from src.engines.event_driven import EventDrivenEngine
from tests.scenarios.drawing import Scenario, read, rules

SHORT, SAME_CLOSE = Direction.SHORT, FillTiming.SAME_CLOSE

CASES = [
    Scenario(
        name="a long pays at the opens of the marks that it is held over, before it is sold there",
        rules=rules(funding=0.01),
        interval="4h",
        # 10 units: 11 at 08:00, 12 at 16:00.
        funding=(23,),
        table="""
        open high low close | signal | fills                | equity
        100  100  100 100   | buy    |                      | 1000
        100  110  100 110   |        | buy 10 @ 100 signal  | 1100
        110  115  110 115   |        |                      | 1139
        115  120  115 120   | sell   |                      | 1189
        120  120  120 120   |        | sell 10 @ 120 signal | 1177
        """,
    ),
    Scenario(
        name="a short gets what a long pays",
        rules=rules(funding=0.01, direction=SHORT),
        interval="4h",
        funding=(-23,),
        table="""
        open high low close | signal | fills                | equity
        100  100  100 100   | sell   |                      | 1000
        100  110  100 110   |        | sell 10 @ 100 signal | 900
        110  115  110 115   |        |                      | 861
        115  120  115 120   | buy    |                      | 811
        120  120  120 120   |        | buy 10 @ 120 signal  | 823
        """,
    ),
    Scenario(
        name="a negative rate is paid by shorts",
        rules=rules(funding=-0.01, direction=SHORT),
        interval="4h",
        funding=(11,),
        table="""
        open high low close | signal | fills                | equity
        100  100  100 100   | sell   |                      | 1000
        100  110  100 110   |        | sell 10 @ 100 signal | 900
        110  115  110 115   |        |                      | 839
        """,
    ),
    Scenario(
        name="an entry at the open of a mark does not pay it, nor one that is closed before the next",
        rules=rules(funding=0.01),
        interval="4h",
        funding=(0,),
        table="""
        open high low close | signal | fills                | equity
        100  100  100 100   |        |                      | 1000
        100  100  100 100   | buy    |                      | 1000
        100  100  100 100   | sell   | buy 10 @ 100 signal  | 1000
        100  100  100 100   |        | sell 10 @ 100 signal | 1000
        100  100  100 100   |        |                      | 1000
        """,
    ),
    Scenario(
        name="an hour that opens at a mark pays it, and no other hour does",
        rules=rules(funding=0.01),
        interval="1h",
        slots=(6, 7, 8, 9),
        funding=(10.5,),
        table="""
        open high low close | signal | fills               | equity
        100  100  100 100   | buy    |                     | 1000
        100  105  100 105   |        | buy 10 @ 100 signal | 1050
        105  108  105 108   |        |                     | 1069.5
        108  108  108 108   |        |                     | 1069.5
        """,
    ),
    Scenario(
        name="a day pays one mark at its open and two at its close, before the orders of the close",
        rules=rules(funding=0.01, fill=SAME_CLOSE),
        # 10 + 2 × 11, then 11 + 2 × 12.
        funding=(67,),
        table="""
        open high low close | signal | fills                | equity
        100  100  100 100   | buy    | buy 10 @ 100 signal  | 1000
        100  110  100 110   |        |                      | 1068
        110  120  110 120   | sell   | sell 10 @ 120 signal | 1133
        120  120  120 120   |        |                      | 1133
        """,
    ),
    Scenario(
        name="a position that is stopped inside a day pays the mark at its open only",
        rules=rules(funding=0.01, fill=SAME_CLOSE, stop=0.05),
        funding=(10,),
        table="""
        open high low close | signal | fills                  | equity
        100  100  100 100   | buy    | buy 10 @ 100 signal    | 1000
        100  101  90  99    |        | sell 10 @ 95 stop_loss | 940
        """,
    ),
    Scenario(
        name="a position that opens inside a day pays both marks inside it",
        rules=rules(funding=0.01, units=10, entry=EntryType.LIMIT, offset=0.05),
        funding=(20,),
        table="""
        open high low close | signal | fills             | equity
        100  100  100 100   | buy    |                   | 1000
        100  101  94  100   |        | buy 10 @ 95 limit | 1030
        """,
    ),
    Scenario(
        name="the marks of a gap are paid at the open after it by who held the position",
        rules=rules(funding=0.01),
        interval="4h",
        slots=(0, 1, 2, 8, 9),
        # 11 at 08:00; 16:00, 00:00 and 08:00 at 120.
        funding=(47,),
        table="""
        open high low close | signal | fills                | equity
        100  100  100 100   | buy    |                      | 1000
        100  110  100 110   |        | buy 10 @ 100 signal  | 1100
        110  115  110 115   | sell   |                      | 1139
        120  120  120 120   |        | sell 10 @ 120 signal | 1153
        120  120  120 120   |        |                      | 1153
        """,
    ),
    Scenario(
        name="the next entry spends what funding has left, and a new position owes nothing",
        rules=rules(funding=0.01, fill=SAME_CLOSE),
        interval="8h",
        funding=(10, 0),
        table="""
        open high low close | signal | fills                 | equity
        100  100  100 100   | buy    | buy 10 @ 100 signal   | 1000
        100  100  100 100   | sell   | sell 10 @ 100 signal  | 990
        100  100  90  90    | buy    | buy 11 @ 90 signal    | 990
        """,
    ),
    Scenario(
        name="a long that borrows pays from its margin, and is liquidated sooner",
        rules=rules(funding=0.01, leverage=10),
        interval="4h",
        is_liquidated=True,
        # 100 units, 9000 borrowed and 100 paid at 08:00: liquidated at 91.
        funding=(100,),
        table="""
        open high low close | signal | fills                      | equity
        100  100  100 100   | buy    |                            | 1000
        100  100  100 100   |        | buy 100 @ 100 signal       | 1000
        100  100  91  95    |        | sell 100 @ 91 liquidation  | 0
        """,
    ),
    Scenario(
        name="cash outside of the margin pays first, and the level stays",
        rules=rules(funding=0.01, leverage=10, percent=0.5),
        interval="4h",
        liquidations=1,
        funding=(50,),
        table="""
        open high low close | signal | fills                    | equity
        100  100  100 100   | buy    |                          | 1000
        100  100  100 100   |        | buy 50 @ 100 signal      | 1000
        100  100  90.5 95   |        |                          | 700
        95   95   90  95    |        | sell 50 @ 90 liquidation | 450
        """,
    ),
    Scenario(
        name="what a short got is not lost with its margin",
        rules=rules(funding=0.01, leverage=10, direction=SHORT),
        interval="4h",
        liquidations=1,
        funding=(-100,),
        table="""
        open high low close | signal | fills                      | equity
        100  100  100 100   | sell   |                            | 1000
        100  100  100 100   |        | sell 100 @ 100 signal      | 1000
        100  110  100 100   |        | buy 100 @ 110 liquidation  | 100
        """,
    ),
    Scenario(
        name="a payment that uses the margin up liquidates at once",
        rules=rules(funding=0.03, leverage=125, maintenance=0.004),
        interval="4h",
        is_liquidated=True,
        # 1250 units: 3 % of 125,000 are due, and 1000 are there.
        funding=(1000,),
        table="""
        open high low close | signal | fills                       | equity
        100  100  100 100   | buy    |                             | 1000
        100  100  100 100   |        | buy 1250 @ 100 signal       | 1000
        100  200  100 200   |        | sell 1250 @ 100 liquidation | 0
        """,
    ),
    Scenario(
        name="a payment that leaves less than the maintenance margin liquidates at the market",
        rules=rules(funding=0.01, leverage=20, maintenance=0.045, fill=SAME_CLOSE),
        interval="8h",
        liquidations=1,
        # 200 units: 800 of 20,000 are left, which is less than 900.
        funding=(200,),
        table="""
        open high low close | signal | fills                      | equity
        100  100  100 100   | buy    | buy 200 @ 100 signal       | 1000
        100  100  100 100   |        | sell 200 @ 100 liquidation | 800
        """,
    ),
    Scenario(
        name="a mark at the close of a day liquidates there",
        rules=rules(funding=0.03, leverage=20, fill=SAME_CLOSE),
        is_liquidated=True,
        # 200 units: 600 at the open, and 400 of the 1200 that are due at the close.
        funding=(1000,),
        table="""
        open high low close | signal | fills                      | equity
        100  100  100 100   | buy    | buy 200 @ 100 signal       | 1000
        100  100  99  100   | sell   | sell 200 @ 100 liquidation | 0
        100  100  99  100   |        |                            | 0
        """,
    ),
    Scenario(
        name="a long without leverage owes what it has paid, and no more than it is worth",
        rules=rules(funding=0.03, fill=SAME_CLOSE),
        interval="8h",
        is_liquidated=True,
        funding=(30,),
        table="""
        open high low close | signal | fills                   | equity
        100  100  100 100   | buy    | buy 10 @ 100 signal     | 1000
        100  100  1   2     |        | sell 10 @ 3 liquidation | 0
        """,
    ),
    Scenario(
        name="a gap below what a long owes costs no more than all",
        rules=rules(funding=0.03),
        interval="4h",
        is_liquidated=True,
        funding=(30,),
        table="""
        open high low close | signal | fills                   | equity
        100  100  100 100   | buy    |                         | 1000
        100  100  100 100   |        | buy 10 @ 100 signal     | 1000
        100  100  99  99    | sell   |                         | 960
        2    2    2   2     |        | sell 10 @ 3 liquidation | 0
        """,
    ),
    Scenario(
        name="a rate of 0 pays nothing",
        rules=rules(funding=0.0, fill=SAME_CLOSE),
        funding=(0,),
        table="""
        open high low close | signal | fills               | equity
        100  100  100 100   | buy    | buy 10 @ 100 signal | 1000
        100  100  100 100   |        |                     | 1000
        """,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_funding_is_as_drawn(case: Scenario) -> None:
    case.play()


def test_history_pays_each_rate_at_its_time() -> None:
    picture = read(
        """
        open high low close | signal | fills
        100  100  100 100   | buy    |
        100  110  100 110   |        | buy 10 @ 100 signal
        110  115  110 115   |        |
        115  120  115 120   |        |
        120  120  120 120   |        |
        """,
        1.0,
        interval="4h",
    )
    hours, rates = np.array([8, 9, 12]), np.array([0.01, 0.001, -0.002])
    history = Funding(kind=FundingKind.HISTORY, history="mine").with_rates(build_rates(hours * 3_600_000, rates))
    run = EventDrivenEngine().run(picture.bars, picture.signals, replace(rules(), funding=history))
    # 1 % of 1100 at 08:00, 0.1 % of 1150 for 09:00 at the close of its bar, −0.2 % of 1150 at 12:00; nothing at 16:00.
    assert run.trades["funding"].tolist() == pytest.approx([11 + 1.15 - 2.3])
    assert run.equity.tolist() == pytest.approx([1000, 1100, 1137.85, 1190.15, 1190.15])


def test_only_history_has_a_history() -> None:
    assert Funding(kind=FundingKind.HISTORY).history is None  # the exchange's
    with pytest.raises(InvalidInput, match=r"fundingHistory is 'mine', and funding is CONSTANT\. Only HISTORY allows"):
        Funding(kind=FundingKind.CONSTANT, rate=0.01, history="mine")
    with pytest.raises(InvalidInput, match=r"fundingRate is 0\.01, and funding is HISTORY\. Only CONSTANT allows one"):
        Funding(kind=FundingKind.HISTORY, rate=0.01, history="mine")


def test_only_constant_funding_has_a_rate() -> None:
    with pytest.raises(InvalidInput, match=r"fundingRate is required with funding CONSTANT\."):
        Funding(kind=FundingKind.CONSTANT)
    with pytest.raises(InvalidInput, match=r"fundingRate is 0\.01, and funding is NONE\. Only CONSTANT allows one"):
        Funding(rate=0.01)


@pytest.mark.parametrize("rate", [0.0301, -0.0301, float("nan")])
def test_rates_beyond_any_exchange_are_refused(rate: float) -> None:
    with pytest.raises(InvalidInput, match=r"Allowed: -0\.03 ≤ x ≤ 0\.03 \(fraction of the position's value\)"):
        Funding(kind=FundingKind.CONSTANT, rate=rate)
