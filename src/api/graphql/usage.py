"""Define what a user has used of the limits."""

from __future__ import annotations

from typing import Annotated

import strawberry

from src.api.allowance import sender_of
from src.api.graphql.context import Info
from src.api.graphql.types import described, resolved
from src.api.usage import present_rates, present_stored


@strawberry.type(description="What is used of one limit per time, in the process that responds.")
class RateUse:
    name: str = described("requests, uploads or core-seconds.")
    used: float = described(
        "Requests and uploads as a count, processor time in seconds, of the latest windowS seconds; it can be more "
        "than is allowed."
    )
    allowed: int = described("What is allowed in any windowS seconds, in the same unit.")
    window_s: int = described("Length of the window, seconds.")
    free_after_s: int = described("Seconds until more is free, rounded up; 0 if nothing is used.")
    setting: str = described("The operator's setting.")


@strawberry.type(description="What is stored of one kind.")
class StoredUse:
    name: str = described("results, jobs, trials, models or datasets.")
    count: int = described("Number of them.")
    size_mb: float = described("Their size in MiB (1,048,576 bytes).")
    max_count: int | None = described("Number of them that may be stored; null if only their size is limited.")
    max_mb: float | None = described(
        "Their maximum size in MiB (1,048,576 bytes); null if only their number is limited."
    )


@strawberry.type(description="What a user has used.")
class Usage:
    user_id: str = described("Whose usage it is.")
    limits: list[RateUse] = described("The limits per time that are set; empty if there are none.")
    stored: list[StoredUse] = described("What is stored, with its quota.")


@strawberry.type
class UsageQuery:
    """The query of usage."""

    @resolved(
        "What a user has used of the limits per time, and what is stored. With AUTH=none requests and uploads are "
        "those of the client's address."
    )
    async def usage(
        self, info: Info, user_id: Annotated[str, strawberry.argument(description="Whose usage.")]
    ) -> Usage:
        found = await info.context.usage.read(user_id, sender=sender_of(info.context.connection.scope))
        return Usage(
            user_id=found.user_id,
            limits=[RateUse(**fields) for fields in present_rates(found)],
            stored=[StoredUse(**fields) for fields in present_stored(found)],
        )
