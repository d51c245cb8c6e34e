"""Choose the driver of MongoDB (MONGO_DRIVER), and call both in the same way where their calls differ."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

DriverName = Literal["motor", "pymongo"]

DEFAULT_DRIVER: Final[DriverName] = "motor"


def open_client(driver: DriverName, uri: str, options: Mapping[str, Any]) -> Any:
    """Return the driver's client, which connects at the first call.

    Motor sends commands from threads; PyMongo Async sends them from the event loop of the first call, and closes the
    connection of a command that is cancelled. Raises what the driver raises for an invalid `uri`.
    """
    # Only the chosen driver is loaded: motor is past its end of life, and may be absent one day.
    if driver == "pymongo":
        from pymongo import AsyncMongoClient  # noqa: PLC0415

        return AsyncMongoClient(uri, **options)
    from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415

    return AsyncIOMotorClient(uri, **options)


async def close_client(client: Any) -> None:
    """Close the connections of a client of either driver."""
    closing = client.close()
    if inspect.isawaitable(closing):  # PyMongo Async
        await closing


async def aggregate(collection: Any, pipeline: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return all documents that a pipeline gives."""
    cursor = collection.aggregate(pipeline)
    if inspect.isawaitable(cursor):  # PyMongo Async sends the command here, motor with the first document
        cursor = await cursor
    documents: list[Any] = await cursor.to_list(None)
    return documents
