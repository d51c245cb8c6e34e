"""The tree of a rule: frozen dataclasses, each with the place in the text at which it begins.

Two nodes are equal if their structure is: places do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of a rule; `at` is the index of its first character in the text."""

    at: int = field(default=0, compare=False)

    @property
    def children(self) -> tuple[Node, ...]:
        """The parts that it is made of, in the order of the text."""
        return ()

    @property
    def label(self) -> float | str | None:
        """The number, the name or the operator of this part alone; None if its kind says all."""
        own = ("value", "name", "operator")
        found = (getattr(self, name, None) for name in own)
        return next((value for value in found if isinstance(value, float | int | str)), None)


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number, as in `30` or `0.5`: finite and not negative."""

    value: float


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A named parameter, as in `{length}`."""

    name: str


@dataclass(frozen=True, slots=True)
class Column(Node):
    """A name without brackets, as in `close`; it may be unknown."""

    name: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function or an indicator and its arguments, as in `rsi(close, 14)`; it may be unknown."""

    name: str
    arguments: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        return self.arguments


@dataclass(frozen=True, slots=True)
class Earlier(Node):
    """A value or condition some bars back, as in `close[1]`."""

    value: Node
    bars: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return self.value, self.bars


@dataclass(frozen=True, slots=True)
class OneSided(Node):
    """The base of nodes with an operator before one value or condition."""

    value: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Negative(OneSided):
    """A number with its sign changed, as in `-close`."""


@dataclass(frozen=True, slots=True)
class TwoSided(Node):
    """The base of nodes with an operator between two numbers."""

    operator: str
    left: Node
    right: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return self.left, self.right


@dataclass(frozen=True, slots=True)
class Arithmetic(TwoSided):
    """Two numbers and one of `+ - * / %`."""


@dataclass(frozen=True, slots=True)
class Comparison(TwoSided):
    """Two numbers and one of `< <= > >= == !=`."""


@dataclass(frozen=True, slots=True)
class Not(OneSided):
    """The opposite of a condition."""


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Two or more conditions joined by `and`, or by `or`."""

    operator: str
    items: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        return self.items


def walk(tree: Node) -> Iterator[tuple[Node, int]]:
    """Yield every node with its depth, 1 for the root, in the order of the text; without recursion."""
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in reversed(node.children)]


def to_plain(node: Node) -> dict[str, Any]:
    """Return a tree as JSON's own types; it is as deep as rules may be."""
    return {
        "kind": type(node).__name__.lower(),
        "value": node.label,
        "children": [to_plain(child) for child in node.children],
    }
