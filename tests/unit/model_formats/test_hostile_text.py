from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.model_formats.hostile_text import clean


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain words", "plain words"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("safe\u202egnp.exe", "safe gnp.exe"),
        ("no file '/srv/app/storage/u1/model.pkl'", "no file '…/model.pkl'"),
        ("in /usr/lib/python3/x.py, line 3", "in …/x.py, line 3"),
        ("pip install torch --index-url https://download.pytorch.org/whl/cpu",
         "pip install torch --index-url https://download.pytorch.org/whl/cpu"),
        ("<object at 0x7f3272839170>", "<object at 0x…>"),
        ("1/2 of it and/or none", "1/2 of it and/or none"),
        (None, ""),
        (7, ""),
        (["list"], ""),
    ],
)  # fmt: skip
def test_hostile_text_is_cleaned(given_text: object, shown: str) -> None:
    assert clean(given_text) == shown


@given(st.text(max_size=3000))
def test_any_text_becomes_one_short_visible_line(text: str) -> None:
    line = clean(text, 100)
    assert len(line) <= 100
    assert not any(unicodedata.category(char)[0] == "C" for char in line)


def test_long_text_is_scanned_partially() -> None:
    assert len(clean("/a" * 10_000_000)) <= 600
