from __future__ import annotations

import pytest

from src.demo.picture import can_show_blocks, draw_curve, draw_table, format_number


def test_rising_curve_is_drawn_as_a_staircase() -> None:
    assert draw_curve([0, 1, 2, 3], width=6, height=2, blocks=False) == [
        "3   .#",
        "0 .###",
    ]


def test_flat_curve_is_visible() -> None:
    assert draw_curve([5.0, 5.0], width=10, height=2, blocks=True) == ["5", "5 ▁▁"]


def test_long_curve_fits_the_width() -> None:
    lines = draw_curve([float(bar) for bar in range(1000)], width=60, height=4, blocks=True)
    assert max(map(len, lines)) == 60
    assert max(map(len, draw_curve([1.0, 2.0], width=60, height=4, blocks=True))) == 4


def test_columns_line_up() -> None:
    assert draw_table(("name", "value"), [("a", "1.0"), ("long name", "10.0")], text_columns=1) == [
        "name       value",
        "---------  -----",
        "a            1.0",
        "long name   10.0",
    ]


def test_missing_figure_is_a_dash() -> None:
    assert (format_number(None), format_number(-1234.567), format_number(3.14159, 1)) == ("-", "-1,234.57", "3.1")


@pytest.mark.parametrize(("encoding", "can"), [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False)])
def test_blocks_need_an_encoding_that_has_them(encoding: str | None, can: bool) -> None:
    assert can_show_blocks(encoding) is can
