"""Construct the stores of results, trials and jobs: in MongoDB if the settings name one, else in SQLite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import SecretStr

from src.domain.runs import ResultQuota
from src.ports.jobs import JobStore
from src.ports.stores import ResultStore, TrialLedger, UserRecords
from src.settings import Settings
from src.stores.ledger_limits import BoundedTrialLedger, LedgerQuota
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from src.stores.sqlite_ledger import SqliteTrialLedger
from src.stores.sqlite_users import SqliteUsers

if TYPE_CHECKING:
    from src.stores.mongo_connection import MongoDatabase

RESULTS_FILE: Final = ".results/backtests.sqlite3"
"""Inside the storage folder; no user's folder begins with a dot."""

RESERVE_BYTES: Final = 8 * 1024 * 1024
"""Deleting a result of 3 million bars writes less than 1 MiB; returning its pages to the disk, 2 MiB at a time."""


class Stores(NamedTuple):
    """The stores of one process; all share a connection, which the result store closes."""

    results: ResultStore
    ledger: TrialLedger
    jobs: JobStore
    records: UserRecords


def build_stores(settings: Settings, mongo: MongoDatabase | None = None) -> Stores:
    """Return the stores of results, trials and jobs, and what they hold of each user.

    `mongo` is the database of MONGODB_URI, if it is open already.
    """
    quota = ResultQuota(max_results=settings.max_results_per_user, max_bytes=settings.max_result_bytes_per_user)
    of_ledgers = LedgerQuota(max_bytes_per_user=settings.max_ledger_bytes_per_user, max_bytes=settings.max_ledger_bytes)
    if settings.mongodb_uri is not None:
        from src.stores.mongo import MongoStore  # noqa: PLC0415  (takes 1/8 s; only its users need it)
        from src.stores.mongo_jobs import MongoJobs  # noqa: PLC0415
        from src.stores.mongo_ledger import MongoTrialLedger  # noqa: PLC0415
        from src.stores.mongo_users import MongoUsers  # noqa: PLC0415

        mongo = mongo or build_mongo(settings.mongodb_uri, settings)
        ledger = BoundedTrialLedger(MongoTrialLedger(mongo), of_ledgers)
        return Stores(MongoStore(mongo, quota=quota), ledger, MongoJobs(mongo), MongoUsers(mongo))
    sqlite = SqliteDatabase(settings.storage_dir / RESULTS_FILE, reserve_bytes=RESERVE_BYTES)
    bounded = BoundedTrialLedger(SqliteTrialLedger(sqlite), of_ledgers)
    return Stores(SqliteStore(sqlite, quota=quota), bounded, SqliteJobs(sqlite), SqliteUsers(sqlite))


def build_mongo(uri: SecretStr, settings: Settings) -> MongoDatabase:
    """Return the database of the settings at `uri`; it connects at the first call.

    Raises StoreUnavailable if `uri` is no connection string.
    """
    from src.stores.mongo_connection import MongoDatabase  # noqa: PLC0415  (takes 1/8 s; only its users need it)

    return MongoDatabase(uri.get_secret_value(), settings.mongodb_database, driver=settings.mongo_driver)


def build_ledger_reader(settings: Settings) -> tuple[TrialLedger, Callable[[], Awaitable[None]]]:
    """Return the ledger of trials for reading beside a running service, and what closes it."""
    if settings.mongodb_uri is not None:
        stores = build_stores(settings)
        return stores.ledger, stores.results.close
    sqlite = SqliteDatabase(settings.storage_dir / RESULTS_FILE, reader_count=1, is_read_only=True)
    return SqliteTrialLedger(sqlite), sqlite.close
