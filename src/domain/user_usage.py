"""How much the service stores of a user."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class UserUsage:
    """Counts of what is stored of a user, and bytes; `trials` are the runs counted in the user's ledgers."""

    results: int = 0
    result_bytes: int = 0
    jobs: int = 0
    job_bytes: int = 0
    trials: int = 0
    models: int = 0
    model_bytes: int = 0
    datasets: int = 0
    dataset_bytes: int = 0
    keys: int = 0

    def __add__(self, other: UserUsage) -> UserUsage:
        sums = {item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)}
        return UserUsage(**sums)


NOTHING = UserUsage()
