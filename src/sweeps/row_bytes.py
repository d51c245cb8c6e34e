"""Write rows of a sweep as bytes, and read them again: numbers only, checked before they are used.

Layout, all little-endian: the mark and version; the first row number; the sizes k, p, m, j, S; then `values` [k, p],
`figures` [k, m], `blocks_of` [j], `block_sums` [j, S] and `block_squares` [j, S]; last a CRC-32 of all bytes before.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np

from src.domain.sweep_outcomes import SweepRows
from src.domain.sweeps import MAX_PARAMETERS, ROW_METRICS

_MARK: Final = b"BTSW"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sHxxqQIIQI4x")
_CHECKSUM: Final = struct.Struct("<I")

MAX_ROWS: Final = 2**24
MAX_BLOCKS: Final = 64


def to_bytes(rows: SweepRows) -> bytes:
    """Return the rows as bytes: the same bytes for the same rows, on every machine."""
    head = _HEAD.pack(
        _MARK, _VERSION, rows.first, len(rows), rows.values.shape[1], rows.figures.shape[1],
        len(rows.blocks_of), rows.block_sums.shape[1],
    )  # fmt: skip
    parts = [head]
    parts += [
        np.ascontiguousarray(part, part.dtype.newbyteorder("<")).tobytes()
        for part in (rows.values, rows.figures, rows.blocks_of, rows.block_sums, rows.block_squares)
    ]
    body = b"".join(parts)
    return body + _CHECKSUM.pack(zlib.crc32(body))


def from_bytes(data: bytes) -> SweepRows:
    """Read what `to_bytes` wrote.

    Raises ValueError if it is anything else, or is damaged.
    """
    if len(data) < _HEAD.size + _CHECKSUM.size:
        raise ValueError(f"Rows of a sweep need at least {_HEAD.size + _CHECKSUM.size} bytes, got {len(data)}.")
    body, [checksum] = data[: -_CHECKSUM.size], _CHECKSUM.unpack(data[-_CHECKSUM.size :])
    if zlib.crc32(body) != checksum:
        raise ValueError("The rows of a sweep are damaged: their checksum differs.")
    mark, version, first, count, parameters, metrics, sampled, blocks = _HEAD.unpack_from(body)
    if mark != _MARK or version != _VERSION:
        raise ValueError(f"The bytes are no rows of a sweep of version {_VERSION}.")
    # Sizes are bounded before they are multiplied or allocated.
    if count > MAX_ROWS or parameters > MAX_PARAMETERS or metrics != len(ROW_METRICS) or sampled > count:
        raise ValueError(f"The rows of a sweep have impossible sizes: {count}, {parameters}, {metrics}, {sampled}.")
    if first < 0 or blocks > MAX_BLOCKS:
        raise ValueError(f"The rows of a sweep have an impossible first row or blocks: {first}, {blocks}.")
    shapes = ((count, parameters), (count, metrics), (sampled,), (sampled, blocks), (sampled, blocks))
    if len(body) != _HEAD.size + sum(8 * int(np.prod(shape)) for shape in shapes):
        raise ValueError(f"The rows of a sweep have {len(body)} bytes, which do not fit their sizes.")
    arrays = []
    place = _HEAD.size
    for number, shape in enumerate(shapes):
        size = int(np.prod(shape))
        kind = "<i8" if number == 2 else "<f8"
        arrays.append(np.frombuffer(body, kind, size, place).reshape(shape))
        place += 8 * size
    values, figures, blocks_of, block_sums, block_squares = arrays
    is_inside = blocks_of.size == 0 or (first <= blocks_of[0] and blocks_of[-1] < first + count)
    if not is_inside or (np.diff(blocks_of) <= 0).any():
        raise ValueError("The rows of a sweep name rows that are not among them, or not in rising order.")
    return SweepRows(
        first=first,
        values=values,
        figures=figures,
        blocks_of=blocks_of,
        block_sums=block_sums,
        block_squares=block_squares,
    )
