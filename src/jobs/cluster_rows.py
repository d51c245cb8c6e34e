"""Compute rows of sweeps on a worker of a cluster.

Inputs are checked against the hash of their content, prepared once per worker process, and shared by all chunks.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.signals import Predictions
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import SweepRequest
from src.sweeps.evaluation import Evaluator

MAX_PREPARED: Final = 2
"""Sweeps whose bars a worker process keeps prepared; the least recently used one is dropped first."""

Part = bytes | Bars | Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepParts:
    """What all rows of a sweep share, each part under the SHA-256 of its content.

    `by_key` holds the parts to send to the workers, each once; `keys` are those of the request, the bars, the history
    and the predictions, None for a missing one.
    """

    keys: tuple[str | None, ...]
    by_key: Mapping[str, Part]


def split_inputs(inputs: SweepInputs) -> SweepParts:
    """Return the inputs as parts for the workers; blocking, 1 s for 500 MB of bars."""
    predictions = inputs.predictions
    if predictions is not None:  # rows read only the numbers
        predictions = replace(predictions, warnings=(), among_others=None, audit_failure=None)
    parts = (pickle.dumps(inputs.request), inputs.bars, inputs.history, predictions)
    keys = tuple(None if part is None else digest(part) for part in parts)
    by_key = {key: part for key, part in zip(keys, parts, strict=True) if key is not None and part is not None}
    return SweepParts(keys=keys, by_key=by_key)


def digest(part: Part) -> str:
    """Return the SHA-256 of a part's content, with its kind before it."""
    if isinstance(part, Bars):
        return f"bars-{part.fingerprint()}"
    if isinstance(part, Predictions):
        found = hashlib.sha256(f"{part.kind}\n{part.feature_columns}\n".encode())
        found.update(np.ascontiguousarray(part.values, "<f8").data)
        return f"predictions-{found.hexdigest()}"
    return f"request-{hashlib.sha256(part).hexdigest()}"


class PreparedSweeps:
    """The evaluators of the latest sweeps; safe to share between threads, which wait while one of them builds."""

    def __init__(self, most: int = MAX_PREPARED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str | None, ...], Evaluator] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, keys: tuple[str | None, ...], build: Callable[[], Evaluator]) -> Evaluator:
        """Return the evaluator of the sweep with these keys."""
        with self._lock:
            if keys not in self._kept:
                self._kept[keys] = build()
            self._kept.move_to_end(keys)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return self._kept[keys]


_PREPARED: Final = PreparedSweeps()
"""One per worker process: a task is a function, and has no other place for shared state."""


def compute_rows(
    keys: tuple[str | None, ...],
    request: bytes,
    bars: Bars,
    history: Bars | None,
    predictions: Predictions | None,
    values: NDArray[np.float64],
    first: int,
    total: int,
) -> EvaluatedRows:
    """Compute rows as `Evaluator.evaluate` does; raises ValueError if a part is not the one that was sent."""
    started_s = time.thread_time()
    evaluator = _PREPARED.find(keys, lambda: build_evaluator(keys, request, bars, history, predictions))
    found = evaluator.evaluate(values, first=first, total=total)
    used_s = time.thread_time() - started_s
    return replace(found, descriptions=tuple(found.descriptions), remote_core_s=used_s)


def build_evaluator(
    keys: tuple[str | None, ...], request: bytes, bars: Bars, history: Bars | None, predictions: Predictions | None
) -> Evaluator:
    """Build the evaluator of parts; raises ValueError if a part does not match its key."""
    for key, part in zip(keys, (request, bars, history, predictions), strict=True):
        found = None if part is None else digest(part)
        if found != key:
            raise ValueError(f"part of a sweep was damaged on its way: sent {key}, received {found}")
    # Unpickled only after its hash matches the one that the service sent over an authenticated connection.
    known = pickle.loads(request)  # noqa: S301
    if not isinstance(known, SweepRequest):
        raise TypeError(f"{type(known).__name__} is not a sweep")
    return Evaluator(SweepInputs(request=known, bars=bars, history=history, predictions=predictions))
