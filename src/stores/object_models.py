"""Store users' model files as objects, which every host sees; the sandbox opens this host's copy."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from src.domain.model_files import ModelDescription, ModelFile, check_user_id
from src.domain.signals import Features, OutputKind, Predictions
from src.files.unfinished import owner_mark
from src.objects.user_objects import ObjectRecord, TooMany, UserObjects
from src.ports.computing import ModelRunner
from src.stores.model_files import API_FOLDER, DiskModelFiles, model_not_found, too_many_models
from src.stores.model_names import is_stored_name
from src.stores.model_sidecars import from_kept, to_kept


class ObjectModelFiles:
    """The ModelFileStore of several hosts: the files of one request are on this host's disk, stored ones are objects.

    Clients see the path that a stored file would have on this host's disk, but no file is there. Code that opens a file
    gets the path of a copy: see `HeldModelRunner`.

    Parameters
    ----------
    disk
        Receives uploads, and has the files of one request.
    max_models_per_user
        Files that one user may store, for messages: `objects` counts them.
    """

    def __init__(self, disk: DiskModelFiles, objects: UserObjects, *, max_models_per_user: int) -> None:
        self._disk = disk
        self._objects = objects
        self._max_models = max_models_per_user

    async def open(self) -> None:
        """Create the folders of this host."""
        await self._disk.open()

    async def receive(
        self,
        *,
        user_id: str,
        original_filename: str,
        model_name: str | None,
        chunks: AsyncIterator[bytes],
        is_for_keeping: bool = False,
    ) -> ModelFile:
        """Stream an upload to this host's disk; see `ModelFileStore.receive`."""
        if is_for_keeping:
            try:
                await self._objects.check_room(check_user_id(user_id))
            except TooMany:
                raise too_many_models(user_id, self._max_models) from None
        return await self._disk.receive(
            user_id=user_id, original_filename=original_filename, model_name=model_name, chunks=chunks
        )

    async def keep(self, file: ModelFile, description: ModelDescription | None = None) -> ModelFile:
        """Store a temporary file as an object, and move it into this host's cache; see `ModelFileStore.keep`."""
        name = file.path.name.removeprefix(owner_mark())
        if not file.is_temporary:
            raise model_not_found(file.user_id, name)
        stored = dataclasses.replace(file, path=file.path.with_name(name), description=description)
        try:
            record = await self._objects.store(
                user_id=file.user_id,
                name=name,
                content=file.path,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                about=to_kept(stored),
            )
        except TooMany:
            raise too_many_models(file.user_id, self._max_models) from None
        except FileNotFoundError as error:
            raise model_not_found(file.user_id, name) from error
        return self._file(record)

    async def list(self, user_id: str) -> Sequence[ModelFile]:
        return [self._file(record) for record in await self._objects.records(check_user_id(user_id))]

    async def get(self, user_id: str, reference: str) -> ModelFile:
        """Return a user's file; see `DiskModelFiles.get`. An absolute path may be one of another host's STORAGE_DIR."""
        name = _name_in(reference, check_user_id(user_id))
        record = await self._objects.find(user_id, name) if name else None
        if record is None:
            raise model_not_found(user_id, reference)
        return self._file(record)

    async def delete(self, file: ModelFile) -> None:
        if file.is_temporary:
            await self._disk.delete(file)
        elif not await self._objects.remove(file.user_id, file.path.name):
            raise model_not_found(file.user_id, file.path.name)

    async def remove_leftovers(self) -> int:
        """Remove the files of unfinished uploads to this host; `UserObjects.clean` does so in the object store."""
        return await self._disk.remove_leftovers()

    @asynccontextmanager
    async def hold(self, file: ModelFile) -> AsyncIterator[Path]:
        """Give the path of a file whose content is on this host's disk while the block runs; raises ModelNotFound."""
        if file.is_temporary:
            yield file.path
            return
        record = await self._objects.find(file.user_id, file.path.name)
        if record is None:
            raise model_not_found(file.user_id, file.path.name)
        try:
            async with self._objects.hold(record) as path:
                yield path
        except FileNotFoundError:
            raise model_not_found(file.user_id, file.path.name) from None

    def _file(self, record: ObjectRecord) -> ModelFile:
        return from_kept(
            record.about,
            self._disk.path_of(record.user_id, record.name),
            user_id=record.user_id,
            size_bytes=record.size_bytes,
            sha256=record.sha256,
        )


def _name_in(reference: str, user_id: str) -> str | None:
    """Return the file name in a reference; None if it cannot be a file of this user."""
    folder, slash, name = reference.rpartition("/")
    is_absolute = folder.startswith("/") and not {"", ".", ".."} & set(folder[1:].split("/"))
    is_in_folder = folder == f"{API_FOLDER}/{user_id}" or (is_absolute and folder.endswith(f"/{user_id}"))
    return name if is_stored_name(name) and (not slash or is_in_folder) else None


class HeldModelRunner:
    """The ModelRunner that lets another one open a file only while its content is on this host's disk."""

    def __init__(self, runner: ModelRunner, files: ObjectModelFiles) -> None:
        self._runner = runner
        self._files = files

    async def inspect(self, file: ModelFile) -> ModelDescription:
        async with self._files.hold(file) as path:
            return await self._runner.inspect(dataclasses.replace(file, path=path))

    async def predict(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        audit_seed: int | None = None,
    ) -> Predictions:
        async with self._files.hold(file) as path:
            held = dataclasses.replace(file, path=path)
            return await self._runner.predict(held, features, feature_columns, kind, audit_seed=audit_seed)

    async def predict_prefixes(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        lengths: Sequence[int],
    ) -> Sequence[Predictions]:
        async with self._files.hold(file) as path:
            held = dataclasses.replace(file, path=path)
            return await self._runner.predict_prefixes(held, features, feature_columns, kind, lengths=lengths)

    async def close(self) -> None:
        await self._runner.close()
