"""`architecture.mermaid` shows the rooms that exist and the imports between them."""

from __future__ import annotations

import re

from tests.architecture.draw import DIAGRAM, edges, rooms
from tests.architecture.test_floors import FLOORS

AGAIN = "draw it anew with: python -m tests.architecture.draw"


def drawn_nodes() -> dict[str, int]:
    """Return each node of a floor's box and that floor."""
    nodes: dict[str, int] = {}
    floor = -1
    for line in DIAGRAM.read_text().splitlines():
        if box := re.match(r"\s*subgraph floor(\d)", line):
            floor = int(box[1])
        elif node := re.match(r'\s*(\w+)\["', line):
            nodes[node[1]] = floor
    return nodes


def test_the_nodes_are_the_rooms_on_their_floors() -> None:
    assert drawn_nodes() == {room: FLOORS[room] for room in rooms()}, AGAIN


def test_the_arrows_are_the_imports() -> None:
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)$", DIAGRAM.read_text(), re.MULTILINE))
    assert drawn == edges(), AGAIN


def test_every_line_is_one_that_mermaid_knows() -> None:
    known = (
        r"%%.*|flowchart TD|end|subgraph floor\d\[\"[^\"]+\"\]|\w+\[\"[^\"]+\"\]|\w+ --> \w+"
        r"|[\w(]+(\(\[\"[^\"]+\"\]\))? -\.( [\w ,]+ \.)?->.*"
    )
    for line in DIAGRAM.read_text().splitlines():
        assert re.fullmatch(known, line.strip()), line
