"""Parse a rule: from text to a tree within the limits."""

from __future__ import annotations

import threading
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from src.strategies.rules.faults import Source
from src.strategies.rules.scanning import MAX_DEPTH, check_text
from src.strategies.rules.tree import Node, walk

MAX_NODES: Final = 200

_IMPORTING: Final = threading.Lock()


@lru_cache(maxsize=256)
def parse(text: str, field: str) -> Node:
    """Return the tree of a rule; `field` is the name of the request's field that errors give.

    Trees are immutable, so the last ones are kept: a sweep over a rule's parameters parses it once. Safe to call from
    several threads.

    Raises InvalidRule if the text is no rule, or larger than the limits: 2,000 characters, 200 nodes, 32 levels.
    """
    source = Source(text, field)
    check_text(source)
    tree: Node = _load_grammar().parse_tree(source)
    for count, (node, depth) in enumerate(walk(tree), start=1):
        if depth > MAX_DEPTH:
            raise source.fault(node.at, "The rule is nested more than {most} deep.", most=MAX_DEPTH)
        if count > MAX_NODES:
            problem = "The rule has more than {most} parts (names, numbers and operators)."
            raise source.fault(node.at, problem, most=MAX_NODES)
    return tree


def _load_grammar() -> Any:
    # A lock, because functools.cache would let two simultaneous first requests both build the parser.
    with _IMPORTING:
        return import_module("src.strategies.rules.grammar")
