"""Declare what the service needs from outside, as Protocols; `wiring.py` passes the adapters in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.datasets import BarFileDeclaration, Dataset
from src.domain.intervals import Interval
from src.domain.market import CachedMarket, FetchProgress, Listing, MarketRequest, MarketSeries
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.runs import BacktestResult, ResultPage, ResultSummary, StoreUsage
from src.domain.signals import Features, OutputKind, Predictions, Signals
from src.domain.strategy import StrategyInputs
from src.domain.trading import Simulation, TradingRules
from src.domain.trials import ChainLink, LedgerEntry, LedgerUpdate, TrialLedgerState


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

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        """Return what is counted; an empty state for an unknown user or symbol."""
        ...

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        """Return at most `limit` links with numbers over `after`, in rising order; none after the last.

        A link that was damaged in the store has fields of other types than declared, None if they are missing.
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
