"""Measure the wall time of each step of a backtest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from src.observing.spans import span

_SPANS: Final = {"marketData": "fetch", "model": "predict"}
"""Names of spans that differ from the names of the steps, which clients read."""


class Stopwatch:
    """Collects the wall time of named steps, in milliseconds."""

    def __init__(self) -> None:
        self._elapsed_ms: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block, also as a span; the times of equal names are added."""
        started = time.perf_counter_ns()
        try:
            with span(_SPANS.get(name, name)):
                yield
        finally:
            spent = (time.perf_counter_ns() - started) / 1e6
            self._elapsed_ms[name] = round(self._elapsed_ms.get(name, 0.0) + spent, 3)

    @property
    def elapsed_ms(self) -> Mapping[str, float]:
        return MappingProxyType(dict(self._elapsed_ms))
