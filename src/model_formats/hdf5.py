"""What an HDF5 file holds, looked at before a library reads it: nothing outside the file, and no more than it can hold.

An HDF5 file may name arrays of any size without holding one byte of them, and arrays whose bytes are in other files.
"""

from __future__ import annotations

from typing import Any, Final

import h5py

from src.model_formats.failures import refused

MAX_ARRAYS_BYTES: Final = 1 << 30
MAX_RATIO: Final = 1100
"""Deflate packs at most 1,032 to 1, so arrays that are larger than this have no data."""
_SMALL_BYTES: Final = 64 << 20
"""What may be claimed whatever the file's size."""


def check_hdf5(file: h5py.File, size_bytes: int) -> None:
    """Look at every group and array of an open file of this size; none is read.

    Raises ModelRejected if it refers to other files, or claims arrays that it cannot hold.
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
                continue  # a link inside the file: what it leads to is come across itself
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
