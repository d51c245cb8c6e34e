"""Read and write objects of a bucket (S3 or compatible), with bounded time and translated errors.

Credentials come from the environment, in the standard AWS_* variables, and are never read or logged here. An error text
of the client library may quote a request, so it is neither logged nor chained: only its status and its code are.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urlsplit

import certifi
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from src.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_RETRY_AFTER_S: Final = 5.0
_RETRY_WHEN_CHANGED_S: Final = 60.0
"""Retrying helps only after an operator has freed space or given access."""
_MAX_RETRIES: Final = 2
_MIN_BYTES_PER_S: Final = 1024 * 1024
"""A slower transfer is aborted."""
_PART_BYTES: Final = 32 * 1024 * 1024
"""Longer files are sent in parts; those of a killed process stay hidden in the bucket (docs/hosts.md, The bucket)."""
_CHUNK_BYTES: Final = 1024 * 1024
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_FULL: Final = frozenset({"QuotaExceeded", "QuotaExceededException", "InsufficientStorage", "XMinioStorageFull"})
_REFUSING: Final = (PermissionDeniedError, UnauthenticatedError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object in a list: its key, its length, and when it was written, by the clock of the object store."""

    key: str
    size_bytes: int
    modified_ms: int


class Bucket:
    """The objects under one prefix of a bucket; an object is complete or does not exist.

    Parameters
    ----------
    url
        `s3://bucket/prefix`; the prefix may be absent.
    timeout_s
        Seconds that a request may take, its retries included; a transfer gets one more for each mebibyte.

    The constructor raises StoreUnavailable if AWS_* of the environment cannot be used; every method does so if the
    object store is absent, slow, full, or refuses access.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._timeout_s = timeout_s
        endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
        options: ClientConfig = {
            "connect_timeout": timedelta(seconds=min(5.0, timeout_s)),
            "read_timeout": timedelta(seconds=timeout_s),
            "timeout": timedelta(days=1),  # `_request` bounds the time; the library's own bound is 30 s
            "allow_http": endpoint.startswith("http://"),
        }
        retries: RetryConfig = {"max_retries": _MAX_RETRIES, "retry_timeout": timedelta(seconds=timeout_s)}
        try:
            # The library refuses to start without certificates, of the system or given here.
            options["root_certificate"] = Path(os.environ.get("AWS_CA_BUNDLE") or certifi.where()).read_bytes()
            # The library reads endpoint, region and credentials from the AWS_* variables of the environment.
            self._store = S3Store(
                parts.netloc, prefix=parts.path.strip("/") or None, client_options=options, retry_config=retries
            )
        except (BaseError, OSError, ValueError):
            # Not chained: the text may quote a value.
            raise _unusable(
                "one of the variables AWS_* has a value that is not allowed", _RETRY_WHEN_CHANGED_S
            ) from None

    async def put(self, key: str, content: bytes | Path) -> None:
        """Write an object; a crash or an error leaves the old one, or none."""
        size = len(content) if isinstance(content, bytes) else await asyncio.to_thread(os.path.getsize, content)
        async with self._request("put", key, size_bytes=size):
            await obstore.put_async(self._store, key, content, chunk_size=_PART_BYTES, max_concurrency=2)

    async def create(self, key: str, content: bytes) -> bool:
        """Write an object; return False if the key already exists. Of two concurrent calls, only one writes."""
        async with self._request("create", key, size_bytes=len(content)):
            try:
                await obstore.put_async(self._store, key, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return a small object; None if it does not exist. A longer one raises StoreUnavailable."""
        async with self._request("read", key):
            try:
                found = await obstore.get_async(self._store, key)
            except FileNotFoundError as error:
                _check_bucket(error)
                return None
            if found.meta["size"] > max_bytes:
                raise StoreUnavailable("The object store holds an entry that is too long to be ours.")
            return bytes(await found.bytes_async())

    async def download(self, key: str, target: BinaryIO, *, size_bytes: int) -> str | None:
        """Write an object's content to a file; return its SHA-256, or None if it does not exist.

        Content that is longer than `size_bytes` is cut off, which changes the hash.
        """
        digest, left = hashlib.sha256(), size_bytes + 1
        async with self._request("download", key, size_bytes=size_bytes):
            try:
                found = await obstore.get_async(self._store, key)
            except FileNotFoundError as error:
                _check_bucket(error)
                return None
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                piece = bytes(chunk)[:left]
                left -= len(piece)
                digest.update(piece)
                await asyncio.to_thread(target.write, piece)
        return digest.hexdigest()

    async def list(self, folder: str) -> Sequence[StoredObject]:
        """Return all objects whose keys begin with `folder` and a slash, by key."""
        found: list[StoredObject] = []
        async with self._request("list", folder):
            async for batch in obstore.list(self._store, prefix=folder):
                for item in batch:
                    modified_ms = round(item["last_modified"].timestamp() * 1000)
                    found.append(StoredObject(key=item["path"], size_bytes=item["size"], modified_ms=modified_ms))
        return sorted(found, key=lambda item: item.key)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that do not exist are ignored."""
        for key in keys:
            async with self._request("delete", key):
                try:
                    await obstore.delete_async(self._store, key)
                except FileNotFoundError as error:
                    _check_bucket(error)

    @asynccontextmanager
    async def _request(self, operation: str, key: str, *, size_bytes: int = 0) -> AsyncIterator[None]:
        """Bound the time of a request, and translate the library's errors."""
        try:
            async with asyncio.timeout(self._timeout_s + size_bytes / _MIN_BYTES_PER_S):
                yield
        except TimeoutError:
            logger.warning("object store timed out: operation=%s key=%s", operation, key)
            raise _not_responding() from None
        except (BaseError, FileNotFoundError) as error:
            raise _translate(error, operation, key) from None


def _check_bucket(error: FileNotFoundError) -> None:
    """Raise the error again if the bucket does not exist, rather than an object in it."""
    if "NoSuchBucket" in str(error):
        raise error


def _translate(error: Exception, operation: str, key: str) -> StoreUnavailable:
    text = str(error)
    status, code = (found[1] if (found := pattern.search(text)) else "" for pattern in (_STATUS, _CODE))
    if not status and "redirect" in text:  # the reply to a wrong region
        code = "Redirect (AWS_REGION?)"
    logger.warning(
        "object store failed: operation=%s key=%s error=%s status=%s code=%s",
        operation, key, type(error).__name__, status, code,
    )  # fmt: skip
    if code in _FULL or status == "507":
        return _unusable("it is full", _RETRY_WHEN_CHANGED_S)
    if isinstance(error, _REFUSING) or status in {"401", "403"}:
        return _unusable("it refuses the service's access", _RETRY_WHEN_CHANGED_S)
    if code == "NoSuchBucket":
        return _unusable("its bucket does not exist", _RETRY_WHEN_CHANGED_S)
    return _not_responding()


def _not_responding() -> StoreUnavailable:
    return _unusable("it does not respond as it should", _RETRY_AFTER_S)


def _unusable(reason: str, retry_after_s: float) -> StoreUnavailable:
    return StoreUnavailable("The object store cannot be used: {reason}.", retry_after_s=retry_after_s, reason=reason)
