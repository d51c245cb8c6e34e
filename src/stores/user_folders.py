"""Count and delete users' files of one kind: a folder with one folder for each user."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from src.domain.errors import InvalidInput, StoreUnavailable
from src.domain.model_files import check_user_id
from src.ports.stores import UserFiles

_SIDECAR = ".json"
"""A description is beside each model file; its bytes count, but it does not count as a file of the user."""


class UserFolders:
    """The UserFiles under `root`; other folders in it, and links, are left alone.

    Every method raises StoreUnavailable if the disk cannot be read or written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def usage(self, user_id: str | None = None) -> Mapping[str, tuple[int, int]]:
        return await asyncio.to_thread(self._usage, None if user_id is None else check_user_id(user_id))

    async def delete(self, user_id: str) -> int:
        return await asyncio.to_thread(self._delete, check_user_id(user_id))

    def _usage(self, user_id: str | None) -> Mapping[str, tuple[int, int]]:
        if not self._root.is_dir():
            return {}
        try:
            folders = self._root.iterdir() if user_id is None else [self._root / user_id]
            return {path.name: _count(path) for path in folders if _is_of_user(path)}
        except OSError as error:
            raise _unusable(error) from error

    def _delete(self, user_id: str) -> int:
        folder = self._root / user_id
        if not _is_of_user(folder):
            return 0
        try:
            count, _ = _count(folder)
            shutil.rmtree(folder)
        except OSError as error:
            raise _unusable(error) from error
        return count


class AllUserFiles:
    """The UserFiles of several places: a user's files are those of all of them."""

    def __init__(self, *places: UserFiles) -> None:
        self._places = places

    async def usage(self, user_id: str | None = None) -> Mapping[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for place in self._places:
            for user, (count, size) in (await place.usage(user_id)).items():
                known = found.get(user, (0, 0))
                found[user] = (known[0] + count, known[1] + size)
        return found

    async def delete(self, user_id: str) -> int:
        return sum([await place.delete(user_id) for place in self._places])


def _is_of_user(path: Path) -> bool:
    try:
        check_user_id(path.name)
    except InvalidInput:
        return False
    return path.is_dir() and not path.is_symlink()


def _count(folder: Path) -> tuple[int, int]:
    """Return the number of a user's files, and the bytes of all files."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    names = [path.name for path in files if not path.name.startswith(".") and not path.name.endswith(_SIDECAR)]
    return len(names), sum(path.stat().st_size for path in files)


def _unusable(error: OSError) -> StoreUnavailable:
    return StoreUnavailable("Users' files cannot be read or deleted: {reason}.", reason=error.strerror or "disk error")
