"""Entries that wait as a stop and are filled as a limit, and entries that follow the close while they wait."""

from __future__ import annotations

import pytest

from src.domain.errors import InvalidInput
from src.domain.order_rules import EntryOrder, EntryType
from src.domain.trading import Direction
from tests.scenarios.drawing import Scenario, rules

CASES = [
    Scenario(
        name="stop-limit fills at its stop, without slippage, for a taker's fee",
        rules=rules(units=1, entry=EntryType.STOP_LIMIT, offset=0.1, limit=0.05, slippage=0.02, maker=0.1, taker=0.2),
        table="""
        open high low close | signal | fills                    | equity
        100  101  99  100   | buy    |                          | 1000
        100  112  100 111   |        | buy 1 @ 110 limit fee 22 | 979
        """,
    ),
    Scenario(
        name="stop-limit fills at an open between its stop and its limit",
        rules=rules(units=1, entry=EntryType.STOP_LIMIT, offset=0.1, limit=0.05),
        table="""
        open high low close | signal | fills             | equity
        100  101  99  100   | buy    |                   | 1000
        115  118  114 116   |        | buy 1 @ 115 limit | 1001
        """,
    ),
    Scenario(
        name="gap beyond the limit is not paid; the low that comes back to it is",
        rules=rules(units=1, entry=EntryType.STOP_LIMIT, offset=0.1, limit=0.05, maker=0.1, taker=0.2),
        # The limit is 115.5.
        table="""
        open high low close | signal | fills                          | equity
        100  101  99  100   | buy    |                                | 1000
        120  125  115 124   |        | buy 1 @ 115.5 limit fee 11.55  | 996.95
        """,
    ),
    Scenario(
        name="gap beyond the limit leaves a limit order for the rest of its life",
        rules=rules(units=1, entry=EntryType.STOP_LIMIT, offset=0.1, limit=0.05, life=3),
        table="""
        open high low close | signal | fills               | equity
        100  101  99  100   | buy    |                     | 1000
        120  125  118 124   |        |                     | 1000
        124  126  116 118   |        |                     | 1000
        114  119  113 117   |        | buy 1 @ 114 limit   | 1003
        """,
    ),
    Scenario(
        name="gap beyond the limit of an order that then expires",
        rules=rules(units=1, entry=EntryType.STOP_LIMIT, offset=0.1, limit=0.05, life=1),
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        120  125  118 124   |        |       | 1000
        114  119  113 117   |        |       | 1000
        """,
    ),
    Scenario(
        name="stop-limit sells below the market, but not below its limit",
        rules=rules(units=1, entry=EntryType.STOP_LIMIT, offset=0.1, limit=0.1, direction=Direction.SHORT, life=2),
        # The stop is 90, the limit 81.
        table="""
        open high low close | signal | fills             | equity
        100  101  99  100   | sell   |                   | 1000
        80   80.5 70  75    |        |                   | 1000
        75   82   74  80    |        | sell 1 @ 81 limit | 1001
        """,
    ),
    Scenario(
        name="limit follows the close down, and expires when it would have",
        rules=rules(units=1, entry=EntryType.LIMIT, offset=0.1, life=3, reprice=True),
        # 90, then 82.8, then 75.6.
        table="""
        open high low close | signal | fills | equity
        100  101  99  100   | buy    |       | 1000
        95   96   91  92    |        |       | 1000
        90   91   83  84    |        |       | 1000
        81   82   76  77    |        |       | 1000
        74   75   60  65    |        |       | 1000
        """,
    ),
    Scenario(
        name="stop follows the close down to where the price turns",
        rules=rules(units=1, entry=EntryType.STOP, offset=0.1, life=5, reprice=True),
        # 110, then 88 from a close of 80.
        table="""
        open high low close | signal | fills           | equity
        100  101  99  100   | buy    |                 | 1000
        90   91   79  80    |        |                 | 1000
        82   90   81  89    |        | buy 1 @ 88 stop | 1001
        """,
    ),
    Scenario(
        name="order that has become a limit stays where it is",
        rules=rules(units=1, entry=EntryType.STOP_LIMIT, offset=0.1, limit=0.0, life=3, reprice=True),
        table="""
        open high low close | signal | fills             | equity
        100  101  99  100   | buy    |                   | 1000
        120  125  118 124   |        |                   | 1000
        115  119  109 117   |        | buy 1 @ 110 limit | 1007
        """,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_waiting_entry_fills_as_drawn(case: Scenario) -> None:
    case.play()


@pytest.mark.parametrize("kind", [EntryType.MARKET, EntryType.LIMIT, EntryType.STOP])
def test_limit_offset_of_another_entry_is_refused(kind: EntryType) -> None:
    with pytest.raises(InvalidInput, match=r"limitOffset is 0\.1\. Only a STOP_LIMIT entry allows one\."):
        EntryOrder(type=kind, limit_offset_rate=0.1)
