"""Read and write one dataset as one file: its description, then its columns, both with checksums.

bars-1 <SHA-256 of the second line> <SHA-256 of the columns>
{"name": …, "rows": …, …}
open times as int64, then open, high, low, close, volume as float64, all little-endian

A dataset of funding has the times of its rates and then the rates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bar_quality import DataQuality, Gap, Jump, RejectedRow
from src.domain.bars import PRICE_COLUMNS, Bars
from src.domain.datasets import Dataset, DatasetKind
from src.domain.funding_rates import FundingRates, build_rates
from src.domain.intervals import Interval

_MAGIC: Final = b"bars-1"
_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_FLOATS: Final = (*PRICE_COLUMNS, "volume")


class DamagedDataset(Exception):
    """The file of a dataset is cut or altered."""


class OtherKind(Exception):
    """The dataset holds rows of another kind than the requested one."""


def encode(dataset: Dataset, content: Bars | FundingRates) -> bytes:
    """Return the content of the file."""
    if isinstance(content, Bars):
        return _encode(dataset, content.open_time_ms, *(getattr(content, name) for name in _FLOATS))
    return _encode(dataset, content.time_ms, content.rate)


def _encode(dataset: Dataset, time_ms: NDArray[np.int64], *numbers: NDArray[np.float64]) -> bytes:
    head = json.dumps(to_plain(dataset), allow_nan=False).encode()
    columns = [time_ms.astype("<i8"), *(column.astype("<f8") for column in numbers)]
    body = b"".join(column.tobytes() for column in columns)
    marks = " ".join(hashlib.sha256(part).hexdigest() for part in (head, body)).encode()
    return b"".join([_MAGIC, b" ", marks, b"\n", head, b"\n", body])


def to_plain(dataset: Dataset) -> dict[str, Any]:
    """Return a description as JSON; `from_plain` reads it."""
    return {**asdict(dataset), "interval": dataset.interval.name}


def from_plain(stored: Mapping[str, Any]) -> Dataset:
    """Return the description that `to_plain` wrote.

    Raises KeyError, TypeError, ValueError or InvalidInput for anything else.
    """
    plain = dict(stored)
    quality, interval = _quality(plain.pop("quality")), Interval.named(plain.pop("interval"))
    warnings, kind = tuple(plain.pop("warnings")), DatasetKind(plain.pop("kind", DatasetKind.BARS))
    return Dataset(**plain, interval=interval, quality=quality, warnings=warnings, kind=kind)


def read_head(path: Path) -> Dataset:
    """Read the description of a dataset without its bars; raises FileNotFoundError, DamagedDataset."""
    with path.open("rb") as file:
        return _read_head(file)[0]


def read_bars(path: Path) -> tuple[Dataset, Bars]:
    """Read a dataset of bars; raises FileNotFoundError, OtherKind, DamagedDataset."""
    dataset, times, numbers = _read_columns(path, DatasetKind.BARS, _FLOATS)
    try:
        return dataset, Bars(symbol=dataset.symbol, interval=dataset.interval, open_time_ms=times, **numbers)
    except ValueError as error:  # written by an earlier version with other limits of prices or volumes
        raise DamagedDataset(f"its columns are not valid bars: {error}") from error


def read_rates(path: Path) -> tuple[Dataset, FundingRates]:
    """Read a dataset of funding; raises FileNotFoundError, OtherKind, DamagedDataset."""
    dataset, times, numbers = _read_columns(path, DatasetKind.FUNDING, ("rate",))
    return dataset, build_rates(times, numbers["rate"])


def _read_columns(
    path: Path, kind: DatasetKind, names: Sequence[str]
) -> tuple[Dataset, NDArray[np.int64], dict[str, Any]]:
    with path.open("rb") as file:
        dataset, mark = _read_head(file)
        if dataset.kind is not kind:
            raise OtherKind
        body = file.read()
    width = 8 * (1 + len(names))
    if len(body) != dataset.bars * width or hashlib.sha256(body).hexdigest() != mark:
        raise DamagedDataset("its columns are cut or altered")
    rows = dataset.bars
    numbers: dict[str, Any] = {
        name: np.frombuffer(body, dtype="<f8", count=rows, offset=8 * rows * place)
        for place, name in enumerate(names, 1)
    }
    return dataset, np.frombuffer(body, dtype="<i8", count=rows), numbers


def _read_head(file: BinaryIO) -> tuple[Dataset, str]:
    marks = file.readline(200).split()
    head = file.readline(_MAX_LINE_BYTES).removesuffix(b"\n")
    if len(marks) != 3 or marks[0] != _MAGIC or hashlib.sha256(head).hexdigest().encode() != marks[1]:
        raise DamagedDataset("its head is cut or altered")
    return from_plain(json.loads(head)), marks[2].decode()


def _quality(plain: Mapping[str, Any]) -> DataQuality:
    lists = {
        "gaps": tuple(Gap(**gap) for gap in plain["gaps"]),
        "jumps": tuple(Jump(**jump) for jump in plain["jumps"]),
        "rejected_rows": tuple(RejectedRow(**row) for row in plain["rejected_rows"]),
    }
    return DataQuality(**{**plain, **lists})
