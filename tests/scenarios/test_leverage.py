"""Borrowed positions: what an entry buys, and where and at what loss it is liquidated."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.errors import InvalidInput
from src.domain.order_rules import EntryType, Margin
from src.domain.trading import Direction, FillTiming
from src.engines.account import Costs, liquidation_level
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="all cash is the margin of ten times its value",
        distance=0.05,
        rules=rules(leverage=10),
        table="""
        open high low close | signal | fills                | equity
        100  101  99  100   | buy    |                      | 1000
        100  106  95  105   |        | buy 100 @ 100 signal | 1500
        105  106  95  98    |        |                      | 800
        """,
    ),
    Scenario(
        name="a long loses its margin where its value has fallen by it",
        distance=0.0,
        rules=rules(leverage=10),
        is_liquidated=True,
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  101  95  98    |        | buy 100 @ 100 signal       | 800
        98   99   90  99    | buy    | sell 100 @ 90 liquidation  | 0
        99   120  98  119   |        |                            | 0
        """,
    ),
    Scenario(
        name="a short loses its margin where its value has risen by it",
        distance=0.0,
        rules=rules(leverage=10, direction=Direction.SHORT),
        is_liquidated=True,
        table="""
        open high low close | signal | fills                     | equity
        100  101  99  100   | sell   |                           | 1000
        100  105  95  104   |        | sell 100 @ 100 signal     | 600
        104  110  99  101   |        | buy 100 @ 110 liquidation | 0
        """,
    ),
    Scenario(
        name="signals rest after a liquidation as after a stop",
        rules=rules(units=1, fill=FillTiming.SAME_CLOSE, leverage=10, cooldown=2),
        liquidations=1,
        distance=0.0,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    | buy 1 @ 100 signal       | 1000
        100  101  85  88    | buy    | sell 1 @ 90 liquidation  | 990
        88   89   87  88    | buy    |                          | 990
        88   89   87  88    | buy    | buy 1 @ 88 signal        | 990
        """,
    ),
    Scenario(
        name="the maintenance margin is left of a position that is liquidated in time",
        rules=rules(leverage=10, maintenance=0.05),
        liquidations=1,
        # 100 × 0.9 ÷ 0.95 = 94.736842…, where 5 % of the value are left.
        table="""
        open high low close | signal | fills                             | equity
        100  101  99  100   | buy    |                                   | 1000
        100  101  95  98    |        | buy 100 @ 100 signal              | 800
        98   99   94  99    |        | sell 100 @ 94.736842105 liquidation | 473.684210526
        """,
    ),
    Scenario(
        name="cash outside of the margin is never lost, and trades on",
        rules=rules(leverage=10, percent=0.5, fill=FillTiming.SAME_CLOSE),
        liquidations=1,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    | buy 50 @ 100 signal      | 1000
        70   71   60  70    |        | sell 50 @ 90 liquidation | 500
        70   71   69  70    | buy    | buy 35.714285714 @ 70 signal | 500
        77   78   76  77    | sell   | sell 35.714285714 @ 77 signal | 750
        """,
    ),
    Scenario(
        name="a gap of a short costs its margin and no more",
        distance=0.0,
        rules=rules(leverage=5, percent=0.5, direction=Direction.SHORT, fill=FillTiming.SAME_CLOSE),
        liquidations=1,
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | sell   | sell 25 @ 100 signal     | 1000
        300  310  290 300   |        | buy 25 @ 120 liquidation | 500
        """,
    ),
    Scenario(
        name="margin and fee are paid out of the cash, and the last fee out of the margin",
        rules=rules(leverage=10, fee=0.0125),
        is_liquidated=True,
        # 1000 ÷ 0.1125 = 8888.888…; 100 of it the fee; 8000 borrowed; 88.888… × 91.139… less 1.25 % pays them back.
        table="""
        open high low close | signal | fills                                                     | equity
        100  101  99  100   | buy    |                                                           | 1000
        100  101  95  100   |        | buy 88.888888889 @ 100 signal fee 111.111111111           | 888.888888889
        70   71   60  70    |        | sell 88.888888889 @ 91.139240506 liquidation fee 101.265822785 | 0
        """,
    ),
    Scenario(
        name="units beyond the margin are cut",
        distance=0.19,
        rules=rules(leverage=5, units=60),
        reduced_entries=1,
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  101  99  100   |        | buy 50 @ 100 signal | 1000
        """,
    ),
    Scenario(
        name="an amount is that of the margin",
        distance=0.24,
        rules=rules(leverage=4, quote=500),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        100  111  99  110   |        | buy 20 @ 100 signal | 1200
        """,
    ),
    Scenario(
        name="a risk may buy more than cash alone pays for",
        distance=0.08,
        rules=rules(leverage=10, risk=0.1, stop=0.02),
        table="""
        open high low close | signal | fills                                        | equity
        100  101  99  100   | buy    |                                              | 1000
        100  101  97  99    |        | buy 50 @ 100 signal ; sell 50 @ 98 stop_loss | 900
        """,
    ),
    Scenario(
        name="a stop before the liquidation level goes first",
        distance=0.05,
        rules=rules(leverage=10, stop=0.05),
        table="""
        open high low close | signal | fills                                          | equity
        100  101  99  100   | buy    |                                                | 1000
        100  101  80  90    |        | buy 100 @ 100 signal ; sell 100 @ 95 stop_loss | 500
        """,
    ),
    Scenario(
        name="a stop after the liquidation level is never reached",
        rules=rules(leverage=10, stop=0.2),
        is_liquidated=True,
        table="""
        open high low close | signal | fills                                            | equity
        100  101  99  100   | buy    |                                                  | 1000
        100  101  70  90    |        | buy 100 @ 100 signal ; sell 100 @ 90 liquidation | 0
        """,
    ),
    Scenario(
        name="slippage beyond the margin loses it at once",
        rules=rules(leverage=100, slippage=0.02, fill=FillTiming.SAME_CLOSE),
        is_liquidated=True,
        # Paid 102; nothing is left at 100.98, and the market is at 100.
        table="""
        open high low close | signal | fills                                                          | equity
        100  101  99  100   | buy    | buy 980.392156863 @ 102 signal ; sell 980.392156863 @ 100.98 liquidation | 0
        100  101  99  100   |        |                                                                | 0
        """,
    ),
    Scenario(
        name="a limit entry has seen the low of its bar",
        # Bought at 90, liquidated at 72.
        rules=rules(leverage=5, units=10, entry=EntryType.LIMIT, offset=0.1),
        distance=13 / 90,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  100  85  99    |        | buy 10 @ 90 limit
        99   100  98  99    |        |
        """,
    ),
    Scenario(
        name="a stop entry may have come after the low of its bar, and has seen the close",
        # Bought at 110, liquidated at 88.
        rules=rules(leverage=5, units=10, entry=EntryType.STOP, offset=0.1),
        distance=17 / 110,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  112  95  105   |        | buy 10 @ 110 stop
        120  121  119 120   |        |
        """,
    ),
    Scenario(
        name="a bar that closes a position has its open and its fill",
        # Liquidated at 80; the bar that takes the profit begins at 86, and its low may have come later.
        rules=rules(leverage=5, units=10, target=0.1),
        distance=0.06,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   |        | buy 10 @ 100 signal
        86   111  81  100   |        | sell 10 @ 110 take_profit
        """,
    ),
    Scenario(
        name="an addition moves the level away from the price that bought it",
        # 80 before and 95 × 0.8 after it: at 90 the distance is 10 of 100.
        rules=rules(leverage=5, units=10, adds=[(-0.1, 1.0)]),
        distance=0.1,
        table="""
        open high low close | signal | fills
        100  101  99  100   | buy    |
        100  101  99  100   |        | buy 10 @ 100 signal
        95   96   90  95    |        | buy 10 @ 90 add_limit
        """,
    ),
    Scenario(
        name="a short is nearest at the highest price",
        # Liquidated at 125.
        rules=rules(leverage=4, direction=Direction.SHORT, units=10, fill=FillTiming.SAME_CLOSE),
        distance=0.02,
        table="""
        open high low close | signal | fills
        100  130  99  100   | sell   | sell 10 @ 100 signal
        100  123  80  100   |        |
        100  104  99  100   | buy    | buy 10 @ 100 signal
        200  200  200 200   |        |
        """,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_borrowed_position_trades_as_drawn(case: Scenario) -> None:
    case.play()


@given(
    side=st.sampled_from([1, -1]),
    entry=st.floats(1e-3, 1e6),
    leverage=st.floats(1.01, 125.0),
    maintenance=st.floats(0.0, 0.0079),
    units=st.floats(1e-3, 1e3),
)
def test_level_is_that_of_binance(side: int, entry: float, leverage: float, maintenance: float, units: float) -> None:
    """P = (W + cum − s q E) ÷ (q m − s q), isolated, without tiers: W is the margin, cum 0, s the side."""
    margin = units * entry / leverage
    binance = (margin - side * units * entry) / (units * maintenance - side * units)
    own_cash = margin - side * units * entry
    found = liquidation_level(own_cash, side * units, Costs(0.1, 0.1, 0.1), 1 / leverage, maintenance)
    assert found == pytest.approx(binance, rel=1e-9)


@pytest.mark.parametrize(("side", "leverage"), [(1, 3.0), (1, 50.0), (-1, 3.0), (-1, 50.0)])
def test_level_is_near_that_of_jesse(side: int, leverage: float) -> None:
    """E (1 ∓ (1/L − m)) takes the maintenance margin of the entry's value, where Binance takes that of the level's."""
    margin = 100.0 / leverage
    found = liquidation_level(margin - side * 100.0, side * 1.0, Costs(0.0, 0.0, 0.0), 1 / leverage, 0.004)
    assert found == pytest.approx(100.0 * (1 - side * (1 / leverage - 0.004)), abs=100.0 * 0.004 / leverage * 1.01)


def test_long_without_leverage_has_no_level() -> None:
    assert math.isnan(liquidation_level(0.0, 1.0, Costs(0.0, 0.0, 0.0), 1.0, 0.004))


def test_maintenance_margin_over_margin_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"maintenanceMargin is 0\.1\. Allowed: less than 1 ÷ leverage \(0\.1\)"):
        Margin(leverage=10, maintenance_rate=0.1)
    assert Margin(leverage=1, maintenance_rate=0.1).leverage == 1
