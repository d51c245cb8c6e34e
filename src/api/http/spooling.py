"""Translate errors of the disk that holds the temporary files of uploads."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from src.domain.errors import StoreUnavailable

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def spooling() -> Iterator[None]:
    """Turn the temporary disk's errors into the service's own; raises StoreUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreUnavailable("The disk is too full to receive the upload. Try again later.") from error
        raise StoreUnavailable("The upload cannot be received: its temporary file cannot be written.") from error
