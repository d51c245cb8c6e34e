"""Read the fields of a stored ledger, which may have been damaged in the store."""

from __future__ import annotations

from typing import Any, Final

from src.domain.errors import StoreUnavailable
from src.domain.market import SIMULATED
from src.domain.trial_states import TrialLedgerState
from src.domain.trials import TrialSums


def read_state(
    *,
    total: Any,
    active: Any,
    head: Any,
    runs: Any,
    unlinked_runs: Any,
    first_head: Any,
    reduced_runs: Any,
    missing_runs: Any,
) -> TrialLedgerState:
    """Return a ledger's state; raises StoreUnavailable, which names the field, if it is damaged."""
    for name, value, kind in (
        ("total", total, bytes),
        ("active", active, bytes),
        ("head", head, str),
        ("runs", runs, int),
        ("unlinked_runs", unlinked_runs, int),
        ("first_head", first_head, str),
        ("reduced_runs", reduced_runs, int),
        ("missing_runs", missing_runs, int),
    ):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise unreadable(f"{name} is of the type {type(value).__name__}.")
    try:
        sums = (TrialSums.from_bytes(total), TrialSums.from_bytes(active))
    except ValueError as error:
        raise unreadable(str(error)) from error
    return TrialLedgerState(
        total=sums[0],
        active=sums[1],
        head=head,
        runs=runs,
        unlinked_runs=unlinked_runs,
        first_head=first_head,
        reduced_runs=reduced_runs,
        missing_runs=missing_runs,
    )


FULL: Final = 0
"""The rank of a ledger that keeps more than sums. Ledgers shrink in the order of their ranks."""
REDUCED_SIMULATED: Final = 1
REDUCED: Final = 2


def rank_of(state: TrialLedgerState, symbol: str) -> int:
    """Return the rank of a ledger: a reduced one of a simulated market is folded before one of a real market."""
    if not state.is_reduced:
        return FULL
    return REDUCED_SIMULATED if is_simulated(symbol) else REDUCED


def is_simulated(symbol: str) -> bool:
    """Return whether a ledger's market is one of simulated prices, as `BTCUSDT (simulated (seed 7))`."""
    return f"({SIMULATED}" in symbol


def unreadable(reason: str) -> StoreUnavailable:
    """Build the error for a ledger that cannot be read."""
    return StoreUnavailable("The ledger of trials cannot be read: {reason}", reason=reason)
