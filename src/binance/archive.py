"""Download files of the exchange's bulk archive: months and days of klines as zip files, without a request limit."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx

from src.binance.archive_rows import max_csv_bytes
from src.domain.intervals import Interval

logger = logging.getLogger(__name__)

_MAX_ATTEMPTS: Final = 2
_CHECKSUM_MAX_BYTES: Final = 1024
_CHECKSUM: Final = re.compile(rb"\s*([0-9a-fA-F]{64})\b")
_MAX_CONNECT_S: Final = 5.0
_ABANDONED_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """One file of the archive, of a month or day (UTC): the bars with the numbers `start` ≤ number < `stop`.

    `period` is `2024-01` for a month, `2024-01-31` for a day.
    """

    period: str
    start: int
    stop: int

    @property
    def is_month(self) -> bool:
        return len(self.period) == len("2024-01")


class ArchiveUnusable(Exception):
    """The archive does not have this file, or it cannot be downloaded or is invalid."""


class BinanceArchive:
    """The archive at one address.

    Parameters
    ----------
    base_url
        The URL before `/data/spot/…`.
    folder
        The folder for files while they are read.
    timeout_s
        Seconds to wait for a connection, and for each chunk of a page.
    deadline_s
        Seconds that one file may take.
    """

    def __init__(self, *, base_url: str, folder: Path, timeout_s: float, deadline_s: float = 120.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._folder = folder
        self._deadline_s = deadline_s
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _MAX_CONNECT_S)),
            follow_redirects=False,
            headers={"User-Agent": "backtesting-service"},
        )

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def download(self, wanted: ArchiveFile, symbol: str, interval: Interval) -> AsyncIterator[Path]:
        """Download a file that matches its published checksum; remove it when the block ends.

        Raises ArchiveUnusable if it does not exist, takes too long, or has a wrong checksum twice.
        """
        into = self._folder / f"{uuid.uuid4().hex}.zip"
        url = self._base_url + quote(build_path(wanted, symbol, interval))
        try:
            try:
                await asyncio.to_thread(self._make_room)
                async with asyncio.timeout(self._deadline_s):
                    await self._fetch(url, into, max_csv_bytes(wanted.stop - wanted.start))
            except TimeoutError as error:
                raise ArchiveUnusable(f"it did not come within {self._deadline_s:g} s") from error
            except OSError as error:
                raise ArchiveUnusable(f"it cannot be stored: {error.strerror}") from error
            yield into
        finally:
            _remove(into)

    def _make_room(self) -> None:
        """Create the folder, and remove files of processes that were killed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in self._folder.glob("*.zip"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > _ABANDONED_S:
                    _remove(file)

    async def _fetch(self, url: str, into: Path, limit_bytes: int) -> None:
        """Download the file; try twice, because the exchange may replace the file after its checksum was read."""
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                expected = await self._checksum(url + ".CHECKSUM")
                found = await self._download(url, into, limit_bytes)
            except httpx.RequestError as error:
                if attempt == _MAX_ATTEMPTS:
                    raise ArchiveUnusable("the archive does not respond") from error
                continue
            if found == expected:
                return
            logger.warning("checksum mismatch: file=%s attempt=%d", url.rpartition("/")[2], attempt)
        raise ArchiveUnusable("its checksum is wrong")

    async def _checksum(self, url: str) -> str:
        async with self._client.stream("GET", url) as response:
            _check_status(response)
            text = bytearray()
            async for chunk in response.aiter_bytes():
                text += chunk
                if len(text) > _CHECKSUM_MAX_BYTES:
                    break
        found = _CHECKSUM.match(bytes(text))
        if found is None:
            raise ArchiveUnusable("its checksum cannot be read")
        return found[1].decode().lower()

    async def _download(self, url: str, into: Path, limit_bytes: int) -> str:
        """Write a page to a file and return its SHA-256."""
        digest = hashlib.sha256()
        received = 0
        async with self._client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            _check_status(response)
            with into.open("wb") as stream:
                async for chunk in response.aiter_bytes(1 << 18):
                    received += len(chunk)
                    if received > limit_bytes:
                        raise ArchiveUnusable(f"it is longer than {limit_bytes:,} bytes")
                    digest.update(chunk)
                    await asyncio.to_thread(stream.write, chunk)
        return digest.hexdigest()


def build_path(wanted: ArchiveFile, symbol: str, interval: Interval) -> str:
    """Return the path of a file, not escaped for a URL; the archive's name for the interval `1M` is `1mo`."""
    name = "1mo" if interval.is_calendar_month else interval.name
    kind = "monthly" if wanted.is_month else "daily"
    return f"/data/spot/{kind}/klines/{symbol}/{name}/{symbol}-{name}-{wanted.period}.zip"


def build_member_name(wanted: ArchiveFile, symbol: str, interval: Interval) -> str:
    """Return the name of the one file inside a zip."""
    return build_path(wanted, symbol, interval).rpartition("/")[2].removesuffix(".zip") + ".csv"


def _remove(file: Path) -> None:
    """Remove a file; if that fails, a later download removes it as abandoned."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("archive file not removed: file=%s error=%s", file.name, error.strerror)


def _check_status(response: httpx.Response) -> None:
    if response.status_code == httpx.codes.NOT_FOUND:
        raise ArchiveUnusable("the archive does not have it")
    if response.status_code != httpx.codes.OK:
        raise ArchiveUnusable(f"the archive refuses it (HTTP {response.status_code})")
