from __future__ import annotations

import io

import pandas as pd

from src.api.rows.files import write_arrow
from src.api.rows.tables import series_columns
from tests.benchmarks.formats import COLUMNS, make_series, numpy_csv, read_json, write_json


def test_formats_that_are_measured_hold_the_same_table() -> None:
    series = make_series(50)
    from_json = read_json(write_json(series))
    from_arrow = pd.read_feather(io.BytesIO(write_arrow(series_columns(series), 50)))
    assert tuple(from_json.columns) == tuple(from_arrow.columns) == COLUMNS
    assert len(COLUMNS) == 12
    assert (from_json["date"] == from_arrow["date"]).all()
    pd.testing.assert_frame_equal(from_json.drop(columns="date"), from_arrow.drop(columns="date"))
    assert numpy_csv(series).count(b"\n") == 50
