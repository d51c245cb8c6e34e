"""Store users' model files on this machine's disk, in a folder for each user that no name can leave."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from src.domain.errors import Conflict, InvalidInput, ModelNotFound, file_too_large
from src.domain.model_files import ModelDescription, ModelFile, check_user_id
from src.files.disk_work import DiskWork
from src.files.unfinished import is_left_over, is_unfinished, owner_mark, remove_if_empty, unfinished_name
from src.stores.incoming_file import IncomingFile, LastingMove
from src.stores.model_content import HEAD_BYTES, check_content
from src.stores.model_names import UploadName, is_stored_name, read_upload_name
from src.stores.model_recognition import TAIL_BYTES, recognize_extension
from src.stores.model_sidecars import build_sidecar, read_model_file, to_sidecar_path

TEMPORARY_FOLDER: Final = ".tmp"
"""User ids begin with a letter or digit, so no user's folder can have this name."""

API_FOLDER: Final = "storage"  # the root of relative paths in the APIs, for any STORAGE_DIR
_WRITE_BYTES: Final = 1024 * 1024
_MIN_SIDECAR_AGE_S: Final = 86_400.0

_on_disk: Final = DiskWork("model files").run

logger = logging.getLogger(__name__)


class DiskModelFiles:
    """Store model files as `storage_dir/{user_id}/{user_id}_{model_name}_{uuid}{ext}`, each with a sidecar `….json`.

    Files of one request, and those not yet stored, are in `storage_dir/.tmp/`; their names begin with the process that
    created them.

    Parameters
    ----------
    max_bytes
        Size of the largest file that is received.
    max_models_per_user
        Files that one user may store; temporary ones do not count.
    """

    def __init__(self, storage_dir: Path, *, max_bytes: int, max_models_per_user: int) -> None:
        self._root = storage_dir.resolve()
        self._roots = tuple(dict.fromkeys((str(self._root), str(storage_dir.absolute()), API_FOLDER)))
        self._max_bytes = max_bytes
        self._max_models = max_models_per_user
        self._counting = threading.Lock()

    async def open(self) -> None:
        """Create the root folder if there is none, and in it a folder that no other user of this machine may enter.

        An existing root keeps the permissions that the operator gave it.
        """
        for folder in (self._root, self._root / TEMPORARY_FOLDER):
            await _on_disk(functools.partial(folder.mkdir, mode=0o700, parents=True, exist_ok=True))

    async def receive(
        self,
        *,
        user_id: str,
        original_filename: str,
        model_name: str | None,
        chunks: AsyncIterator[bytes],
        is_for_keeping: bool = False,
    ) -> ModelFile:
        """Stream an upload to disk, at most `max_bytes` of it; see `ModelFileStore.receive`."""
        check_user_id(user_id)
        name = read_upload_name(original_filename, model_name)
        incoming = IncomingFile(self._root / TEMPORARY_FOLDER / unfinished_name())
        try:
            if is_for_keeping:
                await _on_disk(self._check_room, user_id)
            await _on_disk(incoming.open)
            name = await self._stream(incoming, name, chunks)
            return await _on_disk(self._name, incoming, user_id, name)
        except BaseException:
            # Shielded, so that a second cancellation does not leave the file either.
            await asyncio.shield(asyncio.to_thread(incoming.abandon))
            raise

    async def keep(self, file: ModelFile, description: ModelDescription | None = None) -> ModelFile:
        """Move a temporary file into its user's folder, its sidecar first; see `ModelFileStore.keep`."""
        path = self._folder(file.user_id) / file.path.name.removeprefix(owner_mark())
        kept = dataclasses.replace(file, path=path, description=description, is_temporary=False)
        move = LastingMove(file.path, path, to_sidecar_path(path), build_sidecar(kept))
        try:
            await _on_disk(self._move_in, file, move)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(move.undo))
            raise
        return kept

    async def list(self, user_id: str) -> Sequence[ModelFile]:
        return await _on_disk(self._read_folder, self._folder(user_id), user_id)

    async def get(self, user_id: str, reference: str) -> ModelFile:
        """Return a user's file.

        `reference` is a file name, `storage/{user_id}/{file name}`, or the absolute path. Raises ModelNotFound for
        anything else, and if only another user has such a file.
        """
        folder = self._folder(user_id)
        name = self._name_in(reference, user_id)
        file = await _on_disk(_read_in_real_folder, folder, name, user_id) if name else None
        if file is None:
            raise model_not_found(user_id, reference)
        return file

    async def delete(self, file: ModelFile) -> None:
        await _on_disk(self._remove, file)

    async def remove_leftovers(self) -> int:
        removed = await _on_disk(self._remove_leftovers)
        if removed:
            logger.info("leftover files removed: count=%d", removed)
        return removed

    def path_of(self, user_id: str, name: str) -> Path:
        """Return where a user's file of that name is, or would be."""
        return self._folder(user_id) / name

    def _folder(self, user_id: str) -> Path:
        return self._root / check_user_id(user_id)

    async def _stream(self, incoming: IncomingFile, name: UploadName, chunks: AsyncIterator[bytes]) -> UploadName:
        """Write the chunks in larger blocks, and check size and content.

        Return the name; if it has no extension, add the one that fits the content.
        """
        received = 0
        pending = bytearray()
        head, tail = b"", b""
        async for chunk in chunks:
            received += len(chunk)
            if received > self._max_bytes:
                raise file_too_large(self._max_bytes)
            pending += chunk
            if not head and len(pending) >= HEAD_BYTES:
                head = bytes(pending[:HEAD_BYTES])
                if name.extension:
                    check_content(name.extension, head)
            if len(pending) >= _WRITE_BYTES:
                tail = bytes(pending[-TAIL_BYTES:])
                await _on_disk(incoming.write, bytes(pending))
                pending.clear()
        if not received:
            raise InvalidInput("The file is empty. Send a model file.", field="file")
        head = head or bytes(pending[:HEAD_BYTES])
        if not name.extension:
            name = name._replace(extension=recognize_extension(head, (tail + pending)[-TAIL_BYTES:]))
        check_content(name.extension, head)
        await _on_disk(incoming.write, bytes(pending))
        return name

    def _name(self, incoming: IncomingFile, user_id: str, name: UploadName) -> ModelFile:
        sha256 = incoming.finish()
        file = ModelFile(
            path=self._root / TEMPORARY_FOLDER / (owner_mark() + name.stored(user_id)),
            user_id=user_id,
            original_filename=name.filename,
            model_name=name.model_name,
            extension=name.extension,
            size_bytes=incoming.size_bytes,
            sha256=sha256,
            is_temporary=True,
        )
        incoming.name(file.path)
        return file

    def _move_in(self, file: ModelFile, move: LastingMove) -> None:
        if not (file.is_temporary and self._is_ours(file) and file.path.exists()):
            raise model_not_found(file.user_id, file.path.name)
        with self._counting:
            self._check_room(file.user_id)
            move.run()

    def _check_room(self, user_id: str) -> None:
        if len(_stored_names(self._folder(user_id))) >= self._max_models:
            raise too_many_models(user_id, self._max_models)

    def _name_in(self, reference: str, user_id: str) -> str | None:
        """Return the file name in a reference; None if it cannot be a file of this user."""
        for root in self._roots:
            prefix = f"{root}/{user_id}/"
            if reference.startswith(prefix):
                reference = reference.removeprefix(prefix)
                break
        return reference if is_stored_name(reference) else None

    def _read_folder(self, folder: Path, user_id: str) -> Sequence[ModelFile]:
        files = []
        for name in _stored_names(folder):
            with contextlib.suppress(FileNotFoundError):  # deleted in the meantime
                changed_ns = (folder / name).lstat().st_mtime_ns
                if file := read_model_file(folder / name, user_id):
                    files.append((changed_ns, name, file))
        return [file for _, _, file in sorted(files, key=lambda item: item[:2], reverse=True)]

    def _is_ours(self, file: ModelFile) -> bool:
        folder = self._root / TEMPORARY_FOLDER if file.is_temporary else self._folder(file.user_id)
        return file.path.parent == folder and not folder.is_symlink()

    def _remove(self, file: ModelFile) -> None:
        if not self._is_ours(file):
            raise model_not_found(file.user_id, file.path.name)
        try:
            file.path.unlink(missing_ok=file.is_temporary)
        except FileNotFoundError as error:
            raise model_not_found(file.user_id, file.path.name) from error
        to_sidecar_path(file.path).unlink(missing_ok=True)
        if not file.is_temporary:
            remove_if_empty(file.path.parent)

    def _remove_leftovers(self) -> int:
        removed = 0
        for folder in _folders(self._root):
            before = removed
            for path in list(folder.iterdir()):
                with contextlib.suppress(FileNotFoundError):  # another worker removes leftovers too
                    if _is_leftover(path, is_temporary=folder.name == TEMPORARY_FOLDER):
                        path.unlink()
                        removed += 1
            if removed > before and folder.name != TEMPORARY_FOLDER:
                remove_if_empty(folder)
        return removed


def _folders(root: Path) -> Sequence[Path]:
    """Return the folders of users, and the folder of temporary files."""
    if not root.is_dir():
        return []
    candidates = (path for path in root.iterdir() if not path.name.startswith(".") or path.name == TEMPORARY_FOLDER)
    return [path for path in candidates if path.is_dir() and not path.is_symlink()]


def _is_leftover(path: Path, *, is_temporary: bool) -> bool:
    """Return whether a file belongs to a process that has ended, or is a day-old sidecar without a model."""
    if path.is_dir() and not path.is_symlink():
        return False
    if is_temporary or is_unfinished(path.name):
        return is_left_over(path)
    is_old = time.time() - path.lstat().st_mtime > _MIN_SIDECAR_AGE_S
    model = path.with_suffix("")
    return is_old and path.suffix == ".json" and is_stored_name(model.name) and not model.exists()


def _stored_names(folder: Path) -> Sequence[str]:
    if folder.is_symlink():
        return []
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name for entry in entries if is_stored_name(entry.name) and entry.is_file(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read_in_real_folder(folder: Path, name: str, user_id: str) -> ModelFile | None:
    return None if folder.is_symlink() or not folder.is_dir() else read_model_file(folder / name, user_id)


def model_not_found(user_id: str, reference: str) -> ModelNotFound:
    return ModelNotFound(
        "Model {got!r} does not exist or belongs to another user than {user!r}.", got=reference, user=user_id
    )


def too_many_models(user_id: str, most: int) -> Conflict:
    return Conflict(
        "User {user!r} has {most} model files. Maximum: {most} (MAX_MODELS_PER_USER). Delete one first.",
        user=user_id,
        most=most,
    )
