"""`python -m tests.architecture.draw`: write the diagram, `.env.example` and `docs/reference/` from the code."""

from __future__ import annotations

import ast

from tests.architecture.settings_page import ENV_EXAMPLE, settings_page
from tests.architecture.test_floors import FLOORS, ROOT, SOURCES, SRC, imported_modules, room_of

DIAGRAM = ROOT / "architecture.mermaid"

FLOOR_TITLES = {
    6: "entrances, and the one place that puts everything together",
    5: "the edge: translates, never computes",
    4: "use cases",
    3: "adapters to the outside world, handed in by wiring",
    2: "the computing: pure functions on arrays",
    1: "what the service needs from the outside, as Protocols; files and concurrency",
    0: "the words of the trade: numpy and the standard library only",
}

OUTSIDE = """\
    clients(["REST and GraphQL clients"]) -. HTTP .-> api
    binance -. HTTPS .-> exchange(["Binance"])
    stores -.-> results[("SQLite or MongoDB")]
    sandbox -. by registry name, in a confined child process .-> model_formats"""
"""What is no import: dotted in the diagram."""


def rooms() -> set[str]:
    """Return the packages and top-level modules of src that hold code."""
    return {room_of(path) for path in SOURCES if path.name != "__init__.py"}


def edges() -> set[tuple[str, str]]:
    """Return (importing room, imported room) for every import between rooms."""
    found = set()
    for path in SOURCES:
        for _, name in imported_modules(path):
            parts = name.split(".")
            if parts[0] == "src" and len(parts) > 1 and parts[1] in FLOORS:
                found.add((room_of(path), parts[1]))
    return {(room, other) for room, other in found if room != other}


def diagram() -> str:
    """Return the whole diagram: a box a floor, a node a room, an arrow an import."""
    lines = [
        "%% The rooms of src and the imports between them, drawn from the code: python -m tests.architecture.draw",
        "%% A full arrow is an import; a dotted one is not.",
        "flowchart TD",
    ]
    present = rooms()
    for floor, title in FLOOR_TITLES.items():
        lines.append(f'    subgraph floor{floor}["{floor}: {title}"]')
        lines += [f'        {room}["{_label(room)}"]' for room in FLOORS if FLOORS[room] == floor and room in present]
        lines.append("    end")
    lines += [f"    {room} --> {other}" for room, other in sorted(edges())]
    return "\n".join([*lines, OUTSIDE, ""])


def _label(room: str) -> str:
    path = SRC / room / "__init__.py" if (SRC / room).is_dir() else SRC / f"{room}.py"
    summary = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(".")
    summary = summary.replace('"', "'").replace("`", "")
    return f"<b>{room}</b><br/>{summary}" if summary else f"<b>{room}</b>"


if __name__ == "__main__":
    DIAGRAM.write_text(diagram())
    ENV_EXAMPLE.write_text(settings_page())
    from tests.architecture.reference_pages import REFERENCE, write_pages  # builds the application

    write_pages()
    print(f"written: {DIAGRAM.name}, {ENV_EXAMPLE.name}, {REFERENCE.relative_to(ROOT)}/")
