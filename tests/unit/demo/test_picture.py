from __future__ import annotations

import pytest

from src.demo.picture import can_show_blocks, curve, number, table


def test_a_rising_curve_is_drawn_as_a_staircase() -> None:
    assert curve([0, 1, 2, 3], width=6, height=2, blocks=False) == [
        "3   .#",
        "0 .###",
    ]


def test_a_flat_curve_still_shows() -> None:
    assert curve([5.0, 5.0], width=10, height=2, blocks=True) == ["5", "5 ▁▁"]


def test_a_long_curve_fits_the_width_and_a_short_one_is_not_stretched() -> None:
    lines = curve([float(bar) for bar in range(1000)], width=60, height=4, blocks=True)
    assert max(map(len, lines)) == 60
    assert max(map(len, curve([1.0, 2.0], width=60, height=4, blocks=True))) == 4


def test_columns_line_up() -> None:
    assert table(("name", "value"), [("a", "1.0"), ("long name", "10.0")], text_columns=1) == [
        "name       value",
        "---------  -----",
        "a            1.0",
        "long name   10.0",
    ]


def test_a_figure_that_does_not_exist_is_a_dash() -> None:
    assert (number(None), number(-1234.567), number(3.14159, 1)) == ("-", "-1,234.57", "3.1")


@pytest.mark.parametrize(("encoding", "can"), [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False)])
def test_blocks_need_an_encoding_that_has_them(encoding: str | None, can: bool) -> None:
    assert can_show_blocks(encoding) is can
