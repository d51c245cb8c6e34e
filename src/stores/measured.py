"""Time the calls of a store, whichever adapter it is: `measure_store`."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from src.domain.errors import ServiceError
from src.observing.meters import StoreMeter
from src.observing.spans import span

OTHER_ERROR: Final = "OTHER"
"""The code of errors that are no ServiceError."""

Store = TypeVar("Store")


def measure_store(store: Store, name: str, meter: StoreMeter) -> Store:
    """Return a store that forwards to this one and times its asynchronous methods, but not its generators."""
    return cast("Store", _MeasuredStore(store, name, meter))


class _MeasuredStore:
    def __init__(self, store: Any, name: str, meter: StoreMeter) -> None:
        self._store = store
        self._name = name
        self._meter = meter

    def __getattr__(self, operation: str) -> Any:
        """Wrap a method on first use; Python calls this only for attributes that the object lacks."""
        member = getattr(self._store, operation)
        if not inspect.iscoroutinefunction(member):
            return member
        timed = self._time(operation)
        setattr(self, operation, timed)
        return timed

    def _time(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            started_s = time.perf_counter()
            try:
                with span("store", store=self._name, operation=operation):
                    return await getattr(self._store, operation)(*arguments, **options)
            except ServiceError as error:
                self._meter.count_error(self._name, operation, error.code)
                raise
            except Exception:
                self._meter.count_error(self._name, operation, OTHER_ERROR)
                raise
            finally:
                self._meter.observe(self._name, operation, time.perf_counter() - started_s)

        return call
