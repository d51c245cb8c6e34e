"""What counts uses per sender, and refuses those over a limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from src.domain.rates import Rate, RateLimit, RateUse


class RateLimiter(Protocol):
    """Counts uses by sender (`domain.rates.sender_of_user`, `sender_of_address`); any thread may call it.

    A rate that `limits` lacks is neither counted nor refused. No method waits: the counts are in this process.
    """

    @property
    def limits(self) -> Mapping[Rate, RateLimit]: ...

    def spend(self, sender: str, rate: Rate, amount: int = 1) -> None:
        """Count a use before it happens; raises RateLimited, and counts nothing, if it would be over the limit."""

    def give_back(self, sender: str, rate: Rate, amount: int) -> None:
        """Take back the latest uses, because the work that they were counted for was refused."""

    def charge(self, sender: str, rate: Rate, amount: float) -> None:
        """Count a use that has happened, also over the limit."""

    def check(self, sender: str, rate: Rate) -> None:
        """Raise RateLimited if nothing is left."""

    def read_use(self, sender: str, rate: Rate) -> RateUse | None:
        """Return what is used now; None if `rate` is not limited."""


class CoreBudget(Protocol):
    """Charges users for the processor time of their work; any thread may call it."""

    def admit(self, user_id: str) -> None:
        """Raise RateLimited if a user who begins new work has used up the time; running work may continue."""

    def charge(self, user_id: str, seconds: float) -> None:
        """Count processor seconds of a user's work."""


class Unlimited:
    """Counts and refuses nothing."""

    limits: Mapping[Rate, RateLimit] = {}

    def spend(self, sender: str, rate: Rate, amount: int = 1) -> None: ...

    def give_back(self, sender: str, rate: Rate, amount: int) -> None: ...

    def charge(self, sender: str, rate: Rate, amount: float) -> None: ...

    def check(self, sender: str, rate: Rate) -> None: ...

    def read_use(self, sender: str, rate: Rate) -> RateUse | None:  # noqa: ARG002
        return None


UNLIMITED: Final = Unlimited()
