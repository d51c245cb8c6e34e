"""What adapters and queues count: a protocol for each, and one that counts nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol


class Refusal(StrEnum):
    """Why a queue rejects a caller."""

    FULL = "full"
    LATE = "late"
    """It has waited too long."""
    DISPLACED = "displaced"
    """A user with fewer waiting callers took its place."""
    CLOSED = "closed"


class ChildEnd(StrEnum):
    """How a process that opened a model file ended."""

    REPLIED = "replied"
    DEADLINE = "deadline"
    """Killed at its time limit."""
    SIGNAL = "signal"
    """Killed by the kernel: a limit, a forbidden system call, a crash."""
    CANCELLED = "cancelled"
    """Killed because its request or job was cancelled."""
    EXITED = "exited"
    """It ended itself before its task was done."""


class QueueMeter(Protocol):
    """Measures one queue."""

    def show(self, *, running: int, waiting: int) -> None:
        """Show how many callers hold a slot, and how many wait."""

    def count_refusal(self, reason: Refusal) -> None: ...


class SandboxMeter(Protocol):
    def count_end(self, end: ChildEnd) -> None: ...


class ExchangeMeter(Protocol):
    def count_weight(self, weight: int) -> None:
        """Count the weight of a request that is about to be sent."""

    def show_used_weight(self, weight: int) -> None:
        """Show the weight that the exchange says was used from this address in its minute."""

    def count_response(self, outcome: int | str) -> None:
        """Count a response by its HTTP status, or a request without a response by what went wrong."""


class StoreMeter(Protocol):
    def observe(self, store: str, operation: str, duration_s: float) -> None:
        """Count a call of a store, however it ended."""

    def count_error(self, store: str, operation: str, code: str) -> None: ...


class RateMeter(Protocol):
    def count_rate_refusal(self, rate: str) -> None:
        """Count a use that was over a limit per sender and time."""


class Meters(Protocol):
    """All meters of a process."""

    @property
    def rates(self) -> RateMeter: ...

    @property
    def sandbox(self) -> SandboxMeter: ...

    @property
    def exchange(self) -> ExchangeMeter: ...

    @property
    def stores(self) -> StoreMeter: ...

    def queue(self, name: str) -> QueueMeter:
        """Return the meter of the queue of that name."""


class Unmeasured:
    """Counts nothing: for tests, and for commands that serve no `/metrics`."""

    def show(self, *, running: int, waiting: int) -> None: ...

    def count_refusal(self, reason: Refusal) -> None: ...

    def count_end(self, end: ChildEnd) -> None: ...

    def count_weight(self, weight: int) -> None: ...

    def show_used_weight(self, weight: int) -> None: ...

    def count_response(self, outcome: int | str) -> None: ...

    def observe(self, store: str, operation: str, duration_s: float) -> None: ...

    def count_error(self, store: str, operation: str, code: str) -> None: ...

    def count_rate_refusal(self, rate: str) -> None: ...

    @property
    def rates(self) -> RateMeter:
        return self

    @property
    def sandbox(self) -> SandboxMeter:
        return self

    @property
    def exchange(self) -> ExchangeMeter:
        return self

    @property
    def stores(self) -> StoreMeter:
        return self

    def queue(self, name: str) -> QueueMeter:  # noqa: ARG002
        return self


UNMEASURED: Final = Unmeasured()
