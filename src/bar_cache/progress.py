"""Hold the progress of the downloads of this process."""

from __future__ import annotations

from dataclasses import replace

from src.domain.market import FetchProgress


class ProgressBoard:
    """The downloads of one process; only the event loop writes it, any thread may read it."""

    def __init__(self) -> None:
        self._shown: dict[int, FetchProgress] = {}
        self._next = 0

    def snapshot(self) -> tuple[FetchProgress, ...]:
        """Return the running downloads, oldest first."""
        return tuple(self._shown.values())

    def open(self, progress: FetchProgress) -> int:
        """Add a download; return its number for `update` and `close`."""
        self._next += 1
        self._shown[self._next] = progress
        return self._next

    def update(self, number: int, *, done_bars: int, ways: tuple[str, ...]) -> FetchProgress:
        """Replace the progress of a download; return it."""
        known = tuple(dict.fromkeys((*self._shown[number].ways, *ways)))
        self._shown[number] = replace(self._shown[number], done_bars=done_bars, ways=known)
        return self._shown[number]

    def close(self, number: int) -> None:
        """Remove a download, if it is there."""
        self._shown.pop(number, None)
