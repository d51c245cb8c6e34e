"""Derive trades and balances from fills, for both engines."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.errors import InvalidInput
from src.domain.simulation import MAX_EQUITY, TRADE_DTYPE
from src.engines.account import ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE


def pair_trades(
    fills: NDArray[np.void], time_ms: NDArray[np.int64], last_close: float, *, open_funding: float = 0.0
) -> NDArray[np.void]:
    """Pair entries with exits.

    An engine holds one position at a time. The fills from flat to flat are one trade, and carry its number: its entries
    have the side of its first fill, its exits the other one. What is left of the last position is marked at
    `last_close` (see `TRADE_DTYPE`).

    Parameters
    ----------
    fills
        [f] of `FILL_DTYPE`, in the order of execution.
    time_ms
        [n] open times of the bars.
    open_funding
        What an open position has paid in funding.

    Returns
    -------
    NDArray
        [t] of `TRADE_DTYPE`, in the order of entry.
    """
    # Columns of their own are read ten times as fast as those of the records.
    numbers, side, units, price, fee = (fills[name].copy() for name in ("trade", "side", "quantity", "price", "fee"))
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    lasts = np.append(firsts[1:], len(fills)) - 1
    count = len(firsts)
    if not np.array_equal(numbers[firsts], np.arange(count)):
        raise ValueError("the fills of a trade are not side by side")
    trades = np.zeros(count, dtype=TRADE_DTYPE)
    if not count:
        return trades

    def add_up(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add amounts [f] up by trade, in the order of the fills."""
        return np.bincount(numbers, weights=amounts, minlength=count).astype(np.float64)

    # Summed as the engines do, so that flat is exactly 0.
    left = np.abs(add_up(side * units))
    if left[:-1].any():
        raise ValueError("a trade before the last one does not end flat")
    trades["direction"] = side[firsts]
    is_entry = side == side[firsts][numbers]
    values = {}
    for kind, is_own, ends in (("entry", is_entry, firsts), ("exit", ~is_entry, lasts)):
        traded, values[kind] = add_up(np.where(is_own, units, 0.0)), add_up(np.where(is_own, price * units, 0.0))
        mean = np.divide(values[kind], traded, out=np.zeros(count), where=traded > 0)
        # The price itself of a single fill, not its value ÷ its units.
        trades[f"{kind}_price"] = np.where(add_up(is_own) == 1, price[ends], mean)
        trades[f"{kind}_fee"] = add_up(np.where(is_own, fee, 0.0))
        for column in ("bar", "time_ms"):
            trades[f"{kind}_{column}"] = fills[column][ends]
        if kind == "entry":
            trades["quantity"] = traded
    trades["exit_reason"] = fills["reason"][lasts]
    trades["funding"] = add_up(fills["funding"])
    if left[-1]:
        has_exits = values["exit"][-1] > 0
        values["exit"][-1] += left[-1] * last_close
        trades["is_open"][-1] = True
        trades["exit_reason"][-1] = -1
        trades["exit_bar"][-1] = len(time_ms) - 1
        trades["exit_time_ms"][-1] = time_ms[-1]
        trades["exit_price"][-1] = values["exit"][-1] / trades["quantity"][-1] if has_exits else last_close
        trades["funding"][-1] += open_funding
    fees = trades["entry_fee"] + trades["exit_fee"]
    trades["profit"] = (values["exit"] - values["entry"]) * trades["direction"] - fees - trades["funding"]
    np.divide(trades["profit"], values["entry"], out=trades["return"], where=values["entry"] > 0)
    trades["bars_held"] = trades["exit_bar"] - trades["entry_bar"]
    return trades


def check_growth(balances: NDArray[np.float64]) -> None:
    """Raise InvalidInput if one of `balances` [n], cash or equity, is more than `MAX_EQUITY` or not a number."""
    # The maximum of an array with NaN is NaN, which fails every comparison.
    if not balances.max(initial=0.0) <= MAX_EQUITY:
        raise unbounded_growth()


def unbounded_growth() -> InvalidInput:
    """Return the error of a run whose equity grows beyond `MAX_EQUITY`."""
    return InvalidInput(
        "The equity grows beyond {most:g}. Trade a {field} or fewer bars; only a strategy that reads the future, or "
        "made-up bars, can gain so much.",
        field="fixedSize",
        most=MAX_EQUITY,
    )


def carry_forward(values: NDArray[np.float64], bars: NDArray[np.int64], start: float, n: int) -> NDArray[np.float64]:
    """Return the balance at each bar from the balance after each fill.

    Parameters
    ----------
    values
        [f] the balance after each fill.
    bars
        [f] each fill's bar, ascending; of several fills at one bar the last one counts.
    start
        The balance before the first fill.
    n
        The number of bars.

    Returns
    -------
    NDArray
        [n] the balance at each bar's close.
    """
    lengths = np.diff(bars, prepend=0, append=n)
    return np.repeat(np.concatenate(([start], values)), lengths)


@njit(cache=True, nogil=True)
def _subtract(amount: float, spent: float) -> float:
    """Do the same as `account.subtract`; numba's cache on disk would miss changes of that function."""
    left = amount - spent
    noise = max(RELATIVE_TOLERANCE * max(abs(amount), abs(spent)), ABSOLUTE_TOLERANCE)
    return 0.0 if abs(left) <= noise else left


@njit(cache=True, nogil=True)
def cash_after_fills(
    initial_cash: float,
    side: NDArray[np.int8],
    quantity: NDArray[np.float64],
    price: NDArray[np.float64],
    fee: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the cash [f] that each of f fills leaves, in the quote currency.

    A purchase that spends all cash leaves exactly 0, not the rounding error of quantity × price + fee.
    """
    cash = np.empty(side.size)
    balance = initial_cash
    for index in range(side.size):
        value = quantity[index] * price[index]
        if side[index] > 0:
            balance = _subtract(balance, value + fee[index])
        else:
            balance += _subtract(value, fee[index])
        cash[index] = balance
    return cash
