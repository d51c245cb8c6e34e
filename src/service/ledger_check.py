"""Walk the chain of a ledger of trials, while others may count trials in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from src.domain.chain_links import LOWEST_NUMBER, ChainLink
from src.domain.trial_chain import ChainCheck
from src.domain.trial_states import TrialLedgerState
from src.ports.stores import TrialLedger

PAGE_LINKS: Final = 1000
MAX_WALKS: Final = 3
"""A fault is reported after this number of walks even if trials were counted during each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFinding:
    """What a walk found: `runs` counted, the first `unlinked_runs` of them before links were kept.

    Of the first `reduced_runs` only sums are kept, so that they have no links and heads either. `fault` is the first
    fault, None if there is none. `head_after` is the number of runs after which the ledger had the searched head; None
    if it never had.
    """

    runs: int
    unlinked_runs: int
    reduced_runs: int
    fault: str | None
    head_after: int | None


async def check_ledger(
    ledger: TrialLedger,
    *,
    user_id: str,
    symbol: str,
    head: str | None = None,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> LedgerFinding:
    """Walk one ledger up to the state that it has now, and look for a head in it.

    Parameters
    ----------
    report
        Called with the number of runs walked and the number of all.

    Raises StoreUnavailable if the ledger cannot be read.
    """
    walk = _Walk(ledger, user_id, symbol, head, report)
    finding, state = await walk.run()
    for _ in range(1, MAX_WALKS):
        if finding.fault is None or await walk.read_state() == state:
            break
        finding, state = await walk.run()
    return finding


class _Walk:
    def __init__(
        self, ledger: TrialLedger, user_id: str, symbol: str, head: str | None, report: Callable[[int, int], None]
    ) -> None:
        self._ledger = ledger
        self._user_id, self._symbol = user_id, symbol
        self._wanted, self._report = head, report

    async def read_state(self) -> TrialLedgerState:
        return await self._ledger.state(user_id=self._user_id, symbol=self._symbol)

    async def run(self) -> tuple[LedgerFinding, TrialLedgerState]:
        """Walk once; return what was found, and the state that was read first."""
        state = await self.read_state()
        check = ChainCheck(state)
        is_first = bool(state.linkless_runs) and state.first_head == self._wanted
        head_after = state.linkless_runs if is_first else None
        last: ChainLink | None = None
        done = 0
        while page := await self._read_after(last, is_checking=check.fault is None):
            within = [link for link in page if not _is_over(link, state.runs)]
            for link in within:
                check.add(link)
                head_after = _last_run(link) if link.head == self._wanted else head_after
            last, done = page[-1], done + len(within)
            self._report(done, state.runs)
            if len(within) < len(page):
                await self._compare_later(check, page[len(within)])
                break
            if check.fault is not None and (self._wanted is None or not isinstance(last.number, int)):
                break
        unlinked = await self._ledger.count_unlinked(user_id=self._user_id, symbol=self._symbol)
        fault = check.finish() or _find_fault_of_count(unlinked, state)
        if fault is None and unlinked and await self._ledger.keeps_all_links():
            fault = (
                f"trials without a link: {unlinked}, although this store has kept links from its first trial on; they "
                "have lost their links, or were added"
            )
        runs, before = (unlinked, unlinked) if state.is_unnumbered else (state.runs, state.unlinked_runs)
        if head_after is None and state.head and state.head == self._wanted:
            head_after = runs
        finding = LedgerFinding(
            runs=runs, unlinked_runs=before, reduced_runs=state.reduced_runs, fault=fault, head_after=head_after
        )
        return finding, state

    async def _read_after(self, last: ChainLink | None, *, is_checking: bool) -> list[ChainLink]:
        """Return the next links; while no fault is found, those with the last number again, to find duplicates."""
        after = LOWEST_NUMBER if last is None else last.number - is_checking
        page = await self._ledger.links(user_id=self._user_id, symbol=self._symbol, after=after, limit=PAGE_LINKS)
        return [link for link in page if link != last]

    async def _compare_later(self, check: ChainCheck, link: ChainLink) -> None:
        """Compare a link that is over the runs of the state; a trial that was counted meanwhile has such a link too."""
        if _is_over(link, (await self.read_state()).runs):
            check.add(link)


def _is_over(link: ChainLink, runs: int) -> bool:
    return isinstance(link.number, int) and link.number > runs


def _last_run(link: ChainLink) -> int:
    """Return the number of the last run that a link counts; a damaged one has other types than declared."""
    return link.number + link.runs - 1 if isinstance(link.runs, int) and link.runs > 1 else link.number


def _find_fault_of_count(unlinked: int, state: TrialLedgerState) -> str | None:
    if unlinked == state.unlinked_runs or state.is_unnumbered:
        return None
    return (
        f"trials without a link: {unlinked}, not {state.unlinked_runs} as counted before links were kept; trials were "
        "added or removed, or have lost their links"
    )
