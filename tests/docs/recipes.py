"""The recipes of `docs/extending.md`: each section's diff, and how it is applied to a copy of the tree."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.architecture.test_floors import ROOT

PAGE = ROOT / "docs" / "extending.md"

_COPIED = ("src", "tests", "docs", "pyproject.toml", ".env.example", "architecture.mermaid")


class DiffError(Exception):
    """A diff does not fit the tree; the message names the file and the lines that were not found."""


def read_recipes(page: Path = PAGE) -> Mapping[str, str]:
    """Return the diff of each section that has one, by its heading as a link names it."""
    recipes: dict[str, str] = {}
    for section in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        if blocks := read_blocks(body):
            recipes[heading.strip().lower().replace(" ", "-")] = "".join(blocks)
    return recipes


def read_blocks(text: str) -> Sequence[str]:
    return re.findall(r"^```diff\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def copy_tree(target: Path) -> None:
    """Copy what the checks need, with compiled files, so that nothing is compiled again."""
    target.mkdir()
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        else:
            shutil.copy2(source, target / name)


def changed_files(diff: str) -> list[str]:
    return re.findall(r"^\+\+\+ b/(.+)$", diff, re.MULTILINE)


def apply_diff(diff: str, root: Path) -> None:
    """Apply a unified diff; hunks are found by their lines, wherever they stand, as git does.

    Raises DiffError if a hunk fits nowhere or in several places, or if its header counts other lines than it has.
    """
    for part in re.split(r"^--- (?=a/|/dev/null)", diff, flags=re.MULTILINE)[1:]:
        old_name, new_name, *hunks = re.split(r"\n\+\+\+ b/|\n(?=@@ )", part.rstrip("\n"))
        path = root / new_name
        text = "" if old_name == "/dev/null" else path.read_text()
        for hunk in hunks:
            text = _apply_hunk(hunk, text, new_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _apply_hunk(hunk: str, text: str, name: str) -> str:
    header, *lines = hunk.split("\n")
    before = [line[1:] for line in lines if not line.startswith("+")]
    after = [line[1:] for line in lines if not line.startswith("-")]
    counts = re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", header)
    if counts is None or (int(counts[1] or 1), int(counts[2] or 1)) != (len(before), len(after)):
        raise DiffError(f"{name}: {header} counts other lines than {len(before)} and {len(after)}")
    if not before:
        return "".join(f"{line}\n" for line in after)
    for first, last in _context_dropped(lines):
        kept = lines[first : len(lines) - last]
        old, new = ("".join(f"{line[1:]}\n" for line in kept if not line.startswith(mark)) for mark in ("+", "-"))
        places = [found.start() for found in re.finditer(f"^(?={re.escape(old)})", text, re.MULTILINE)]
        if len(places) == 1:
            return text[: places[0]] + new + text[places[0] + len(old) :]
    raise DiffError(f"{name}: these lines, or enough of them, do not stand there once:\n" + "\n".join(before))


def _context_dropped(lines: Sequence[str]) -> Sequence[tuple[int, int]]:
    """Return how many lines of context to drop at the start and at the end of a hunk: fewest first.

    Only a hunk that adds lines without removing any may lose context, down to two lines, so that what others add beside
    it does not matter; `patch` does the same.
    """
    if any(line.startswith("-") for line in lines):
        return [(0, 0)]
    added = [index for index, line in enumerate(lines) if line.startswith("+")]
    leading, trailing = added[0], len(lines) - 1 - added[-1]
    context = len(lines) - len(added)
    pairs = [(first, last) for first in range(leading + 1) for last in range(trailing + 1)]
    return sorted((pair for pair in pairs if sum(pair) <= max(0, context - 2)), key=lambda pair: (sum(pair), pair))
