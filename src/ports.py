"""What the service needs from the outside, each as one small Protocol. `wiring.py` hands the adapters in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from src.domain.datasets import BarFileDeclaration, Dataset
from src.domain.market import Bars, FetchProgress, Listing, MarketRequest, MarketSeries
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.runs import BacktestResult, ResultPage, ResultSummary, StoreUsage
from src.domain.signals import Features, OutputKind, Predictions, Signals
from src.domain.strategy import StrategyInputs
from src.domain.trading import Simulation, TradingRules
from src.domain.trials import LedgerEntry, LedgerUpdate, TrialLedgerState


class BarSource(Protocol):
    """Where candles come from."""

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the closed candles asked for, oldest first; at least one.

        Raises
        ------
        SymbolNotFound, InvalidInput, ExchangeError
        """
        ...

    async def listings(self) -> Sequence[Listing]:
        """Return the symbols that this source knows, sorted by name; those that no longer trade are among them."""
        ...

    async def close(self) -> None:
        """Release connections and files."""
        ...


class DatasetStore(Protocol):
    """Where users' own candles are kept, each user's apart."""

    async def receive(
        self,
        *,
        user_id: str,
        name: str,
        original_filename: str,
        declared: BarFileDeclaration,
        chunks: AsyncIterator[bytes],
    ) -> Dataset:
        """Read a file of candles and keep them; nothing stays behind where this raises, or is cancelled.

        Raises
        ------
        InvalidInput, UnsupportedFormat, TooLarge, TimedOut, Busy, StoreUnavailable
        Conflict
            Where the user has candles of that name, or as many as allowed.
        """
        ...

    async def list(self, user_id: str) -> Sequence[Dataset]:
        """Return what a user keeps, newest first."""
        ...

    async def get(self, user_id: str, name: str) -> Dataset:
        """Return what is known about a user's candles of that name; raises SourceNotFound."""
        ...

    async def source(self, user_id: str, name: str) -> BarSource:
        """Return a user's candles of that name as a source; raises SourceNotFound."""
        ...

    async def delete(self, user_id: str, name: str) -> None:
        """Remove a user's candles of that name, damaged ones too; raises SourceNotFound."""
        ...

    async def remove_leftovers(self) -> int:
        """Remove what uploads that never ended left behind; return how many files."""
        ...


class DownloadBoard(Protocol):
    """What shows the downloads of candles that are under way in this process."""

    def snapshot(self) -> Sequence[FetchProgress]:
        """Return them, oldest first."""
        ...


class Strategy(Protocol):
    """What turns bars, and a model's predictions on them, into signals; built from its parameters."""

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the signal at each bar; the one at t reads bars and predictions ≤ t only."""
        ...


class Engine(Protocol):
    """What turns signals into fills and equity."""

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        """Simulate on one thread, without touching shared state."""
        ...


class Predictor(Protocol):
    """A loaded model, inside the sandbox's child."""

    description: ModelDescription

    def predict(
        self, features: NDArray[np.float64], names: tuple[str, ...], declared: OutputKind | None = None
    ) -> tuple[NDArray[np.float64], OutputKind]:
        """Return one number a row for `features` [n, k] (no NaN), whose columns are called `names`, and its meaning.

        `declared` is what the user says the numbers mean; it comes before what the file says.
        """
        ...


class ModelFormat(Protocol):
    """How one library's files are opened; called in the sandbox's child only."""

    def load(self, file: Path) -> Predictor: ...


class ModelRunner(Protocol):
    """What opens model files without trusting them."""

    async def inspect(self, file: ModelFile) -> ModelDescription: ...

    async def predict(
        self, file: ModelFile, features: Features, feature_columns: Sequence[str] | None, kind: OutputKind | None
    ) -> Predictions: ...

    async def close(self) -> None: ...


class ModelFileStore(Protocol):
    """Where users' model files are kept, each user in a folder that nothing can leave."""

    async def receive(
        self,
        *,
        user_id: str,
        original_filename: str,
        model_name: str | None,
        chunks: AsyncIterator[bytes],
        is_for_keeping: bool = False,
    ) -> ModelFile:
        """Stream an upload to disk and return it, temporary; nothing stays behind where this raises, or is cancelled.

        Parameters
        ----------
        is_for_keeping
            Whether it is meant to be kept, so that a user who has no room for it hears so before it is sent.

        `original_filename` is empty where the client sent none: the content then tells the format.

        Raises
        ------
        InvalidInput, UnsupportedFormat, TooLarge, Conflict (too many files), StoreUnavailable
        """
        ...

    async def keep(self, file: ModelFile, description: ModelDescription | None = None) -> ModelFile:
        """Give a temporary file its lasting place, with what the sandbox saw in it; nobody else sees it before that.

        Once this returns, it survives a crash of the machine; where it raises, or is cancelled, nothing is kept.

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
        """Remove a file and what is kept about it; raises ModelNotFound, but not for a temporary one."""
        ...

    async def remove_leftovers(self) -> int:
        """Remove what uploads that never ended left behind; return how many files."""
        ...


class ResultStore(Protocol):
    """Where finished backtests are kept."""

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
            From this and every other method, where the store cannot be read or written.
        """
        ...

    async def get(self, result_id: str) -> BacktestResult:
        """Raises ResultNotFound."""
        ...

    async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        """Return them in the order asked for; raises ResultNotFound naming the first that is missing."""
        ...

    async def list(self, *, user_id: str | None, symbol: str | None, first: int, after: str | None) -> ResultPage:
        """Return a page, newest first; a result that cannot be read is left out, and the page warns of it.

        `first` is 1…100 and `after` a `next_cursor`; InvalidInput on that field otherwise. Saves and deletes between
        two pages neither repeat nor skip another result.
        """
        ...

    async def owner(self, result_id: str) -> str:
        """Return the user whose result it is, although the result itself cannot be read; raises ResultNotFound."""
        ...

    async def delete(self, result_id: str) -> None:
        """Delete a result, although it cannot be read or the disk is full; raises ResultNotFound."""
        ...

    async def delete_older(self, created_before_ms: int) -> int:
        """Delete the results that were made before a time, of all users; return how many."""
        ...

    async def usage(self) -> StoreUsage: ...

    async def is_reachable(self) -> bool: ...

    async def close(self) -> None: ...


class TrialLedger(Protocol):
    """What counts the runs of each user on each symbol; deleting a result removes nothing from it."""

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        """Count a run once, whatever else writes at the same time; once this returns, it survives a crash.

        An entry whose key is counted already changes nothing. The sums do not depend on the order of entries.

        Raises StoreUnavailable, as `state` does.
        """
        ...

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        """Return what is counted; nothing at all for a user or symbol that is not known."""
        ...


class Clock(Protocol):
    def now_ms(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        ...
