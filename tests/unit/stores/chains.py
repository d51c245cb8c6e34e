"""Count trials in a ledger, and check its chain."""

from __future__ import annotations

import numpy as np

from src.domain.trials import LedgerEntry, Trial
from src.ports.stores import TrialLedger
from src.service.ledger_check import check_ledger

ZEROS = "0" * 64


def entry(number: int) -> LedgerEntry:
    trial = Trial(slots=np.array([0, 4]), directions=np.array([number, 3]), t=number)
    return LedgerEntry(key=f"key-{number}", total=trial, active=None)


async def count(ledger: TrialLedger, *numbers: int) -> None:
    for number in numbers:
        await ledger.record(entry(number), user_id="ann", symbol="BTCUSDT")


async def fault_of(ledger: TrialLedger) -> str | None:
    return (await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")).fault
