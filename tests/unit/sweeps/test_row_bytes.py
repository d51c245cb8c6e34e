"""Rows of a sweep as bytes: the same again, or an error."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.sweep_outcomes import SweepRows
from src.domain.sweeps import ROW_METRICS
from src.sweeps.row_bytes import from_bytes, to_bytes


def rows_of(count: int, *, parameters: int = 2, sampled: int = 2, blocks: int = 12, first: int = 40) -> SweepRows:
    rng = np.random.default_rng(count)
    figures = rng.normal(size=(count, len(ROW_METRICS)))
    figures[rng.random(figures.shape) < 0.1] = np.nan
    return SweepRows(
        first=first,
        values=rng.normal(size=(count, parameters)),
        figures=figures,
        blocks_of=first + np.sort(rng.choice(max(count, 1), min(sampled, count), replace=False)),
        block_sums=rng.normal(size=(min(sampled, count), blocks)),
        block_squares=rng.random((min(sampled, count), blocks)),
    )


@given(st.integers(0, 30), st.integers(0, 8), st.integers(0, 12), st.integers(0, 16), st.integers(0, 2**40))
def test_bytes_give_equal_rows(count: int, parameters: int, sampled: int, blocks: int, first: int) -> None:
    rows = rows_of(count, parameters=parameters, sampled=sampled, blocks=blocks, first=first)
    found = from_bytes(to_bytes(rows))
    assert found.first == rows.first
    for name in ("values", "figures", "blocks_of", "block_sums", "block_squares"):
        one, other = getattr(found, name), getattr(rows, name)
        assert one.shape == other.shape and one.tobytes() == other.tobytes()
    assert to_bytes(found) == to_bytes(rows)


@given(st.data())
def test_changed_byte_is_refused(data: st.DataObject) -> None:
    content = bytearray(to_bytes(rows_of(5)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="damaged"):
        from_bytes(bytes(content))


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_are_refused(content: bytes, has_checksum: bool) -> None:
    with pytest.raises(ValueError, match="sweep"):
        from_bytes(content + zlib.crc32(content).to_bytes(4, "little") if has_checksum else content)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, b"XXXX"), (4, b"\x02\x00"), (8, b"\xff" * 8), (16, b"\xff" * 8), (24, b"\x09"), (28, b"\x01"), (32, b"\x06")],
    ids=["mark", "version", "first row", "rows", "parameters", "metrics", "sampled"],
)
def test_head_that_does_not_fit_is_refused(place: int, value: bytes) -> None:
    content = bytearray(to_bytes(rows_of(5))[:-4])
    content[place : place + len(value)] = value
    with pytest.raises(ValueError, match="sweep"):
        from_bytes(bytes(content) + zlib.crc32(content).to_bytes(4, "little"))


def test_row_outside_its_chunk_is_refused() -> None:
    rows = rows_of(5)
    wrong = SweepRows(
        first=rows.first,
        values=rows.values,
        figures=rows.figures,
        blocks_of=rows.blocks_of + 5,
        block_sums=rows.block_sums,
        block_squares=rows.block_squares,
    )
    with pytest.raises(ValueError, match="not among them"):
        from_bytes(to_bytes(wrong))
