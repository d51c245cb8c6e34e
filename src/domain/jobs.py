"""A job: work that outlives the request that asked for it, and is continued after a crash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from src.domain.any_case import AnyCase
from src.domain.errors import bad_value
from src.domain.instants import check_times
from src.domain.portfolio import PortfolioConclusion, PortfolioRequest
from src.domain.reported import INSTANT, reported
from src.domain.runs import BacktestRequest
from src.domain.sweep_outcomes import SweepConclusion
from src.domain.sweeps import SweepRequest
from src.domain.walk_forward import WalkForwardConclusion, WalkForwardRequest

MAX_ATTEMPTS: Final = 3
"""How often in a row a job is restarted whose process died before it stored anything new; then it fails."""
MAX_IDEMPOTENCY_KEY_LENGTH: Final = 128
IDEMPOTENCY_KEY_PATTERN: Final = "^[ -~]+$"
"""A header holds ASCII only."""
IDEMPOTENCY_KEY_ALLOWED: Final = f"1 to {MAX_IDEMPOTENCY_KEY_LENGTH} printable ASCII characters"

JobRequest: TypeAlias = SweepRequest | WalkForwardRequest | BacktestRequest | PortfolioRequest
JobConclusion: TypeAlias = SweepConclusion | WalkForwardConclusion | PortfolioConclusion


class JobKind(StrEnum):
    """What a job does."""

    SWEEP = "SWEEP"
    WALK_FORWARD = "WALK_FORWARD"
    BACKTEST = "BACKTEST"
    PORTFOLIO = "PORTFOLIO"


KIND_OF: Final = {
    SweepRequest: JobKind.SWEEP,
    WalkForwardRequest: JobKind.WALK_FORWARD,
    BacktestRequest: JobKind.BACKTEST,
    PortfolioRequest: JobKind.PORTFOLIO,
}


class JobState(AnyCase):
    """How far a job is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    """Its user has cancelled it, and its process has not seen it yet."""
    CANCELLED = "CANCELLED"
    """It keeps what was computed, and can be resumed."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"
    """Its process died; it waits to be continued, unless that has happened too often."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self in FINAL_STATES


FINAL_STATES: Final = (JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED)
WAITING_STATES: Final = (JobState.QUEUED, JobState.INTERRUPTED)
"""A process may take it."""
HELD_STATES: Final = (JobState.RUNNING, JobState.CANCELLING)
"""A process has a lease of it, which may have expired."""


class StageName(StrEnum):
    """What a job does within a unit of work, or once all of them are done."""

    TRAINING = "TRAINING"
    """It tries the rows of a walk-forward in the training window of the present fold; a step is a row."""
    BEST = "BEST"
    """It runs the best rows of a sweep and stores their results; a step is a row."""
    OVERFITTING = "OVERFITTING"
    """It measures how much the choice of the best row is overfitted."""
    SUPERIORITY = "SUPERIORITY"
    """It tests the best row against buying and holding; each row takes two steps."""
    TIMING = "TIMING"
    """It tests the timing of the rows against luck; each row takes two steps."""
    BARS = "BARS"
    """It reads the bars of a portfolio and decides their signals; a step is a symbol."""
    TRADE = "TRADE"
    """It trades the symbols of a portfolio with one cash, then again at higher costs, and judges that; three steps."""
    RESULT = "RESULT"
    """It runs the tests of a walk-forward one after another and stores that as a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStage:
    """A stage of a job after its units of work, and how far it is."""

    name: StageName = reported("What it does.")
    done: int = reported("Steps of the stage that are done.", "count")
    total: int = reported("Steps of the stage in all.", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    """Why a job failed."""

    code: str = reported("The error's code, as of a request that fails.")
    message: str = reported("What went wrong.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSubject:
    """What a job is about: its market and its strategy."""

    symbol: str = reported("The market's symbol.")
    interval: str = reported("Length of the bars.")
    source: str | None = reported("Where the bars come from, or the name of a dataset; null for the exchange.")
    strategy: str = reported("The strategy's name, as in the catalog.")
    model: str | None = reported("The stored model's file; null unless the strategy reads one.")
    swept: tuple[str, ...] = reported("The swept parameters, in the order of the grid; none of a single backtest.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as clients see it."""

    id: str = reported("Its id.")
    user_id: str = reported("Whose it is.")
    kind: JobKind = reported("What it does.")
    state: JobState = reported("How far it is.")
    created_ms: int = reported("When it was asked for.", INSTANT, name="created_at")
    started_ms: int | None = reported("When it was first begun; null before.", INSTANT, name="started_at", default=None)
    ended_ms: int | None = reported("When it ended; null before.", INSTANT, name="ended_at", default=None)
    done: int = reported(
        "Units of work that are done and stored: rows of a sweep, folds of a walk-forward, symbols of a portfolio.",
        "count",
        default=0,
    )
    total: int | None = reported("Units of work in all; null while that is not known.", "count", default=None)
    rate: float | None = reported("Units per second lately; null if it is not running.", "1/s", default=None)
    best_so_far: float | None = reported(
        "The best objective so far; null without any.", "the objective's unit", default=None
    )
    stage: JobStage | None = reported(
        "What it does in the present fold of a walk-forward, or after its units of work are done; null before, and "
        "once it has succeeded.",
        default=None,
    )
    attempt: int = reported(
        "How often it has been begun since it was last queued by its user; a stop of the service does not count.",
        "count",
        default=0,
    )
    failure: JobFailure | None = reported("Why it failed; null if it did not.", name="error", default=None)
    warnings: tuple[str, ...] = reported("Warnings, in full sentences.", default=())
    result_id: str | None = reported(
        "The id of what it made: of the sweep, of the walk-forward, of the portfolio or of the backtest's result; null "
        "before.",
        default=None,
    )

    def __post_init__(self) -> None:
        check_times(created_ms=self.created_ms, started_ms=self.started_ms, ended_ms=self.ended_ms)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until it is done at its present rate; None if that is not known."""
        if not self.rate or self.total is None or self.state is not JobState.RUNNING:
            return None
        return max(0.0, (self.total - self.done) / self.rate)


def is_idempotency_key(text: str) -> bool:
    """Return whether a text can be an idempotency key."""
    return 1 <= len(text) <= MAX_IDEMPOTENCY_KEY_LENGTH and text.isascii() and text.isprintable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A client's key for a request, and the SHA-256 of the request in hexadecimal: equal ones are the same job."""

    key: str
    digest: str

    def __post_init__(self) -> None:
        if not is_idempotency_key(self.key):
            raise bad_value("idempotencyKey", got=self.key, allowed=IDEMPOTENCY_KEY_ALLOWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuota:
    """What one user may have: jobs that have not ended, jobs in all, and bytes of their stored chunks."""

    max_unfinished: int
    max_jobs: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a job until it expires; each lease has a new `token`, so that an old holder is refused."""

    job: Job
    token: str
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSpan:
    """A stored chunk: `count` units from unit `first` on."""

    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPart:
    """A finished part of a job besides its chunks, so that no later attempt repeats it.

    `name` consists of a-z, 0-9 and hyphens.
    """

    name: str
    content: bytes = b""

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z0-9-]{1,64}", self.name):
            raise ValueError(f"{self.name!r} is not a name for a part")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """The fields of `Job` that a commit or a note changes, besides the data that it stores."""

    total: int | None
    rate: float | None
    best_so_far: float | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One page of a user's jobs, newest first; `next_cursor` None on the last.

    `warnings` names, in full sentences, the jobs that belong on the page and cannot be read.
    """

    jobs: tuple[Job, ...]
    next_cursor: str | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """The outcome of a task when it ends; its warnings replace those of its commits, unless there are none."""

    result_id: str | None = None
    conclusion: JobConclusion | None = None
    warnings: tuple[str, ...] = ()


NOTHING_MADE: Final = JobOutcome()
