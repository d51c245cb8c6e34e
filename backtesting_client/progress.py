"""Show how far the service's downloads of bars are, while a request waits for them."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from backtesting_client.errors import ClientError
from backtesting_client.transport import Transport

POLL_S: Final = 0.5


@contextmanager
def download_progress(transport: Transport, *, is_shown: bool) -> Iterator[None]:
    """Show a bar for each download of the service until the block ends, if tqdm is installed."""
    tqdm = find_tqdm() if is_shown else None
    if tqdm is None:
        yield
        return
    is_done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(transport, tqdm, is_done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()


def find_tqdm() -> ModuleType | None:
    """Return the package tqdm; None if it is not installed."""
    try:
        return importlib.import_module("tqdm")
    except ImportError:
        return None


def _watch(transport: Transport, tqdm: ModuleType, is_done: threading.Event) -> None:
    shown: dict[tuple[str, str], Any] = {}
    while not is_done.wait(POLL_S):
        try:
            downloads = transport.data("GET", "/api/data/downloads")
        except ClientError:
            continue  # the request that waits says what is wrong
        for download in downloads:
            market = (download["symbol"], download["interval"])
            if market not in shown:
                shown[market] = tqdm.tqdm(desc=" ".join(market), total=download["expected_bars"], unit=" bars")
            shown[market].update(download["done_bars"] - shown[market].n)
    for bar in shown.values():
        bar.close()
