"""Compute one row's returns and exposure bar by bar, and from them the inputs of the ledger and of overfitting.

Both equal those of a single run to the last bit, because the same run alone must have the same entry in the ledger.
They are computed from cash + position × close, in the order of `metrics.returns` and `judgement.trial_ledger`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.engines.compiled import compiled_arithmetic
from src.judgement.trial_directions import sum_pairwise
from src.metrics.returns import ROUNDING
from src.sweeps.market_arrays import RETURN, SQUARE, MarketArrays
from src.sweeps.path_sums import to_return

Floats = NDArray[np.float64]


@compiled_arithmetic
def write_returns(close: Floats, initial_cash: float, balances: NDArray[np.void], count: int, returns: Floats) -> bool:
    """Write the return of each bar [n]; return whether all positions are long and without cash beside them."""
    n = close.size
    returns[:] = 0.0
    cash, position, is_plain = initial_cash, 0.0, True
    for number in range(count):
        balance = balances[number]
        first = balance.bar
        stop = balances[number + 1].bar if number + 1 < count else n
        before = initial_cash if first == 0 else cash + position * close[first - 1]
        cash, position = balance.cash, balance.position
        value = cash + position * close[first]
        returns[first] = to_return(value, before)
        if position == 0.0:
            continue
        if cash == 0.0 and position > 0.0:
            # Slices that start at 0 tell the compiler that no index is negative, so it vectorizes.
            held, written = close[first:stop], returns[first + 1 : stop]
            for t in range(written.size):
                was = position * held[t]
                change = position * held[t + 1] - was
                written[t] = 0.0 if abs(change) <= ROUNDING * was else change / was
        else:
            is_plain = False
            for t in range(first + 1, stop):
                before, value = value, cash + position * close[t]
                returns[t] = to_return(value, before)
    return is_plain


@compiled_arithmetic
def write_exposure(
    close: Floats, balances: NDArray[np.void], count: int, is_filled_at_close: bool, held: Floats
) -> None:
    """Write the signed fraction of equity that is held over each bar [n], as `judgement.timing.hold_exposure` does."""
    n = close.size
    held[:] = 0.0
    shift = 1 if is_filled_at_close else 0
    for number in range(count):
        balance = balances[number]
        stop = balances[number + 1].bar if number + 1 < count else n
        if balance.position == 0.0:
            continue
        for t in range(balance.bar, min(stop, n - shift)):
            value = balance.position * close[t]
            equity = balance.cash + value
            held[t + shift] = value / equity if equity > 0.0 else 0.0


@compiled_arithmetic
def average_exposure(
    close: Floats,
    balances: NDArray[np.void],
    count: int,
    is_filled_at_close: bool,
    is_plain: bool,
    exposed_bars: int,
    held: Floats,
) -> float:
    """Return the mean of `write_exposure` over all bars.

    `held` [n] is scratch. If `is_plain`, each bar with a position counts as 1.
    """
    n = close.size
    if is_plain:
        ends_held = count > 0 and balances[count - 1].position != 0.0
        return (exposed_bars - (1 if is_filled_at_close and ends_held else 0)) / n
    write_exposure(close, balances, count, is_filled_at_close, held)
    return float(sum_pairwise(held) / n)


@compiled_arithmetic
def write_slot_returns(market: MarketArrays, returns: Floats, exposure: float, total: Floats, active: Floats) -> None:
    """Compound the returns [n] in each slot [d]: in total, and minus the market's returns times the mean exposure."""
    firsts, of_market = market.firsts, market.market
    if total.size == returns.size:
        for t in range(returns.size):
            total[t] = (1.0 + returns[t]) - 1.0
            active[t] = (1.0 + (returns[t] - exposure * of_market[t])) - 1.0
        return
    slot = 0
    while slot < total.size:
        first, stop = firsts[slot], firsts[slot + 1]
        own, market_own = returns[first:stop], of_market[first:stop]
        growth, active_growth = 1.0, 1.0
        if slot + 2 <= total.size and firsts[slot + 2] - stop == stop - first:
            # Two slots at once, because each product depends on the one before.
            other, market_other = returns[stop : 2 * stop - first], of_market[stop : 2 * stop - first]
            next_growth, next_active = 1.0, 1.0
            for t in range(own.size):
                growth *= 1.0 + own[t]
                next_growth *= 1.0 + other[t]
                active_growth *= 1.0 + (own[t] - exposure * market_own[t])
                next_active *= 1.0 + (other[t] - exposure * market_other[t])
            total[slot + 1], active[slot + 1] = next_growth - 1.0, next_active - 1.0
            step = 2
        else:
            for t in range(own.size):
                growth *= 1.0 + own[t]
                active_growth *= 1.0 + (own[t] - exposure * market_own[t])
            step = 1
        total[slot], active[slot] = growth - 1.0, active_growth - 1.0
        slot += step


@compiled_arithmetic
def write_plain_blocks(
    market: MarketArrays,
    initial_cash: float,
    balances: NDArray[np.void],
    count: int,
    block_sums: Floats,
    block_squares: Floats,
) -> None:
    """Do the same as `write_blocks` from sums over all bars, for long positions without cash beside them."""
    close, sums, length = market.close, market.sums, market.block_bars
    n, blocks = close.size, block_sums.size
    block_sums[:] = 0.0
    block_squares[:] = 0.0
    cash, position = initial_cash, 0.0
    for number in range(count):
        balance = balances[number]
        t = balance.bar
        last = (balances[number + 1].bar if number + 1 < count else n) - 1
        before = initial_cash if t == 0 else cash + position * close[t - 1]
        cash, position = balance.cash, balance.position
        if t >= blocks * length:
            break
        one = to_return(cash + position * close[t], before)
        block_sums[t // length] += one
        block_squares[t // length] += one * one
        while position != 0.0 and t < last:
            block = (t + 1) // length
            if block >= blocks:
                break
            end = min(last, (block + 1) * length - 1)
            block_sums[block] += sums[end, RETURN] - sums[t, RETURN]
            block_squares[block] += sums[end, SQUARE] - sums[t, SQUARE]
            t = end


@compiled_arithmetic
def write_blocks(returns: Floats, length: int, block_sums: Floats, block_squares: Floats) -> None:
    """Write the sums [S] of the returns, and of their squares, in S blocks of `length` bars from the first bar on."""
    for block in range(block_sums.size):
        total, squares = 0.0, 0.0
        for one in returns[block * length : (block + 1) * length]:
            total += one
            squares += one * one
        block_sums[block], block_squares[block] = total, squares
