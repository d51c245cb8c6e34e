"""Declare what the service needs from outside, as Protocols; `wiring.py` passes the adapters in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.chain_links import ChainLink
from src.domain.datasets import BarFileDeclaration, Dataset
from src.domain.funding_rates import FundingRates
from src.domain.intervals import Interval
from src.domain.jobs import (
    NOTHING_MADE,
    ChunkSpan,
    Idempotency,
    Job,
    JobConclusion,
    JobFailure,
    JobKind,
    JobOutcome,
    JobPage,
    JobPart,
    JobProgress,
    JobQuota,
    JobRequest,
    JobStage,
    JobState,
    Lease,
)
from src.domain.market import CachedMarket, FetchProgress, Listing, MarketRequest, MarketSeries
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.runs import BacktestResult, ResultPage, ResultSummary, StoreUsage
from src.domain.signals import Features, OutputKind, Predictions, Signals, StrategyDescription
from src.domain.simulation import Simulation
from src.domain.strategy import StrategyInputs
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.trading import TradingRules
from src.domain.trial_states import LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch

Outcome = TypeVar("Outcome")
Arguments = TypeVarTuple("Arguments")


class BarSource(Protocol):
    """A source of bars."""

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the requested closed bars, oldest first; at least one.

        Raises
        ------
        SymbolNotFound, InvalidInput, ExchangeError
        """
        ...

    async def listings(self) -> Sequence[Listing]:
        """Return the symbols of this source, sorted by name; those that no longer trade are among them."""
        ...

    async def close(self) -> None:
        """Release connections and files."""
        ...


class CachedMarkets(Protocol):
    """Names and reads the bars that are stored already; nothing is downloaded."""

    async def cached_markets(self, interval: Interval, start_ms: int, end_ms: int) -> Sequence[CachedMarket]:
        """Return the longest stored range of each symbol between two open times, both included, sorted by symbol."""
        ...

    async def cached_bars(self, market: CachedMarket) -> Bars | None:
        """Return these bars; None if they are no longer stored. Raises StoreUnavailable."""
        ...


class DatasetStore(Protocol):
    """Stores users' datasets, separated by user."""

    async def receive(
        self,
        *,
        user_id: str,
        name: str,
        original_filename: str,
        declared: BarFileDeclaration,
        chunks: AsyncIterator[bytes],
    ) -> Dataset:
        """Read a file of bars and store them; if this raises or is cancelled, nothing stays behind.

        Raises
        ------
        InvalidInput, UnsupportedFormat, TooLarge, TimedOut, Busy, StoreUnavailable
        Conflict
            If the user has a dataset of that name, or as many as allowed.
        """
        ...

    async def list(self, user_id: str) -> Sequence[Dataset]:
        """Return a user's datasets, newest first."""
        ...

    async def get(self, user_id: str, name: str) -> Dataset:
        """Return the description of a user's dataset; raises SourceNotFound."""
        ...

    async def source(self, user_id: str, name: str) -> BarSource:
        """Return a user's dataset as a source; raises SourceNotFound."""
        ...

    async def rates(self, user_id: str, name: str) -> tuple[Dataset, FundingRates]:
        """Return a user's dataset of funding; raises SourceNotFound, InvalidInput if it has bars, StoreUnavailable."""
        ...

    async def delete(self, user_id: str, name: str) -> None:
        """Remove a user's dataset, even a damaged one; raises SourceNotFound."""
        ...

    async def remove_leftovers(self) -> int:
        """Remove the files of unfinished uploads; return how many."""
        ...


class DownloadBoard(Protocol):
    """Lists the downloads of bars in progress in this process."""

    def snapshot(self) -> Sequence[FetchProgress]:
        """Return them, oldest first."""
        ...


class Strategy(Protocol):
    """Turns bars, and a model's predictions on them, into signals; built from its parameters."""

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:
        """Return the name and parameters that its signals carry; `predictions` if it reads a model's."""
        ...

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the signal at each bar; the signal at t reads bars and predictions ≤ t only."""
        ...


class Engine(Protocol):
    """Turns signals into fills and equity."""

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        """Simulate on one thread, without touching shared state."""
        ...


class Predictor(Protocol):
    """A loaded model, inside the sandbox's child."""

    description: ModelDescription

    def predict(
        self, features: NDArray[np.float64], names: tuple[str, ...], declared: OutputKind | None = None
    ) -> tuple[NDArray[np.float64], OutputKind]:
        """Return one number per row of `features` [n, k] (no NaN), whose columns are called `names`, and its meaning.

        `declared` is what the user says the numbers mean; it overrides what the file says.
        """
        ...


class ModelFormat(Protocol):
    """Opens one library's files; called in the sandbox's child only."""

    def load(self, file: Path) -> Predictor: ...


class ModelRunner(Protocol):
    """Opens model files without trusting them."""

    async def inspect(self, file: ModelFile) -> ModelDescription: ...

    async def predict(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        audit_seed: int | None = None,
    ) -> Predictions:
        """Predict every row that has all columns the model reads.

        With `audit_seed` (0 to 2⁶⁴ − 1) the same child then predicts these rows once more, in four complementary parts
        in seeded random order: `Predictions.among_others`. A model that fails or hangs there still gives its
        predictions.
        """
        ...

    async def predict_prefixes(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        lengths: Sequence[int],
    ) -> Sequence[Predictions]:
        """Predict the first rows alone, once for each of these lengths, in one child."""
        ...

    async def close(self) -> None: ...


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


class TrialLedger(Protocol):
    """Counts the runs of each user on each symbol; deleting a result removes nothing from it."""

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        """Count a run once, even with concurrent writers; once this returns, it survives a crash.

        An entry whose key is counted already changes nothing. The sums do not depend on the order of entries. Raises
        StoreUnavailable, as `state` does.
        """
        ...

    async def record_batch(self, batch: TrialBatch, *, user_id: str, symbol: str) -> LedgerUpdate:
        """Count many runs at once, each once: the sums are those of `record` for each of them, in any order.

        Runs that are counted already change nothing, and of equal keys in the batch the first is counted. The new runs
        share one link of the chain; a crash counts all of them or none. Once this returns, it survives a crash.
        """
        ...

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        """Return what is counted; an empty state for an unknown user or symbol."""
        ...

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        """Return at most `limit` links with numbers over `after`, in rising order; none after the last.

        Each run has one, those that share the link of their batch too (`ChainLink.runs`). A link that was damaged in
        the store has fields of other types than declared, None if they are missing.
        """
        ...

    async def count_unlinked(self, *, user_id: str, symbol: str) -> int:
        """Return how many counted trials `links` never returns: those from before links were kept, or added by hand."""
        ...

    async def keeps_all_links(self) -> bool:
        """Return whether the store has kept a link of every trial from its first one on; False if it cannot tell."""
        ...

    async def next_ledger(self, after: tuple[str, str] | None, *, user_id: str | None) -> tuple[str, str] | None:
        """Return the user and symbol of the next ledger, None after the last.

        `after` is the one before, None for the first; with `user_id` only that user's are returned. A ledger of which
        only trials are stored is returned too.
        """
        ...


class LeaseLost(Exception):
    """The lease has expired and another process has the job, or the job was deleted: stop working on it."""


class JobStore(Protocol):
    """Stores jobs, their requests, what was computed of them chunk by chunk, and what they made.

    Every write outlives a crash of the process once it returns. Every method raises StoreUnavailable.
    """

    async def submit(self, job: Job, request: JobRequest, *, idempotency: Idempotency | None, quota: JobQuota) -> Job:
        """Store a new job and return it; the earlier job if its user gave the same idempotency key and digest before.

        If the user would have more than `max_jobs`, or `max_bytes`, the oldest that have ended are deleted for it.

        Raises
        ------
        Conflict
            If the key was given with another digest.
        Busy
            If the user has `max_unfinished` jobs that have not ended.
        """
        ...

    async def get(self, job_id: str) -> Job:
        """Raises JobNotFound, UnreadableResult."""
        ...

    async def get_many(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        """Return those of these jobs that exist and can be read, by id."""
        ...

    async def owner(self, job_id: str) -> str:
        """Return the user whose job it is, even if the job itself cannot be read; raises JobNotFound."""
        ...

    async def list(self, *, user_id: str, first: int, after: str | None, state: JobState | None = None) -> JobPage:
        """Return a page of a user's jobs, newest first; `first` is 1…100, InvalidInput otherwise."""
        ...

    async def read_request(self, job_id: str) -> JobRequest:
        """Return what was asked for; raises JobNotFound, UnreadableResult."""
        ...

    async def lease(self, *, holder: str, now_ms: int, duration_ms: int) -> Lease | None:
        """Return the next job to work on, with a lease, and set it RUNNING; None if there is none.

        First, jobs whose lease has expired become INTERRUPTED, or FAILED after more than `MAX_ATTEMPTS` attempts in a
        row that stored no new chunk or part, or CANCELLED if they were CANCELLING. Then the oldest QUEUED or
        INTERRUPTED job of the user who has the fewest RUNNING ones is taken, among equals of the user whose last lease
        was longest ago.
        """
        ...

    async def is_turn_over(self, user_id: str) -> bool:
        """Return whether a job of another user is waiting that `lease` would take next if this user gave one back."""
        ...

    async def renew(self, lease: Lease, *, now_ms: int, duration_ms: int) -> tuple[Lease, JobState]:
        """Return the lease with a later end, and the job's state: CANCELLING asks its holder to stop.

        Raises LeaseLost.
        """
        ...

    async def commit(
        self, lease: Lease, span: ChunkSpan, content: bytes, progress: JobProgress, *, now_ms: int, duration_ms: int
    ) -> tuple[Lease, JobState]:
        """Store a chunk and the progress in one transaction, and renew the lease; a chunk that is there is kept.

        Raises LeaseLost.
        """
        ...

    async def note(
        self,
        lease: Lease,
        stage: JobStage | None,
        part: JobPart | None,
        progress: JobProgress | None = None,
        *,
        now_ms: int,
        duration_ms: int,
    ) -> tuple[Lease, JobState]:
        """Store the stage of a job, a part of it and its progress in one transaction, and renew the lease.

        None leaves what is there, but a stage without progress has no rate: it was that of the units before. A part
        that is there is kept. Raises LeaseLost.
        """
        ...

    async def parts(self, job_id: str) -> Mapping[str, bytes]:
        """Return the contents of the stored parts by their names; empty for an unknown job."""
        ...

    async def spans(self, job_id: str) -> Sequence[ChunkSpan]:
        """Return the stored chunks, by their first units in rising order; empty for an unknown job."""
        ...

    def chunks(self, job_id: str) -> AsyncIterator[bytes]:
        """Yield the contents of the stored chunks, by their first units in rising order, a few in memory at once.

        Raises JobNotFound if the job does not exist, or is deleted meanwhile.
        """
        ...

    async def end(
        self,
        lease: Lease,
        state: JobState,
        *,
        now_ms: int,
        outcome: JobOutcome = NOTHING_MADE,
        failure: JobFailure | None = None,
    ) -> Job:
        """End a job: SUCCEEDED, FAILED (with `failure`) or CANCELLED; QUEUED or INTERRUPTED gives it back.

        INTERRUPTED says that what it needs is missing. A job that was given back is not counted as begun; one that is
        CANCELLING becomes CANCELLED. `warnings` replace those of the commits, unless there are none. Raises LeaseLost.
        """
        ...

    async def read_conclusion(self, job_id: str) -> JobConclusion | None:
        """Return what the job found; None while it has not succeeded, or made a result only. Raises JobNotFound."""
        ...

    async def cancel(self, job_id: str, *, now_ms: int) -> Job:
        """Cancel a job: at once if no process works on it, else it becomes CANCELLING; an ended one stays as it is.

        Raises JobNotFound.
        """
        ...

    async def resume(self, job_id: str, *, quota: JobQuota) -> Job:
        """Queue a CANCELLED, FAILED or INTERRUPTED job again, with its chunks and new attempts.

        Raises JobNotFound; Conflict in any other state; Busy as `submit` does.
        """
        ...

    async def delete(self, job_id: str) -> None:
        """Delete a job with its chunks, even if it cannot be read; raises JobNotFound, Conflict if a process has it."""
        ...

    async def delete_older(self, before_ms: int) -> int:
        """Delete the jobs of all users that ended before a time; return how many."""
        ...

    async def remove_leftovers(self) -> int:
        """Remove chunks of jobs whose deletion a crash has interrupted; return of how many jobs."""
        ...


class JobHandle(Protocol):
    """A job that runs: what its task may do with it. Each method raises LeaseLost if another process has the job."""

    @property
    def job(self) -> Job:
        """The job as it was when it was begun."""
        ...

    @property
    def request(self) -> JobRequest: ...

    @property
    def threads(self) -> int:
        """How many functions `compute` runs at the same time."""
        ...

    async def compute(self, function: Callable[[Unpack[Arguments]], Outcome], *arguments: *Arguments) -> Outcome:
        """Call a function in a thread of low priority, which responds to no request.

        A thread cannot be stopped: a function should take about a second.
        """
        ...

    async def spans(self) -> Sequence[ChunkSpan]:
        """Return the chunks that are stored already, by their first units in rising order."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the contents of the stored chunks, by their first units in rising order."""
        ...

    async def commit(self, span: ChunkSpan, content: bytes, progress: JobProgress) -> None:
        """Store a chunk with the progress; the task is cancelled here if its user has cancelled the job."""
        ...

    async def note(
        self, stage: JobStage | None, part: JobPart | None = None, progress: JobProgress | None = None
    ) -> None:
        """Show the stage of the job and its progress, and store a part that is finished.

        The task is cancelled here as by `commit`.
        """
        ...

    async def parts(self) -> Mapping[str, bytes]:
        """Return the contents of the parts that are stored already, by their names."""
        ...


class JobTask(Protocol):
    """What is done for the jobs of one kind."""

    @property
    def kind(self) -> JobKind: ...

    async def run(self, handle: JobHandle) -> JobOutcome:
        """Do the job, from the chunks that are stored already; it is cancelled if the job is, or the service stops.

        A ServiceError fails the job with its code and message, but ClusterUnavailable interrupts it.
        """
        ...


class JobWorkers(Protocol):
    """The running jobs of this process."""

    def wake(self) -> None:
        """Look for a job now: one was queued."""
        ...

    def cancel(self, job_id: str) -> None:
        """Stop working on a job that was cancelled in the store, if this process does."""
        ...

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call a function with the id of a job whenever this process has changed it."""
        ...


class OpenSweep(Protocol):
    """Where the rows of one sweep are computed."""

    @property
    def width(self) -> int:
        """How many chunks are computed at once."""
        ...

    async def evaluate(self, values: NDArray[np.float64], *, first: int, total: int) -> EvaluatedRows:
        """Compute the rows of `values` [k, p], of which the first is row `first` of `total`.

        Raises ClusterUnavailable if what computes them is lost.
        """
        ...


class RowExecutor(Protocol):
    """Computes rows of sweeps, in threads of this process or on a cluster."""

    def open(self, inputs: SweepInputs, handle: JobHandle) -> AbstractAsyncContextManager[OpenSweep]:
        """Take the bars of a sweep to where its rows are computed, and release them at the end.

        Raises ClusterUnavailable if nothing can compute them now.
        """
        ...


class Signer(Protocol):
    """Signs with the service's Ed25519 key, which all workers share and a restart keeps."""

    @property
    def key_id(self) -> str:
        """The id of the present key; raises StoreUnavailable before the key is open, as the others do."""
        ...

    @property
    def public_keys(self) -> Sequence[Mapping[str, str]]:
        """The public keys as JWKs: the present one first, then the retired ones."""
        ...

    def sign(self, content: bytes) -> str:
        """Return the signature, base64url without padding."""
        ...


class Clock(Protocol):
    def now_ms(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        ...
