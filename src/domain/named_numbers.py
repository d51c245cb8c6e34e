"""Hold numbers by their names: an immutable mapping that can be a default and a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class NamedNumbers(Mapping[str, float]):
    """Numbers by name, in the order given; equal to any mapping of the same items."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, float] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, name: str) -> float:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"NamedNumbers({self._items})"
