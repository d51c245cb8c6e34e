"""Tables as files, read by pandas and by Python's csv module."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.api.rows.columns import boolean_column, float_column, int_column, null_column, time_column, word_column
from src.api.rows.files import csv_text, write_arrow, write_csv, write_parquet

LENGTH = 20_000
TIMES = 1_600_000_000_000 + 60_000 * np.arange(LENGTH, dtype=np.int64)
NUMBERS = np.random.default_rng(1).normal(0, 1e5, LENGTH) * 10.0 ** np.arange(-9, 11).repeat(1000)
CODES = np.arange(LENGTH) % 3 - 1


def columns() -> dict[str, Any]:
    some = NUMBERS.copy()
    some[[0, 7, -1]] = np.nan, np.inf, -np.inf
    return {
        "date": time_column(TIMES),
        "number": float_column(NUMBERS),
        "some": float_column(some),
        "count": int_column(np.arange(LENGTH)),
        "is_open": boolean_column(np.arange(LENGTH) % 2 == 0),
        "side": word_column(CODES, {1: "buy", -1: None, 0: "hold"}),
        "empty": None,
        "none": null_column(LENGTH),
    }


def frame_of(kind: str) -> pd.DataFrame:
    if kind == "csv":
        exact = {"number": float, "some": lambda cell: float(cell) if cell else np.nan}
        return pd.read_csv(io.BytesIO(write_csv(columns(), LENGTH)), parse_dates=["date"], converters=exact)
    if kind == "parquet":
        return pd.read_parquet(io.BytesIO(write_parquet(columns(), LENGTH)))
    return pd.read_feather(io.BytesIO(write_arrow(columns(), LENGTH)))


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_pandas_reads_every_value_back(kind: str) -> None:
    frame = frame_of(kind)
    assert list(frame.columns) == list(columns())
    assert len(frame) == LENGTH
    assert str(frame["date"].dt.tz) == "UTC"
    expected = pd.to_datetime(pd.Series(TIMES), unit="ms", utc=True)
    assert (frame["date"] == expected).all()
    assert np.array_equal(frame["number"].to_numpy(), NUMBERS), "to the last bit"
    assert np.flatnonzero(frame["some"].isna()).tolist() == [0, 7, LENGTH - 1]
    assert np.array_equal(frame["some"].to_numpy()[10:90], NUMBERS[10:90])
    assert frame["count"].dtype == np.int64 and frame["count"].iloc[-1] == LENGTH - 1
    assert frame["is_open"].tolist()[:3] == [True, False, True]
    assert frame["side"].iloc[1:3].tolist() == ["hold", "buy"]
    assert frame["side"].isna().sum() == (CODES == -1).sum()
    assert frame["empty"].isna().all() and frame["none"].isna().all()


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_table_without_rows_has_its_columns(kind: str) -> None:
    empty = {name: column and column.part(slice(0, 0)) for name, column in columns().items()}
    write = {"csv": write_csv, "parquet": write_parquet, "arrow": write_arrow}[kind]
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "arrow": pd.read_feather}[kind]
    frame = read(io.BytesIO(write(empty, 0)))  # type: ignore[operator]
    assert (list(frame.columns), len(frame)) == (list(empty), 0)


def test_fractions_of_second_are_kept() -> None:
    times = {"date": time_column(np.array([1_600_000_000_123, 1_600_000_001_000]))}
    assert write_csv(times, 2) == b"date\r\n2020-09-13T12:26:40.123Z\r\n2020-09-13T12:26:41.000Z\r\n"
    frame = pd.read_parquet(io.BytesIO(write_parquet(times, 2)))
    assert frame["date"].iloc[0] == pd.Timestamp("2020-09-13T12:26:40.123Z")


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formula_is_no_formula_in_csv(text: str) -> None:
    table = {"=name": word_column(np.zeros(1, np.int8), {0: text})}
    head, row = csv.reader(io.StringIO(write_csv(table, 1).decode(), newline=""))
    assert (head, row) == (["'=name"], [f"'{text}"])


@pytest.mark.parametrize("text", ["a,b", 'say "hi"', "two\r\nlines", "ünï", "", "a=b", "1-2"])
def test_other_text_is_read_back_as_it_is(text: str) -> None:
    [[read]] = csv.reader(io.StringIO(csv_text(text) + "\r\n" if text else '""\r\n', newline=""))
    assert read == text


def test_negative_number_is_no_formula() -> None:
    assert write_csv({"x": float_column(np.array([-1.5]))}, 1) == b"x\r\n-1.5\r\n"
