"""Construct what the operator's commands about users need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.bars.clock import SystemClock
from src.service.users import UserService
from src.settings import Settings
from src.stores.user_folders import UserFolders
from src.wiring.adapters import DATASETS_FOLDER
from src.wiring.identity import build_key_file
from src.wiring.stores import build_stores


@asynccontextmanager
async def open_users(settings: Settings) -> AsyncIterator[UserService]:
    """Open the stores for the operator, beside a running service; they close with the block."""
    stores, keys = build_stores(settings), build_key_file(settings)
    try:
        yield UserService(
            records=stores.records,
            results=stores.results,
            jobs=stores.jobs,
            models=UserFolders(settings.storage_dir),
            datasets=UserFolders(settings.storage_dir / DATASETS_FOLDER),
            keys=keys,
            clock=SystemClock(),
        )
    finally:
        keys.close()
        await stores.results.close()
