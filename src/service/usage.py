"""Report what a user has used of the limits per time and of the quotas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from src.domain.model_files import check_user_id
from src.domain.rates import Rate, sender_of_user
from src.domain.user_usage import NOTHING, Quota, StoredUse, Usage
from src.ports.rates import RateLimiter
from src.ports.stores import UserFiles, UserRecords

BY_SENDER: Final = (Rate.REQUESTS, Rate.UPLOADS)
"""Limits of the sender of a request; the others are of the user whose work it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageService:
    """Reads what is used; `quotas` are the limits of what a user may store, by kind."""

    records: UserRecords
    models: UserFiles
    datasets: UserFiles
    limiter: RateLimiter
    quotas: Mapping[str, Quota]

    async def read(self, user_id: str, *, sender: str) -> Usage:
        """Return what is used now; `sender` is the name under which the request counts (`domain.rates`).

        The limits per time are those of this process. Raises InvalidInput, StoreUnavailable.
        """
        check_user_id(user_id)
        stored = (await self.records.usage(user_id)).get(user_id, NOTHING)
        models = (await self.models.usage(user_id)).get(user_id, (0, 0))
        datasets = (await self.datasets.usage(user_id)).get(user_id, (0, 0))
        uses = (
            *(self.limiter.read_use(sender, rate) for rate in BY_SENDER),
            self.limiter.read_use(sender_of_user(user_id), Rate.CORE_SECONDS),
        )
        sizes = {
            "results": (stored.results, stored.result_bytes),
            "jobs": (stored.jobs, stored.job_bytes),
            "trials": (stored.trials, stored.ledger_bytes),
            "models": models,
            "datasets": datasets,
        }
        return Usage(
            user_id=user_id,
            rates=tuple(use for use in uses if use is not None),
            stored=tuple(
                StoredUse(kind=kind, count=count, size_bytes=size, quota=self.quotas[kind])
                for kind, (count, size) in sizes.items()
            ),
        )
