"""Declare how a cluster is reached, and which of its workers may compute for this service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """A scheduler's address, the certificates of all members, and the mark of workers of this version.

    `certificates` is None for a scheduler at `tcp://`, whose port executes what anyone sends it. `version` identifies
    everything that decides the bits of a row; `timeout_s` is how long to wait for the scheduler and for a worker.
    """

    scheduler: str
    certificates: Certificates | None
    version: str
    timeout_s: float

    @property
    def resource(self) -> str:
        """The resource that workers of this version offer, one unit a thread: rows are computed nowhere else."""
        return f"backtesting-{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files in PEM: the authority that signed every member's certificate, and this member's certificate and key."""

    authority: Path
    certificate: Path
    key: Path
