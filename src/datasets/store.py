"""Store datasets on this machine's disk, as `{folder}/{user_id}/{name}.bars`; a file is complete or does not exist."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from src.datasets.files import DamagedDataset, OtherKind, encode, read_head, read_rates
from src.datasets.reading.reader import BarFileReader
from src.datasets.reading.times import parse_zone
from src.datasets.receiving import DatasetReceiver
from src.datasets.source import DatasetSource
from src.domain.bars import Bars
from src.domain.datasets import BarFileDeclaration, Dataset, check_dataset_name
from src.domain.errors import Conflict, InvalidInput, SourceNotFound, StoreUnavailable
from src.domain.funding_rates import FundingRates
from src.domain.model_files import check_user_id
from src.files.disk_work import DiskWork
from src.files.unfinished import open_in_folder, remove_if_empty, remove_unfinished, unfinished_name
from src.files.writing import sync, write_synced
from src.ports.clock import Clock

logger = logging.getLogger(__name__)

Content = TypeVar("Content")

_SUFFIX: Final = ".bars"
_on_disk: Final = DiskWork("datasets", raised=(FileNotFoundError,)).run


class DiskDatasets:
    """The `DatasetStore` in one folder, with a folder for each user; no name of a dataset leads out of it.

    Parameters
    ----------
    max_bytes
        Size of the largest file that is received.
    max_datasets_per_user
        Datasets that one user may store.
    """

    def __init__(
        self, folder: Path, *, reader: BarFileReader, clock: Clock, max_bytes: int, max_datasets_per_user: int
    ) -> None:
        self._root = folder.absolute()
        self._receiver = DatasetReceiver(self._root, reader=reader, clock=clock, max_bytes=max_bytes)
        self._max_datasets = max_datasets_per_user
        self._counting = threading.Lock()

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
        path = self._path(user_id, name)
        parse_zone(declared.timezone)  # a wrong zone is rejected before the file is read
        await _on_disk(self._check_room, path)
        dataset, content = await self._receiver.receive(
            user_id=user_id, name=path.stem, original_filename=original_filename, declared=declared, chunks=chunks
        )
        await _on_disk(self._keep, path, dataset, content)
        return dataset

    async def list(self, user_id: str) -> Sequence[Dataset]:
        return await _on_disk(self._read_folder, self._folder(user_id))

    async def get(self, user_id: str, name: str) -> Dataset:
        return await _on_disk(_read_plain_file, self._known_path(user_id, name), name, read_head)

    async def source(self, user_id: str, name: str) -> DatasetSource:
        path = self._known_path(user_id, name)
        if not await _on_disk(_is_plain_file, path):
            raise dataset_not_found(name)
        return DatasetSource(path)

    async def rates(self, user_id: str, name: str) -> tuple[Dataset, FundingRates]:
        return await _on_disk(read_rates_of, self._known_path(user_id, name), name)

    async def delete(self, user_id: str, name: str) -> None:
        path = self._known_path(user_id, name)
        try:
            if path.parent.is_symlink():
                raise dataset_not_found(name)
            await _on_disk(path.unlink)
            await _on_disk(remove_if_empty, path.parent)
        except FileNotFoundError as error:
            raise dataset_not_found(name) from error

    async def remove_leftovers(self) -> int:
        return await _on_disk(self._sweep)

    def _folder(self, user_id: str) -> Path:
        return self._root / check_user_id(user_id)

    def _path(self, user_id: str, name: str) -> Path:
        return self._folder(user_id) / f"{check_dataset_name(name)}{_SUFFIX}"

    def _known_path(self, user_id: str, name: str) -> Path:
        """Return the path of a dataset; raises SourceNotFound if the name is invalid."""
        try:
            return self._path(user_id, name)
        except InvalidInput as error:
            if error.field == "name":
                raise dataset_not_found(name) from error
            raise

    def _check_room(self, path: Path) -> None:
        if _is_plain_file(path):
            raise name_taken(path.stem)
        if len(_names_in(path.parent)) >= self._max_datasets:
            raise too_many(path.parent.name, self._max_datasets)

    def _keep(self, path: Path, dataset: Dataset, content: Bars | FundingRates) -> None:
        """Write the file under a hidden name, then link it to its own; raises Conflict if that name is taken."""
        hidden = path.with_name(unfinished_name())
        descriptor = open_in_folder(hidden)
        try:
            with os.fdopen(descriptor, "wb") as file:
                write_synced(file, encode(dataset, content))
            with self._counting:
                self._check_room(path)
                try:
                    path.hardlink_to(hidden)  # unlike a rename, never replaces a file
                except FileExistsError as error:
                    raise Conflict("Source {name!r} exists already.", name=path.stem) from error
            sync(path.parent)
        finally:
            hidden.unlink(missing_ok=True)
            remove_if_empty(path.parent)

    def _read_folder(self, folder: Path) -> Sequence[Dataset]:
        found = []
        for name in _names_in(folder):
            try:
                found.append(read_head(folder / name))
            except FileNotFoundError:
                continue  # deleted in the meantime
            except DamagedDataset as damage:
                logger.error("dataset damaged: file=%s error=%s", name, damage)
        return sorted(found, key=lambda dataset: (-dataset.uploaded_ms, dataset.name))

    def _sweep(self) -> int:
        swept = remove_unfinished(self._root.glob("*/.*.part"))
        for folder in self._root.glob("[!.]*"):
            remove_if_empty(folder)
        return swept


def read_rates_of(path: Path, name: str) -> tuple[Dataset, FundingRates]:
    """Read a dataset of funding; raises SourceNotFound, StoreUnavailable if it is damaged, InvalidInput."""
    try:
        return _read_plain_file(path, name, read_rates)
    except OtherKind as other:
        raise InvalidInput(
            "{field} is {got!r}, a dataset of bars. Allowed: one of funding rates.", field="fundingHistory", got=name
        ) from other


def _read_plain_file(path: Path, name: str, read: Callable[[Path], Content]) -> Content:
    """Read a dataset; raises SourceNotFound if there is none, StoreUnavailable if it is damaged."""
    if not _is_plain_file(path):
        raise dataset_not_found(name)
    try:
        return read(path)
    except FileNotFoundError as error:
        raise dataset_not_found(name) from error
    except DamagedDataset as damage:
        raise _damaged(name) from damage


def _damaged(name: str) -> StoreUnavailable:
    return StoreUnavailable("The dataset {name!r} is damaged on the disk. Upload it again.", name=name.lower())


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def _names_in(folder: Path) -> Sequence[str]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if path.suffix == _SUFFIX and not path.name.startswith(".")]


def dataset_not_found(name: str) -> SourceNotFound:
    return SourceNotFound("Dataset {got!r} does not exist or belongs to another user.", got=name)


def name_taken(name: str) -> Conflict:
    return Conflict("Source {name!r} exists already. Delete it first, or give another name.", name=name)


def too_many(user_id: str, most: int) -> Conflict:
    return Conflict(
        "User {user!r} has {most} datasets. Maximum: {most} (MAX_DATASETS_PER_USER). Delete one first.",
        user=user_id,
        most=most,
    )
