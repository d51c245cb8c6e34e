"""Store datasets as objects, which every host sees; this host reads them from a copy on its disk."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from src.datasets.files import DamagedDataset, encode, from_plain, to_plain
from src.datasets.reading.reader import BarFileReader
from src.datasets.reading.times import parse_zone
from src.datasets.receiving import DatasetReceiver
from src.datasets.source import DatasetSource
from src.datasets.store import dataset_not_found, name_taken, read_rates_of, too_many
from src.domain.datasets import BarFileDeclaration, Dataset, check_dataset_name
from src.domain.errors import InvalidInput, SourceNotFound, StoreUnavailable
from src.domain.funding_rates import FundingRates
from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.model_files import check_user_id
from src.files.disk_work import DiskWork
from src.objects.user_objects import NameTaken, ObjectRecord, TooMany, UserObjects
from src.ports.clock import Clock

logger = logging.getLogger(__name__)

_on_disk: Final = DiskWork("datasets", raised=(FileNotFoundError,)).run


class ObjectDatasets:
    """The `DatasetStore` of several hosts.

    Parameters
    ----------
    folder
        Where an upload is stored while it is read.
    max_bytes
        Size of the largest file that is received.
    max_datasets_per_user
        Datasets that one user may store, for messages: `objects` counts them.
    """

    def __init__(
        self,
        objects: UserObjects,
        folder: Path,
        *,
        reader: BarFileReader,
        clock: Clock,
        max_bytes: int,
        max_datasets_per_user: int,
    ) -> None:
        self._objects = objects
        self._receiver = DatasetReceiver(folder.absolute(), reader=reader, clock=clock, max_bytes=max_bytes)
        self._max_datasets = max_datasets_per_user

    async def receive(
        self,
        *,
        user_id: str,
        name: str,
        original_filename: str,
        declared: BarFileDeclaration,
        chunks: AsyncIterator[bytes],
    ) -> Dataset:
        """Read a file and store its bars; see `DatasetStore.receive`."""
        check_user_id(user_id)
        name = check_dataset_name(name)
        parse_zone(declared.timezone)  # a wrong zone is rejected before the file is read
        try:
            await self._objects.check_room(user_id, name)
            dataset, rows = await self._receiver.receive(
                user_id=user_id, name=name, original_filename=original_filename, declared=declared, chunks=chunks
            )
            content = await asyncio.to_thread(encode, dataset, rows)
            await self._objects.store(
                user_id=user_id,
                name=name,
                content=content,
                sha256=await asyncio.to_thread(_hash, content),
                size_bytes=len(content),
                about=to_plain(dataset),
            )
        except NameTaken:
            raise name_taken(name) from None
        except TooMany:
            raise too_many(user_id, self._max_datasets) from None
        return dataset

    async def list(self, user_id: str) -> Sequence[Dataset]:
        found = []
        for record in await self._objects.records(check_user_id(user_id)):
            try:
                found.append(_read(record))
            except DamagedDataset as damage:
                logger.error("dataset damaged: user=%s name=%s error=%s", user_id, record.name, damage)
        return sorted(found, key=lambda dataset: (-dataset.uploaded_ms, dataset.name))

    async def get(self, user_id: str, name: str) -> Dataset:
        try:
            return _read(await self._find(user_id, name))
        except DamagedDataset as damage:
            raise StoreUnavailable(
                "The entry of the dataset {name!r} is damaged. Upload it again.", name=name.lower()
            ) from damage

    async def source(self, user_id: str, name: str) -> ObjectDatasetSource:
        return ObjectDatasetSource(self._objects, await self._find(user_id, name))

    async def rates(self, user_id: str, name: str) -> tuple[Dataset, FundingRates]:
        record = await self._find(user_id, name)
        try:
            async with self._objects.hold(record) as path:
                return await _on_disk(read_rates_of, path, name)
        except FileNotFoundError:
            raise dataset_not_found(name) from None

    async def delete(self, user_id: str, name: str) -> None:
        if not await self._objects.remove(check_user_id(user_id), _known_name(name)):
            raise dataset_not_found(name)

    async def remove_leftovers(self) -> int:
        """Do nothing: uploads are nameless files, and `UserObjects.clean` removes what is left in the object store."""
        return 0

    async def _find(self, user_id: str, name: str) -> ObjectRecord:
        """Return the record of a dataset; raises SourceNotFound."""
        record = await self._objects.find(check_user_id(user_id), _known_name(name))
        if record is None:
            raise dataset_not_found(name)
        return record


class ObjectDatasetSource:
    """The `BarSource` of a dataset that is an object; its file is on this host's disk while it is read."""

    def __init__(self, objects: UserObjects, record: ObjectRecord) -> None:
        self._objects = objects
        self._record = record

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the requested bars; see `DatasetSource.fetch`."""
        try:
            async with self._objects.hold(self._record) as path:
                return await DatasetSource(path).fetch(market)
        except FileNotFoundError:
            raise SourceNotFound("Source {name!r} does not exist any more.", name=self._record.name) from None

    async def listings(self) -> Sequence[Listing]:
        """Return the one symbol of the dataset; its assets, and whether it trades, are unknown."""
        try:
            symbol = _read(self._record).symbol
        except DamagedDataset as damage:
            raise StoreUnavailable(
                "The entry of the dataset {name!r} is damaged. Upload it again.", name=self._record.name
            ) from damage
        return (Listing(symbol=symbol, base="", quote="", is_trading=False),)

    async def close(self) -> None:
        """Do nothing: the file is open only while it is read."""


def _read(record: ObjectRecord) -> Dataset:
    try:
        return from_plain(record.about)
    except (KeyError, TypeError, ValueError, InvalidInput) as error:
        raise DamagedDataset("its entry is altered") from error


def _known_name(name: str) -> str:
    """Return a name in lower case; raises SourceNotFound if it is invalid."""
    try:
        return check_dataset_name(name)
    except InvalidInput as error:
        raise dataset_not_found(name) from error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
