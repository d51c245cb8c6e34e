"""Stores of model files, results and the ledger of trials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from src.domain.chain_links import ChainLink
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.runs import BacktestResult, ResultPage, ResultSummary, StoreUsage
from src.domain.trial_states import FoldedLedgers, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch
from src.domain.user_usage import UserUsage


class ModelFileStore(Protocol):
    """Stores users' model files, each user's in a folder that no name can escape."""

    async def receive(
        self,
        *,
        user_id: str,
        original_filename: str,
        model_name: str | None,
        chunks: AsyncIterator[bytes],
        is_for_keeping: bool = False,
    ) -> ModelFile:
        """Stream an upload to disk and return it, temporary; if this raises or is cancelled, nothing stays behind.

        Parameters
        ----------
        is_for_keeping
            Whether it will be stored, so that a user without free quota is refused before the upload.

        `original_filename` is empty if the client sent none; the content then decides the format.

        Raises
        ------
        InvalidInput, UnsupportedFormat, TooLarge, Conflict (too many files), StoreUnavailable
        """
        ...

    async def keep(self, file: ModelFile, description: ModelDescription | None = None) -> ModelFile:
        """Store a temporary file with its training window and what the sandbox found in it.

        No other request sees it before that.

        Once this returns, the file survives a crash of the machine; if it raises or is cancelled, nothing is stored.

        Raises
        ------
        Conflict (too many files), ModelNotFound, StoreUnavailable
        """
        ...

    async def list(self, user_id: str) -> Sequence[ModelFile]:
        """Return a user's files, newest first."""
        ...

    async def get(self, user_id: str, reference: str) -> ModelFile:
        """Return a file by its name, or by its relative or absolute path; raises ModelNotFound."""
        ...

    async def delete(self, file: ModelFile) -> None:
        """Remove a file and its description; raises ModelNotFound, but not for a temporary file."""
        ...

    async def remove_leftovers(self) -> int:
        """Remove the files of unfinished uploads; return how many."""
        ...


class ResultStore(Protocol):
    """Stores results."""

    async def save(self, result: BacktestResult) -> None:
        """Store a result; once this returns, it survives a crash of the process.

        If the user then has more than the store's quota, the user's oldest results are deleted.

        Raises
        ------
        Conflict
            If a result of that id is stored already.
        TooLarge
            If the result alone takes more than the user's quota.
        StoreUnavailable
            From this and every other method, if the store cannot be read or written.
        """
        ...

    async def get(self, result_id: str) -> BacktestResult:
        """Raises ResultNotFound."""
        ...

    async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        """Return them in the requested order; raises ResultNotFound naming the first that is missing."""
        ...

    async def list(self, *, user_id: str | None, symbol: str | None, first: int, after: str | None) -> ResultPage:
        """Return a page, newest first; a result that cannot be read is left out, and the page has a warning about it.

        `first` is 1…100 and `after` a `next_cursor`; InvalidInput on that field otherwise. Saves and deletes between
        two pages neither repeat nor skip another result.
        """
        ...

    async def owner(self, result_id: str) -> str:
        """Return the user whose result it is, even if the result itself cannot be read; raises ResultNotFound."""
        ...

    async def delete(self, result_id: str) -> None:
        """Delete a result, even if it cannot be read or the disk is full; raises ResultNotFound."""
        ...

    async def delete_older(self, created_before_ms: int) -> int:
        """Delete the results of all users created before a time; return how many."""
        ...

    async def usage(self) -> StoreUsage: ...

    async def is_reachable(self) -> bool: ...

    async def close(self) -> None: ...


class UserRecords(Protocol):
    """What the stores of results, jobs and trials hold of each user, even if it cannot be read."""

    async def usage(self, user_id: str | None = None) -> Mapping[str, UserUsage]:
        """Return what is stored of each user that has something, or of this one only."""
        ...

    async def result_ids(self, user_id: str) -> Sequence[str]: ...

    async def job_ids(self, user_id: str) -> Sequence[str]: ...

    async def forget(self, user_id: str) -> None:
        """Delete the user's ledgers of trials, and the user's turn among those who wait for jobs."""
        ...


class UserFiles(Protocol):
    """Users' files of one kind: one folder for each user."""

    async def usage(self, user_id: str | None = None) -> Mapping[str, tuple[int, int]]:
        """Return the number of files and their bytes, by user, or of this one only."""
        ...

    async def delete(self, user_id: str) -> int:
        """Delete a user's folder and all in it; return the number of files."""
        ...


class TrialLedger(Protocol):
    """Counts the runs of each user on each symbol; deleting a result removes nothing from it.

    A bounded store reduces the ledgers that have been without a new run for longest to their sums, and then removes
    them: `TrialLedgerState.reduced_runs` and `missing_runs` count such runs.
    """

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        """Count a run once, even with concurrent writers; once this returns, it survives a crash.

        An entry whose key is counted already changes nothing. The sums do not depend on the order of entries. Raises
        StoreUnavailable, as `state` does.
        """
        ...

    async def record_batch(self, batch: TrialBatch, *, user_id: str, symbol: str) -> LedgerUpdate:
        """Count many runs at once, each once; the sums equal those of `record` for each run, in any order.

        Runs that are counted already change nothing, and of equal keys in the batch the first is counted. The new runs
        share one link of the chain; a crash counts all of them or none. Once this returns, it survives a crash.
        """
        ...

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        """Return what is counted; an empty state for an unknown user or symbol."""
        ...

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        """Return at most `limit` links with numbers over `after`, in rising order; none after the last.

        There is one for each run, also for runs that share the link of their batch (`ChainLink.runs`). A link that was
        damaged in the store has fields of other types than declared, None if they are missing.
        """
        ...

    async def count_unlinked(self, *, user_id: str, symbol: str) -> int:
        """Return how many counted trials `links` never returns: those from before links were kept, or added by hand."""
        ...

    async def keeps_all_links(self) -> bool:
        """Return whether the store has kept a link of every trial from its first one on; False if it cannot tell."""
        ...

    async def count_folded(self, *, user_id: str | None) -> FoldedLedgers:
        """Return what was removed at a user's own limit; with None, at any limit, also that of all users."""
        ...

    async def next_ledger(self, after: tuple[str, str] | None, *, user_id: str | None) -> tuple[str, str] | None:
        """Return the user and symbol of the next ledger, None after the last.

        `after` is the one before, None for the first; with `user_id` only that user's are returned. A ledger of which
        only trials are stored is returned too.
        """
        ...
