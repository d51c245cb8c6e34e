"""Connect to MongoDB, bound the time of its commands, and translate its errors to the service's own."""

from __future__ import annotations

import asyncio
import functools
import logging
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from pymongo import ReadPreference, WriteConcern
from pymongo.errors import ConfigurationError, DuplicateKeyError, InvalidURI, PyMongoError

from src.domain.errors import StoreUnavailable
from src.stores.mongo_driver import DEFAULT_DRIVER, DriverName, close_client, open_client

_SCHEMES: Final = ("mongodb://", "mongodb+srv://")
_RETRY_AFTER_S: Final = 5.0
_WRITE_CONCERN: Final = WriteConcern(w="majority", j=True, wtimeout=10_000)

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

logger = logging.getLogger(__name__)


class MongoDatabase:
    """One database of a MongoDB server; writes are acknowledged by the journals of a majority.

    Parameters
    ----------
    uri
        MongoDB connection string; no message quotes it.
    server_selection_timeout_s
        Seconds after which a call that finds no server fails.
    operation_timeout_s, call_timeout_s
        Seconds that one command, and all commands of one session, may take.
    driver
        `motor` or `pymongo`, which is PyMongo Async.

    The constructor raises StoreUnavailable if `uri` is not a connection string.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        server_selection_timeout_s: float = 5.0,
        operation_timeout_s: float = 10.0,
        call_timeout_s: float = 20.0,
        driver: DriverName = DEFAULT_DRIVER,
    ) -> None:
        self._client = connect(
            uri, connect_timeout_s=server_selection_timeout_s, operation_timeout_s=operation_timeout_s, driver=driver
        )
        self._name = name
        self._call_timeout_s = call_timeout_s
        self._is_closed = False
        self._writes: set[asyncio.Task[Any]] = set()

    def collection(self, name: str) -> Any:
        """Return the driver's collection of that name."""
        return self._client[self._name].get_collection(
            name, write_concern=_WRITE_CONCERN, read_preference=ReadPreference.PRIMARY
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Bound the time of the commands inside, and translate the driver's errors; see `bound_time`."""
        async with bound_time(self._call_timeout_s):
            if self._is_closed:
                raise StoreUnavailable("The result store is closed.")
            yield

    async def ping(self) -> None:
        """Wait for one reply of the server."""
        await self._client.admin.command("ping")

    async def finish(self, write: Coroutine[Any, Any, Returned]) -> Returned:
        """Wait for a write, which goes on if the caller is cancelled; `close` waits for it then.

        Its sessions bound its time. A driver that is cancelled within a command leaves its connection open (motor), or
        must open another one (PyMongo Async), and a partial write stays until it is removed as an orphan.
        """
        task = asyncio.create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def close(self) -> None:
        """Wait for the writes whose callers were cancelled, and close the connections; calls that follow fail."""
        self._is_closed = True
        if self._writes:
            await asyncio.wait(self._writes, timeout=self._call_timeout_s)
        await close_client(self._client)


class _HasDatabase(Protocol):
    @property
    def _database(self) -> MongoDatabase: ...


Owner = TypeVar("Owner", bound=_HasDatabase)


def finished(
    write: Callable[Concatenate[Owner, Parameters], Coroutine[Any, Any, Returned]],
) -> Callable[Concatenate[Owner, Parameters], Coroutine[Any, Any, Returned]]:
    """Let a method that writes run to its end even if its caller is cancelled; see `MongoDatabase.finish`."""

    @functools.wraps(write)
    async def call(self: Owner, /, *arguments: Parameters.args, **options: Parameters.kwargs) -> Returned:
        return await self._database.finish(write(self, *arguments, **options))

    return call


def _log_failure(write: asyncio.Task[Any]) -> None:
    """Log the error of a write whose caller is gone."""
    if not write.cancelled() and (error := write.exception()) is not None:
        logger.warning("write of a cancelled caller failed: error=%s", error.__cause__ or error)


def connect(
    uri: str, *, connect_timeout_s: float, operation_timeout_s: float, driver: DriverName = DEFAULT_DRIVER
) -> Any:
    """Return the driver's client; it connects at the first call.

    Parameters
    ----------
    connect_timeout_s
        Seconds to look for a server, and to wait for its greeting.
    operation_timeout_s
        Seconds that one command may wait for its connection, and then for the server. Without it the driver waits
        forever for a server that keeps the connection and stops responding. The driver's own `timeoutMS` would also
        replace the time to look for a server (pymongo 4.20).

    Raises StoreUnavailable if `uri` is not a connection string; the message does not quote it.
    """
    connect_timeout_ms, operation_timeout_ms = round(connect_timeout_s * 1000), round(operation_timeout_s * 1000)
    try:
        with warnings.catch_warnings():
            # The driver only warns of options that it does not know or cannot read, and ignores them.
            warnings.simplefilter("error", UserWarning)
            if not uri.startswith(_SCHEMES):  # the driver would read it as the name of a host
                raise InvalidURI("no scheme")
            options: dict[str, Any] = {
                "serverSelectionTimeoutMS": connect_timeout_ms,
                "connectTimeoutMS": connect_timeout_ms,
                "socketTimeoutMS": operation_timeout_ms,
                "waitQueueTimeoutMS": operation_timeout_ms,
                "appname": "backtesting",
            }
            # Options in the string take precedence; a keyword would override them.
            said = {option.partition("=")[0].lower() for option in uri.partition("?")[2].split("&")}
            return open_client(driver, uri, {name: ours for name, ours in options.items() if name.lower() not in said})
    except (ConfigurationError, ValueError, TypeError, UserWarning):
        # Not chained: these errors may quote parts of the string, and it holds a password.
        raise StoreUnavailable(
            "MONGODB_URI is not a MongoDB connection string. Allowed: one that begins with {schemes}, has known "
            "options only, and whose user and password are percent-encoded.",
            schemes=" or ".join(_SCHEMES),
        ) from None


@asynccontextmanager
async def bound_time(timeout_s: float) -> AsyncIterator[None]:
    """Bound the time of several commands, and translate the driver's errors to StoreUnavailable.

    A DuplicateKeyError passes, as only the caller knows which key it is.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except DuplicateKeyError:
        raise
    except (PyMongoError, TimeoutError) as error:
        # The driver's message names hosts and ports: it is for the log, not for clients.
        raise StoreUnavailable(
            "The result store cannot be used: MongoDB does not respond as it should.", retry_after_s=_RETRY_AFTER_S
        ) from error
