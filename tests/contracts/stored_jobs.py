"""What the suites over stores of jobs share."""

from __future__ import annotations

from collections.abc import Callable

from src.domain.jobs import (
    JobPart,
    JobStage,
    JobState,
    Lease,
    StageName,
)
from src.domain.sweep_outcomes import KeptRow, SweepConclusion, SweepOverfitting, SweepTiming
from src.ports.jobs import JobStore
from tests.factories import START_MS
from tests.jobs import LEASE_MS

LATER_MS = START_MS + LEASE_MS

OpenStore = Callable[[], JobStore]

BEST = JobStage(name=StageName.BEST, done=1, total=3)


async def note(
    store: JobStore, held: Lease, name: str = "", content: bytes = b"", *, stage: JobStage | None = BEST
) -> tuple[Lease, JobState]:
    part = JobPart(name=name, content=content) if name else None
    return await store.note(held, stage, part, now_ms=START_MS, duration_ms=LEASE_MS)


def make_conclusion() -> SweepConclusion:
    best = KeptRow(row=3, values={"fast": 5, "kind": "EMA", "share": 0.5}, objective=1.5, result_id="r-1")
    overfitting = SweepOverfitting(
        pbo=0.25,
        pbo_noise_low=0.1,
        pbo_noise_high=0.9,
        probability_of_loss=0.5,
        degradation_slope=None,
        rows=4,
        blocks=16,
    )
    return SweepConclusion(
        bars_fingerprint="0" * 64, bars=1000, combinations=4, best=(best,), overfitting=overfitting, superiority=None,
        timing=SweepTiming(p_value=0.125, row=1, p_value_of_best=None, rows=4, shifts=7),
        stability=None, trials=4, warnings=("A warning.",),
    )  # fmt: skip
