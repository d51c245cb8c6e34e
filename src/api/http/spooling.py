"""The temporary files that uploads are received into, and what a full disk means for them."""

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
            raise StoreUnavailable("there is no room to receive the upload; try again later") from error
        raise StoreUnavailable("the upload cannot be received: its temporary file cannot be written") from error
