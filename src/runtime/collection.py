"""When garbage is looked for: not while the service starts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_put_off() -> Iterator[None]:
    """Collect no garbage inside.

    What is loaded and compiled at start stays for good; looking through it for garbage, again with every tenth of it
    that is added, takes a fifth of the start.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
