"""How much the service stores of a user, and what the user has used of the limits."""

from __future__ import annotations

from dataclasses import dataclass, fields

from src.domain.rates import RateUse


@dataclass(frozen=True, slots=True, kw_only=True)
class UserUsage:
    """Counts of what is stored of a user, and bytes; `trials` are the runs counted in the user's ledgers.

    `ledger_bytes` are those that the ledgers' quota counts.
    """

    results: int = 0
    result_bytes: int = 0
    jobs: int = 0
    job_bytes: int = 0
    trials: int = 0
    ledger_bytes: int = 0
    models: int = 0
    model_bytes: int = 0
    datasets: int = 0
    dataset_bytes: int = 0
    keys: int = 0

    def __add__(self, other: UserUsage) -> UserUsage:
        sums = {item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)}
        return UserUsage(**sums)


NOTHING = UserUsage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much of one kind a user may store; None: not limited by itself."""

    max_count: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUse:
    """What is stored of a user of one kind: `results`, `jobs`, `trials`, `models` or `datasets`."""

    kind: str
    count: int
    size_bytes: int
    quota: Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a user has used of the limits per time, and of the quotas."""

    user_id: str
    rates: tuple[RateUse, ...]
    stored: tuple[StoredUse, ...]
