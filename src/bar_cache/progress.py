"""How far the downloads of this process are."""

from __future__ import annotations

from dataclasses import replace

from src.domain.market import FetchProgress


class ProgressBoard:
    """The downloads of one process; written by the event loop only, read by anybody."""

    def __init__(self) -> None:
        self._shown: dict[int, FetchProgress] = {}
        self._next = 0

    def snapshot(self) -> tuple[FetchProgress, ...]:
        """Return the downloads under way, oldest first."""
        return tuple(self._shown.values())

    def open(self, progress: FetchProgress) -> int:
        """Show a download; return the number under which it is updated."""
        self._next += 1
        self._shown[self._next] = progress
        return self._next

    def update(self, number: int, *, done_bars: int, ways: tuple[str, ...]) -> FetchProgress:
        """Show how far a download is now."""
        known = tuple(dict.fromkeys((*self._shown[number].ways, *ways)))
        self._shown[number] = replace(self._shown[number], done_bars=done_bars, ways=known)
        return self._shown[number]

    def close(self, number: int) -> None:
        """Take a download off the board."""
        self._shown.pop(number, None)
