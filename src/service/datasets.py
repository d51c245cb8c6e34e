"""Receive, list and delete datasets: the bars that users upload."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from src.domain.datasets import BarFileDeclaration, Dataset, check_dataset_name, dataset_name_of
from src.domain.errors import InvalidInput
from src.domain.model_files import check_user_id
from src.ports.market import DatasetStore


class DatasetService:
    """The use cases of datasets; no dataset may have one of the `reserved_names`, which are the service's sources."""

    def __init__(self, store: DatasetStore, *, reserved_names: Sequence[str]) -> None:
        self._store = store
        self._reserved_names = reserved_names

    async def upload(
        self,
        *,
        user_id: str,
        name: str | None,
        original_filename: str,
        declared: BarFileDeclaration,
        chunks: AsyncIterator[bytes],
    ) -> Dataset:
        """Read a file of bars and store it as a dataset, by default under the file's name.

        Raises InvalidInput, UnsupportedFormat, TooLarge, TimedOut, Busy, Conflict, StoreUnavailable.
        """
        check_user_id(user_id)
        name = check_dataset_name(name) if name else dataset_name_of(original_filename)
        if name in self._reserved_names:
            raise InvalidInput(
                "{field} is {got!r}, which is a source of the service. Give another.", field="name", got=name
            )
        return await self._store.receive(
            user_id=user_id, name=name, original_filename=original_filename, declared=declared, chunks=chunks
        )

    async def list(self, user_id: str) -> Sequence[Dataset]:
        """Return a user's datasets, newest first."""
        return await self._store.list(check_user_id(user_id))

    async def delete(self, user_id: str, name: str) -> Dataset:
        """Delete a user's dataset and return its description; raises SourceNotFound."""
        dataset = await self._store.get(check_user_id(user_id), name)
        await self._store.delete(user_id, name)
        return dataset
