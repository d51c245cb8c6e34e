"""Receive a file of bars or funding rates: stream it to this host's disk, read it within bounds, check its rows."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from src.datasets.reading.checking import check_rows
from src.datasets.reading.rate_rows import check_rates
from src.datasets.reading.reader import BarFileReader, BarFileRows
from src.datasets.reading.table import RATE
from src.domain.bars import Bars
from src.domain.datasets import BarFileDeclaration, Dataset, DatasetKind
from src.domain.errors import InvalidInput, file_too_large
from src.domain.funding_rates import FundingRates
from src.domain.symbols import normalize_symbol
from src.files.disk_work import DiskWork
from src.ports.clock import Clock

_on_disk: Final = DiskWork("datasets", raised=(FileNotFoundError,)).run


class DatasetReceiver:
    """Reads uploads, and leaves nothing of them on the disk.

    Parameters
    ----------
    folder
        Where an upload is stored while it is read.
    max_bytes
        Size of the largest file that is received.
    """

    def __init__(self, folder: Path, *, reader: BarFileReader, clock: Clock, max_bytes: int) -> None:
        self._root = folder
        self._reader = reader
        self._clock = clock
        self._max_bytes = max_bytes

    async def receive(
        self,
        *,
        user_id: str,
        name: str,
        original_filename: str,
        declared: BarFileDeclaration,
        chunks: AsyncIterator[bytes],
    ) -> tuple[Dataset, Bars | FundingRates]:
        """Read a file; return its description and its rows. Raises what `DatasetStore.receive` does."""
        # A nameless file: the system frees it even if this process dies.
        with await _on_disk(self._nameless_file) as upload:
            sha256, size_bytes = await self._stream(upload, chunks)
            rows = await self._reader.read(upload, declared, user_id=user_id)
        now_ms = self._clock.now_ms()
        return await asyncio.to_thread(
            _build, rows, declared, name, user_id, original_filename, size_bytes, sha256, now_ms
        )

    async def _stream(self, upload: IO[bytes], chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        digest, size_bytes = hashlib.sha256(), 0
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > self._max_bytes:
                raise file_too_large(self._max_bytes)
            digest.update(chunk)
            await _on_disk(upload.write, chunk)
        if not size_bytes:
            raise InvalidInput("The file is empty. Send a file of bars.", field="file")
        await _on_disk(upload.flush)
        return digest.hexdigest(), size_bytes

    def _nameless_file(self) -> IO[bytes]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=self._root)


def _build(
    rows: BarFileRows, declared: BarFileDeclaration, name: str, user_id: str, filename: str,
    size_bytes: int, sha256: str, now_ms: int,
) -> tuple[Dataset, Bars | FundingRates]:  # fmt: skip
    content: Bars | FundingRates
    if RATE in rows.columns:
        kind = DatasetKind.FUNDING
        content, interval, quality, warnings = check_rates(rows, declared)
        count = len(content.rate)
    else:
        kind = DatasetKind.BARS
        content, quality, warnings = check_rows(rows, declared, now_ms=now_ms)
        interval, count = content.interval, len(content)
    dataset = Dataset(
        name=name,
        user_id=user_id,
        symbol=normalize_symbol(declared.symbol),
        interval=interval,
        bars=count,
        original_filename=filename[:255],
        size_bytes=size_bytes,
        sha256=sha256,
        fingerprint=content.fingerprint() if isinstance(content, Bars) else content.fingerprint,
        uploaded_ms=now_ms,
        quality=quality,
        warnings=warnings,
        kind=kind,
    )
    return dataset, content
