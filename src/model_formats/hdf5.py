"""Check an HDF5 file before a library reads it: no data outside the file, and no arrays larger than it can hold.

An HDF5 file can declare arrays of any size without storing a byte of them, and arrays stored in other files.
"""

from __future__ import annotations

from typing import Any, Final

import h5py

from src.model_formats.failures import refused

MAX_ARRAYS_BYTES: Final = 1 << 30
MAX_RATIO: Final = 1100
"""Deflate compresses at most 1,032 to 1, so arrays larger than this cannot be in the file."""
_SMALL_BYTES: Final = 64 << 20
"""Arrays up to this size are accepted in a file of any size."""


def check_hdf5(file: h5py.File, size_bytes: int) -> None:
    """Check every group and array of an open file of this size, without reading the arrays.

    Raises ModelRejected if it refers to other files, or declares arrays that it cannot hold.
    """
    most = min(MAX_ARRAYS_BYTES, max(_SMALL_BYTES, MAX_RATIO * size_bytes))
    claimed = 0
    seen: set[Any] = set()
    waiting = [file["/"]]
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise refused("hdf5_elsewhere")
            if not isinstance(link, h5py.HardLink):
                continue  # a link inside the file; its target is visited by itself
            item = group[name]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                continue
            seen.add(place)
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise refused("hdf5_elsewhere")
                claimed += item.size * item.dtype.itemsize if item.shape is not None else 0
                if claimed > most:
                    raise refused("hdf5_too_large", mebibytes=MAX_ARRAYS_BYTES >> 20, ratio=MAX_RATIO)
