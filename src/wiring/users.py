"""Construct what the operator's commands about users need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from src.bars.clock import SystemClock
from src.ports.clock import Clock
from src.ports.stores import UserFiles, UserRecords
from src.service.users import UserService
from src.settings import Settings
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_users import SqliteUsers
from src.stores.user_folders import AllUserFiles, UserFolders
from src.wiring.adapters import DATASETS_FOLDER
from src.wiring.identity import build_key_file
from src.wiring.objects import build_objects
from src.wiring.stores import RESERVE_BYTES, RESULTS_FILE, build_mongo, build_stores


@asynccontextmanager
async def open_users(settings: Settings) -> AsyncIterator[UserService]:
    """Open the stores for the operator, beside a running service; they close with the block."""
    clock = SystemClock()
    models, datasets = _build_files(settings, clock)
    results, _, jobs = build_stores(settings)
    records, close = _build_records(settings)
    keys = build_key_file(settings)
    try:
        yield UserService(
            records=records,
            results=results,
            jobs=jobs,
            models=models,
            datasets=datasets,
            keys=keys,
            clock=clock,
        )
    finally:
        keys.close()
        await close()
        await results.close()


def _build_files(settings: Settings, clock: Clock) -> tuple[UserFiles, UserFiles]:
    """Return users' models and datasets: those of this host, and with OBJECT_STORE_URL those of all hosts."""
    models, datasets = UserFolders(settings.storage_dir), UserFolders(settings.storage_dir / DATASETS_FOLDER)
    objects = build_objects(settings, clock)
    if objects is None:
        return models, datasets
    # What was stored here before the setting was given is the user's too.
    return AllUserFiles(objects.models, models), AllUserFiles(objects.datasets, datasets)


def _build_records(settings: Settings) -> tuple[UserRecords, Callable[[], Awaitable[None]]]:
    if settings.mongodb_uri is not None:
        from src.stores.mongo_users import MongoUsers  # noqa: PLC0415  (takes 1/8 s; only its users need it)

        mongo = build_mongo(settings.mongodb_uri, settings)
        return MongoUsers(mongo), mongo.close
    sqlite = SqliteDatabase(settings.storage_dir / RESULTS_FILE, reserve_bytes=RESERVE_BYTES)
    return SqliteUsers(sqlite), sqlite.close
