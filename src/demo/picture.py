"""Draw tables and curves in a terminal, at its width, in ASCII if it has no block characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS: Final = " .:#"


def can_show_blocks(encoding: str | None) -> bool:
    """Return whether a stream's encoding has the block characters."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def format_number(value: float | None, decimals: int = 2) -> str:
    """Format a figure, or a dash if it does not exist."""
    return "-" if value is None else f"{value:,.{decimals}f}"


def draw_table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> list[str]:
    """Lay out a table: the first `text_columns` columns to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if index < text_columns else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return [line(head), "  ".join("-" * width for width in widths), *map(line, rows)]


def draw_curve(values: Sequence[float], *, width: int, height: int, blocks: bool) -> list[str]:
    """Draw a curve as columns of blocks, with its highest and lowest value at the left.

    Each column is the mean of its share of the values; the lowest column still shows one step.
    """
    low, high = min(values), max(values)
    labels = [format_number(high, 0), format_number(low, 0)]
    margin = max(map(len, labels)) + 1
    columns = _resampled(values, max(1, width - margin))
    glyphs = BLOCKS if blocks else ASCII_BLOCKS
    steps = len(glyphs) - 1
    levels = [1 + round((value - low) / ((high - low) or 1.0) * (height * steps - 1)) for value in columns]
    lines = []
    for row in reversed(range(height)):
        label = labels[0] if row == height - 1 else labels[1] if row == 0 else ""
        drawn = "".join(glyphs[min(steps, max(0, level - row * steps))] for level in levels)
        lines.append(f"{label:>{margin - 1}} {drawn}".rstrip())
    return lines


def _resampled(values: Sequence[float], width: int) -> list[float]:
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
