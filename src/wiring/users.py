"""Construct what the operator's commands about users need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.bars.clock import SystemClock
from src.service.users import UserService
from src.settings import Settings
from src.wiring.identity import build_key_file
from src.wiring.objects import build_objects
from src.wiring.stores import build_stores
from src.wiring.user_files import build_user_files


@asynccontextmanager
async def open_users(settings: Settings) -> AsyncIterator[UserService]:
    """Open the stores for the operator, also while a service runs; close them when the block ends."""
    clock = SystemClock()
    files = build_user_files(settings, build_objects(settings, clock))
    stores, keys = build_stores(settings), build_key_file(settings)
    try:
        yield UserService(
            records=stores.records,
            results=stores.results,
            jobs=stores.jobs,
            models=files.models,
            datasets=files.datasets,
            keys=keys,
            clock=clock,
        )
    finally:
        keys.close()
        await stores.results.close()
