"""Check the chains of the ledgers of trials, also while a service runs: `run.py ledger`.

It prints one line per ledger, with the first fault of its chain. With `--head` it searches for the head of a receipt: a
store whose heads were all recomputed has no fault, but lacks the heads of earlier receipts.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from src.domain.error_text import quote
from src.domain.errors import StoreUnavailable
from src.ports.stores import TrialLedger
from src.service.ledger_check import LedgerFinding, check_ledger
from src.settings import Settings, SettingsError, read_settings
from src.wiring.stores import RESULTS_FILE, build_ledger_reader

_REPORT_EVERY_S: Final = 2.0
_HEAD: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(kw_only=True)
class Totals:
    """The totals of all ledgers."""

    ledgers: int = 0
    trials: int = 0
    faults: int = 0
    reduced: int = 0
    heads: int = 0


class LedgerCommand:
    """Walks ledgers and prints what it finds on standard output, and its progress on standard error."""

    def __init__(self, ledger: TrialLedger, *, user_id: str | None, head: str | None) -> None:
        self._ledger = ledger
        self._user_id, self._head = user_id, head
        self._said_s = time.monotonic()
        self.totals = Totals()

    async def run(self) -> int:
        """Walk all ledgers; return 0 if none has a fault, and the given user and head were found; else 1.

        Raises StoreUnavailable if the store does not respond.
        """
        name: tuple[str, str] | None = None
        while name := await self._ledger.next_ledger(name, user_id=self._user_id):
            await self._check(*name)
        totals = self.totals
        counts = (_count(totals.ledgers, "ledger"), _count(totals.trials, "trial"))
        print(f"{', '.join(counts)}, {totals.faults:,} with a fault")
        folded = await self._ledger.count_folded(user_id=self._user_id)
        if folded.markets:
            whose = "of this user" if self._user_id is not None else "of all users"
            print(f"removed at the limits {whose}: {_count(folded.markets, 'market')}, {_count(folded.runs, 'trial')}")
        is_missing = self._user_id is not None and not totals.ledgers
        if is_missing:
            print(f"{quote(self._user_id or '')} has no ledger: no trial of this user was counted, or all were removed")
        if self._head is not None and not totals.heads:
            rest = "; a ledger with a fault may lack links" if totals.faults else ""
            rest += "; a reduced ledger lacks those of its reduced trials" if totals.reduced else ""
            print(f"head {self._head}: in none of these ledgers{rest}")
        return int(totals.faults > 0 or is_missing or (self._head is not None and not totals.heads))

    async def _check(self, user_id: str, symbol: str) -> None:
        title = f"{quote(user_id)} on {quote(symbol)}"
        self.totals.ledgers += 1
        try:
            found = await check_ledger(
                self._ledger,
                user_id=user_id,
                symbol=symbol,
                head=self._head,
                report=lambda done, total: self._show_progress(title, done, total),
            )
        except StoreUnavailable as error:
            if error.retry_after_s is not None:  # the store does not respond; it is not this ledger's fault
                raise
            self.totals.faults += 1
            print(f"{title}: FAULT: {error}")
            return
        self._print(title, found)

    def _print(self, title: str, found: LedgerFinding) -> None:
        self.totals.trials += found.runs
        self.totals.faults += found.fault is not None
        self.totals.reduced += found.reduced_runs
        before = f", {_count(found.unlinked_runs, 'trial')} before links were kept" if found.unlinked_runs else ""
        before += f", {_count(found.reduced_runs, 'trial')} reduced to sums" if found.reduced_runs else ""
        print(
            f"{title}: {_count(found.runs, 'trial')}{before}: {f'FAULT: {found.fault}' if found.fault else 'no fault'}"
        )
        if found.head_after is not None:
            self.totals.heads += 1
            print(f"head {self._head}: in the ledger of {title}, after {_count(found.head_after, 'trial')}")

    def _show_progress(self, title: str, done: int, total: int) -> None:
        if time.monotonic() - self._said_s >= _REPORT_EVERY_S:
            self._said_s = time.monotonic()
            print(f"[ledger] {title}: {done:,} of {total:,} trials", file=sys.stderr, flush=True)


async def check_ledgers(settings: Settings, *, user_id: str | None, head: str | None) -> int:
    """Check the ledgers of the store that the settings name; see `LedgerCommand.run`."""
    ledger, close = build_ledger_reader(settings)
    try:
        return await LedgerCommand(ledger, user_id=user_id, head=head).run()
    finally:
        await close()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def read_head(text: str) -> str:
    """Return a head in lower case; raises ArgumentTypeError if the text is not a head."""
    if not _HEAD.fullmatch(text.strip().lower()):
        raise argparse.ArgumentTypeError(f"{quote(text)} is no head of a receipt. Allowed: 64 hexadecimal digits.")
    return text.strip().lower()


def main(words: Sequence[str]) -> int:
    """Run the command; return 0 if no fault is found, 1 if one is, 2 if the ledgers cannot be read."""
    parser = argparse.ArgumentParser(prog="run.py ledger", description="Check the chains of the ledgers of trials.")
    parser.add_argument("--user", metavar="ID", help="check this user's ledgers only")
    parser.add_argument("--head", metavar="HEX", type=read_head, help="find head_before or head_after of a receipt")
    options = parser.parse_args(words)
    try:
        settings = read_settings()
        if settings.mongodb_uri is None and not (file := settings.storage_dir.resolve() / RESULTS_FILE).exists():
            print(f"[ledger] {file} is not there: no ledger to check.", file=sys.stderr)
            return 2
        return asyncio.run(check_ledgers(settings, user_id=options.user, head=options.head))
    except (SettingsError, StoreUnavailable) as error:
        print(f"[ledger] {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
