"""Trades and balances on fills worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.simulation import FILL_DTYPE, FillReason, Side
from src.engines.ledger import carry_forward, cash_after_fills, pair_trades

HOUR_MS = 3_600_000
TIMES_MS = np.arange(10, dtype=np.int64) * HOUR_MS

# A long of 2 units, won; a short of 4 units, lost to a stop; a long of 5 units, still open.
FILLS = [
    (1, Side.BUY, 2.0, 100.0, 1.0, FillReason.SIGNAL),
    (3, Side.SELL, 2.0, 110.0, 2.0, FillReason.TAKE_PROFIT),
    (3, Side.SELL, 4.0, 50.0, 0.5, FillReason.SIGNAL),
    (8, Side.BUY, 4.0, 60.0, 0.25, FillReason.STOP_LOSS),
    (8, Side.BUY, 5.0, 20.0, 3.0, FillReason.SIGNAL),
]


def fills_of(rows: list[tuple[int, Side, float, float, float, FillReason]]) -> NDArray[np.void]:
    """Return fills of which each second one closes a position."""
    return np.array(
        [(bar, TIMES_MS[bar], *rest, place // 2, 0.0, 0.0) for place, (bar, *rest) in enumerate(rows)], dtype=FILL_DTYPE
    )


def test_trades_by_hand() -> None:
    fills = fills_of(FILLS)
    fills["funding"][3] = 1.5
    trades = pair_trades(fills, TIMES_MS, 25.0, open_funding=-0.25)
    columns = {name: trades[name].tolist() for name in trades.dtype.names}
    assert columns == {
        "direction": [1, -1, 1],
        "quantity": [2.0, 4.0, 5.0],
        "entry_bar": [1, 3, 8],
        "entry_time_ms": [HOUR_MS, 3 * HOUR_MS, 8 * HOUR_MS],
        "entry_price": [100.0, 50.0, 20.0],
        "entry_fee": [1.0, 0.5, 3.0],
        "exit_bar": [3, 8, 9],
        "exit_time_ms": [3 * HOUR_MS, 8 * HOUR_MS, 9 * HOUR_MS],
        "exit_price": [110.0, 60.0, 25.0],
        "exit_fee": [2.0, 0.25, 0.0],
        # 2 × 10 − 3; 4 × −10 − 0.75 − 1.5; 5 × 5 − 3 + 0.25.
        "profit": [17.0, -42.25, 22.25],
        "return": [17 / 200, -42.25 / 200, 22.25 / 100],
        "bars_held": [2, 5, 1],
        "is_open": [False, False, True],
        "exit_reason": [FillReason.TAKE_PROFIT, FillReason.STOP_LOSS, -1],
        "funding": [0.0, 1.5, -0.25],
    }


def test_closed_trades_leave_none_open() -> None:
    trades = pair_trades(fills_of(FILLS[:4]), TIMES_MS, 25.0)
    assert trades["is_open"].tolist() == [False, False]
    assert trades["exit_price"].tolist() == [110.0, 60.0]


# Longs of 2 and 1 units, of which 1 and 2 are sold; a short of 1 and 3 units, of which 2 are bought back.
LADDER = [
    (1, Side.BUY, 2.0, 100.0, 1.0, FillReason.SIGNAL, 0),
    (2, Side.SELL, 1.0, 130.0, 0.5, FillReason.TAKE_PROFIT, 0),
    (3, Side.BUY, 1.0, 70.0, 0.25, FillReason.ADD_LIMIT, 0),
    (4, Side.SELL, 2.0, 85.0, 2.0, FillReason.STOP_LOSS, 0),
    (5, Side.SELL, 1.0, 40.0, 0.0, FillReason.LIMIT, 1),
    (6, Side.SELL, 3.0, 48.0, 3.0, FillReason.ADD_STOP, 1),
    (7, Side.BUY, 2.0, 30.0, 0.5, FillReason.TAKE_PROFIT, 1),
]


def ladder_of(rows: list[tuple[int, Side, float, float, float, FillReason, int]]) -> NDArray[np.void]:
    """Return fills before each of which, but for the first of a trade, the position has paid 0.5 in funding."""
    trades = [row[-1] for row in rows]
    paid = [0.0 if place == 0 or trade != trades[place - 1] else 0.5 for place, trade in enumerate(trades)]
    columns = ((bar, TIMES_MS[bar], *rest, funding, 0.0) for (bar, *rest), funding in zip(rows, paid, strict=True))
    return np.array(list(columns), dtype=FILL_DTYPE)


def test_several_fills_are_one_trade() -> None:
    trades = pair_trades(ladder_of(LADDER), TIMES_MS, 25.0, open_funding=0.25)
    columns = {name: trades[name].tolist() for name in trades.dtype.names}
    assert columns == {
        "direction": [1, -1],
        "quantity": [3.0, 4.0],
        "entry_bar": [1, 5],
        "entry_time_ms": [HOUR_MS, 5 * HOUR_MS],
        # 270 ÷ 3 and 184 ÷ 4.
        "entry_price": [90.0, 46.0],
        "entry_fee": [1.25, 3.0],
        "exit_bar": [4, 9],
        "exit_time_ms": [4 * HOUR_MS, 9 * HOUR_MS],
        # 300 ÷ 3; 60, and what is left at 25: 110 ÷ 4.
        "exit_price": [100.0, 27.5],
        "exit_fee": [2.5, 0.5],
        # 3 × 0.5; 2 × 0.5 + 0.25.
        "funding": [1.5, 1.25],
        # 300 − 270 − 3.75 − 1.5; 184 − 110 − 3.5 − 1.25.
        "profit": [24.75, 69.25],
        "return": [24.75 / 270, 69.25 / 184],
        "bars_held": [3, 4],
        "is_open": [False, True],
        "exit_reason": [FillReason.STOP_LOSS, -1],
    }


@pytest.mark.parametrize("fills", [[LADDER[0], LADDER[4]], [*LADDER[:3], LADDER[4], LADDER[3]]])
def test_trade_that_does_not_end_flat_is_rejected(fills: list[tuple[object, ...]]) -> None:
    with pytest.raises(ValueError, match="does not end flat"):
        pair_trades(ladder_of(fills), TIMES_MS, 25.0)


def test_scattered_fills_of_a_trade_are_rejected() -> None:
    with pytest.raises(ValueError, match="not side by side"):
        pair_trades(ladder_of([*LADDER, LADDER[3]]), TIMES_MS, 25.0)


def test_entry_worth_nothing_has_no_return() -> None:
    trades = pair_trades(fills_of([(0, Side.BUY, 1.0, 0.0, 0.0, FillReason.SIGNAL)]), TIMES_MS, 25.0)
    assert (trades["profit"][0], trades["return"][0]) == (25.0, 0.0)


def test_balance_stays_until_the_next_fill() -> None:
    balances = carry_forward(np.array([5.0, 7.0, 9.0]), np.array([1, 3, 3]), 2.0, 5)
    assert balances.tolist() == [2.0, 5.0, 5.0, 9.0, 9.0]
    assert carry_forward(np.empty(0), np.empty(0, dtype=np.int64), 2.0, 3).tolist() == [2.0, 2.0, 2.0]


def test_cash_after_each_fill_by_hand() -> None:
    fills = fills_of(FILLS)
    cash = cash_after_fills(1000.0, fills["side"], fills["quantity"], fills["price"], fills["fee"])
    # − 201, + 218, + 199.5, − 240.25, − 103.
    assert cash.tolist() == [799.0, 1017.0, 1216.5, 976.25, 873.25]
