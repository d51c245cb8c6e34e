"""Count trials in a ledger, and check its chain."""

from __future__ import annotations

import numpy as np

from src.domain.trials import LedgerEntry, Trial
from src.ports.stores import TrialLedger
from src.service.ledger_check import check_ledger
from tests.trial_batches import make_batch

NAME = "ann\nBTCUSDT"
ZEROS = "0" * 64


def entry(number: int) -> LedgerEntry:
    trial = Trial(slots=np.array([0, 4]), directions=np.array([number, 3]), t=number)
    return LedgerEntry(key=f"key-{number}", total=trial, active=None)


async def count(ledger: TrialLedger, *numbers: int) -> None:
    for number in numbers:
        await ledger.record(entry(number), user_id="ann", symbol="BTCUSDT")


async def count_batch(ledger: TrialLedger) -> None:
    """Count a batch of four runs, and one more run."""
    await ledger.record_batch(make_batch(range(4)), user_id="ann", symbol="BTCUSDT")
    await count(ledger, 99)


async def fault_of(ledger: TrialLedger) -> str | None:
    return (await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")).fault


BATCH = "link 6 (runs 6 to 9) does not follow the head before it: "
