"""Store users' files of one kind as objects, so that every host sees them.

    {kind}/records/{user}/{name}.json                     the record of a file; the file exists if its record does
    {kind}/content/{user}/{name}/{SHA-256}-{random}       its content, which belongs to this record alone

To store a file: 1. write its content; 2. write its record, unless the name is taken (`If-None-Match: *`, so that only
one of two hosts succeeds); 3. withdraw the file if the user now has too many. Deletion goes in reverse order. A killed
host leaves content without a record: no operation shows it, and `clean` removes it once it is old.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from src.domain.errors import InvalidInput, StoreUnavailable
from src.domain.model_files import check_user_id
from src.objects.bucket import Bucket, StoredObject
from src.objects.cache import ObjectCache
from src.ports.clock import Clock

ORPHAN_AGE_MS: Final = 24 * 3600 * 1000
"""Content without a record that is older than this was left by a host that died; no upload takes as long."""

_RECORD_VERSION: Final = 1
_MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
_READS_AT_ONCE: Final = 8

logger = logging.getLogger(__name__)


class NameTaken(Exception):
    """The user has a file of that name already."""


class TooMany(Exception):
    """The user has as many files as allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """The record of a stored file; `about` is JSON that its store understands."""

    user_id: str
    name: str
    content: str
    sha256: str
    size_bytes: int
    stored_ms: int
    about: Mapping[str, Any]


class _Listed(NamedTuple):
    """The user and the name of a listed object."""

    user_id: str
    name: str
    stored: StoredObject


class UserObjects:
    """The files of one kind of all users, and the `UserFiles` of the operator's commands.

    Parameters
    ----------
    kind
        `models` or `datasets`: the first part of all keys.
    max_count
        Files that one user may store.
    suffix
        Added to a file's name in the name of its copy on the disk.

    Every method raises StoreUnavailable if the object store or this host's disk cannot be used.
    """

    def __init__(
        self, bucket: Bucket, cache: ObjectCache, *, kind: str, clock: Clock, max_count: int, suffix: str = ""
    ) -> None:
        self._bucket = bucket
        self._cache = cache
        self._kind = kind
        self._clock = clock
        self._max_count = max_count
        self._suffix = suffix

    async def check_room(self, user_id: str, name: str | None = None) -> None:
        """Raise NameTaken or TooMany if a file of that name cannot be stored now."""
        listed = await self._list("records", user_id)
        if any(item.name == name for item in listed):
            raise NameTaken
        if len(listed) >= self._max_count:
            raise TooMany

    async def store(
        self, *, user_id: str, name: str, content: bytes | Path, sha256: str, size_bytes: int, about: Mapping[str, Any]
    ) -> ObjectRecord:
        """Store a file; once this returns, every host sees it. A file on the disk is moved into this host's cache.

        If it raises or is cancelled, nothing is stored. Raises NameTaken, TooMany.
        """
        record = ObjectRecord(
            user_id=check_user_id(user_id),
            name=name,
            content=f"{sha256}-{uuid.uuid4().hex}",
            sha256=sha256,
            size_bytes=size_bytes,
            stored_ms=self._clock.now_ms(),
            about=about,
        )
        is_named = False
        try:
            await self._bucket.put(self._content_key(record), content)
            is_named = True
            # Never cancelled, because the object store could then write the record after it was withdrawn.
            await _finish(self._create_record(record))
            if await self._is_over(record):
                raise TooMany
            if isinstance(content, Path):
                await self._cache.insert(self._place(record), content)
        except BaseException as error:
            is_uncertain = is_named and isinstance(error, StoreUnavailable)
            await _finish(self._withdraw(record, is_uncertain=is_uncertain))
            raise
        return record

    async def find(self, user_id: str, name: str) -> ObjectRecord | None:
        """Return a file's record, None if there is none; a damaged one raises StoreUnavailable."""
        try:
            return await self._read(user_id, name)
        except _DamagedRecord as damage:
            raise StoreUnavailable(
                "The entry of {name!r} in the object store is damaged. Only the operator can remove it.", name=name
            ) from damage

    async def records(self, user_id: str) -> Sequence[ObjectRecord]:
        """Return the records of a user's files, newest first; a damaged one is logged and left out."""
        at_once = asyncio.Semaphore(_READS_AT_ONCE)

        async def read(name: str) -> ObjectRecord | None:
            async with at_once:
                try:
                    return await self._read(user_id, name)
                except _DamagedRecord as error:
                    logger.error("record of an object damaged: user=%s name=%s error=%s", user_id, name, error)
                    return None

        listed = await self._list("records", check_user_id(user_id))
        found = [record for record in await asyncio.gather(*(read(item.name) for item in listed)) if record is not None]
        return sorted(found, key=lambda record: (-record.stored_ms, record.name))

    async def remove(self, user_id: str, name: str) -> bool:
        """Delete a file, even one whose record is damaged; return whether it existed."""
        [*records] = [item for item in await self._list("records", check_user_id(user_id)) if item.name == name]
        contents = [item for item in await self._list("content", user_id) if item.name == name] if records else []
        await self._bucket.delete([item.stored.key for item in (*records, *contents)])
        if records:
            await self._cache.discard(f"{self._kind}/{user_id}/{name}")
        return bool(records)

    def path(self, record: ObjectRecord) -> Path:
        """Return the path of this host's copy of a file; the copy exists while it is held."""
        return self._cache.path(self._place(record))

    @asynccontextmanager
    async def hold(self, record: ObjectRecord) -> AsyncIterator[Path]:
        """Yield the path of this host's copy of a file, which is complete and checked while the block runs.

        Raises FileNotFoundError if the file was deleted meanwhile.
        """

        async def fetch(file: BinaryIO) -> None:
            key = self._content_key(record)
            sha256 = await self._bucket.download(key, file, size_bytes=record.size_bytes)
            if sha256 is None:
                raise FileNotFoundError(record.name)
            if sha256 != record.sha256:
                logger.error("object is not what was stored: key=%s", key)
                raise StoreUnavailable(
                    "{name!r} is damaged in the object store. Delete it and upload it again.", name=record.name
                )

        place = self._place(record)
        async with self._cache.hold(place, record.size_bytes, fetch) as path:
            yield path

    async def remove_leftovers(self) -> int:
        """Remove incomplete files, of all kinds, that killed processes of this host left."""
        return await self._cache.remove_leftovers()

    async def usage(self, user_id: str | None = None) -> Mapping[str, tuple[int, int]]:
        records, contents = await self._list("records", user_id), await self._list("content", user_id)
        found: dict[str, tuple[int, int]] = {}
        for counted, items in ((1, records), (0, contents)):
            for item in items:
                count, size = found.get(item.user_id, (0, 0))
                found[item.user_id] = (count + counted, size + item.stored.size_bytes)
        return found

    async def delete(self, user_id: str) -> int:
        records = await self._list("records", check_user_id(user_id))
        contents = await self._list("content", user_id)
        await self._bucket.delete([item.stored.key for item in (*records, *contents)])
        await self._cache.discard(f"{self._kind}/{user_id}")
        return len(records)

    async def clean(self, *, older_than_ms: int = ORPHAN_AGE_MS) -> int:
        """Delete old content without a record, and this host's copies of deleted files; return how many objects."""
        contents, records = await self._list("content"), await self._list("records")
        named = {(item.user_id, item.name) for item in records}
        before_ms = self._clock.now_ms() - older_than_ms
        orphans = [item for item in contents if item.stored.modified_ms <= before_ms]
        lost = [item for item in orphans if (item.user_id, item.name) not in named]
        lost += await self._superseded([item for item in orphans if (item.user_id, item.name) in named], contents)
        await self._bucket.delete([item.stored.key for item in lost])
        await self._cache.retain(self._kind, lambda place: tuple(place.split("/")[1:3]) in named)
        if lost:
            logger.info("contents of unfinished uploads removed: kind=%s count=%d", self._kind, len(lost))
        return len(lost)

    async def _superseded(self, old: Sequence[_Listed], contents: Sequence[_Listed]) -> Sequence[_Listed]:
        """Return the old contents of names that have several, except the one that the record names."""
        counts: dict[tuple[str, str], int] = {}
        for item in contents:
            counts[item.user_id, item.name] = counts.get((item.user_id, item.name), 0) + 1
        found = []
        for item in old:
            if counts[item.user_id, item.name] > 1:
                record = await self.find(item.user_id, item.name)
                if record is not None and self._content_key(record) != item.stored.key:
                    found.append(item)
        return found

    async def _read(self, user_id: str, name: str) -> ObjectRecord | None:
        """Return a file's record, None if there is none; raises _DamagedRecord."""
        content = await self._bucket.read(self._record_key(check_user_id(user_id), name), max_bytes=_MAX_RECORD_BYTES)
        return None if content is None else _read_record(content, user_id, name)

    async def _create_record(self, record: ObjectRecord) -> None:
        plain = {**asdict(record), "schema_version": _RECORD_VERSION}
        content = json.dumps(plain, allow_nan=False).encode()
        if not await self._bucket.create(self._record_key(record.user_id, record.name), content):
            # The existing record is ours if the reply to a first attempt was lost and the library retried.
            existing = await self.find(record.user_id, record.name)
            if existing is None or existing.content != record.content:
                raise NameTaken

    async def _is_over(self, record: ObjectRecord) -> bool:
        """Return whether the user had the maximum number of other files before this one.

        Two hosts that store at the same moment see each other's records. If both records have the same time, both hosts
        withdraw.
        """
        listed = await self._list("records", record.user_id)
        if len(listed) <= self._max_count:
            return False
        mine = next((item.stored.modified_ms for item in listed if item.name == record.name), 0)
        before = [item for item in listed if item.name != record.name and item.stored.modified_ms <= mine]
        return len(before) >= self._max_count

    async def _withdraw(self, record: ObjectRecord, *, is_uncertain: bool) -> None:
        """Delete what `store` has written of a file; `clean` later removes what could not be deleted.

        If it is uncertain whether the record will be written, the content stays, so that no record lacks its content.
        """
        try:
            existing = await self.find(record.user_id, record.name)
            is_ours = existing is not None and existing.content == record.content
            if is_ours:
                await self._bucket.delete([self._record_key(record.user_id, record.name)])
            if is_ours or not is_uncertain:
                await self._bucket.delete([self._content_key(record)])
        except StoreUnavailable as error:
            logger.warning("unfinished upload not withdrawn: kind=%s error=%s", self._kind, error)

    async def _list(self, part: str, user_id: str | None = None) -> Sequence[_Listed]:
        """Return the records or contents of a user, or of all; objects that are not ours are left alone."""
        folder = f"{self._kind}/{part}" + (f"/{user_id}" if user_id else "")
        depth = 4 if part == "records" else 5
        listed = []
        for stored in await self._bucket.list(folder):
            parts = stored.key.split("/")
            if len(parts) == depth and _is_user_id(parts[2]):
                listed.append(_Listed(parts[2], parts[3].removesuffix(".json" if part == "records" else ""), stored))
        return listed

    def _record_key(self, user_id: str, name: str) -> str:
        return f"{self._kind}/records/{user_id}/{name}.json"

    def _content_key(self, record: ObjectRecord) -> str:
        return f"{self._kind}/content/{record.user_id}/{record.name}/{record.content}"

    def _place(self, record: ObjectRecord) -> str:
        return f"{self._kind}/{record.user_id}/{record.name}/{record.content}/{record.name}{self._suffix}"


class _DamagedRecord(Exception):
    """A record is cut or altered, or written by another version."""


def _read_record(content: bytes, user_id: str, name: str) -> ObjectRecord:
    try:
        plain = json.loads(content)
        if plain.pop("schema_version") != _RECORD_VERSION:
            raise ValueError("written by another version")
        record = ObjectRecord(**plain)
        if (record.user_id, record.name) != (user_id, name) or "/" in record.content:
            raise ValueError("of another file")
        has_numbers = all(type(number) is int and number >= 0 for number in (record.size_bytes, record.stored_ms))
        if not has_numbers or not isinstance(record.sha256, str) or not isinstance(record.about, Mapping):
            raise ValueError("altered")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _DamagedRecord(str(error)) from error
    return record


def _is_user_id(text: str) -> bool:
    try:
        check_user_id(text)
    except InvalidInput:
        return False
    return True


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Wait until work ends, even if the caller is cancelled meanwhile; the work continues."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
