"""Rows as files: how long pandas takes to read them beside JSON, and CSV beside numpy's own writer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from src.api.json_responses import JsonText
from src.api.rest.tables import present_series
from src.api.rows.columns import Column
from src.api.rows.files import write_arrow, write_csv, write_parquet
from src.api.rows.tables import series_columns
from src.domain.tearsheet import SERIES_COLUMNS, ResultSeries
from tests.benchmarks.measurement import Measurement, best_of

ROWS = 100_000
COLUMNS = tuple(name for name in SERIES_COLUMNS if name not in {"probability", "rebased"})
"""Twelve: the time, ten numbers and the signal."""

READING = "≥ 10× faster"
WRITING = "≤ 2× its time"


def make_series(rows: int) -> ResultSeries:
    """Return rows with numbers of 15 to 17 digits, as equity has."""
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(100.0, 10.0, rows) for name in COLUMNS}
    columns["date"] = 1_600_000_000_000 + 60_000 * np.arange(rows, dtype=np.int64)
    columns["signal"] = rng.integers(-1, 2, rows).astype(np.int8)
    return ResultSeries(columns=columns, length=rows, total=rows)


def write_json(series: ResultSeries) -> bytes:
    return JsonText({"success": True, "message": "", "data": present_series(series)}).whole()


def read_json(body: bytes) -> pd.DataFrame:
    frame = pd.DataFrame(json.loads(body)["data"]["columns"])
    frame["date"] = pd.to_datetime(frame["date"])
    return frame


def numpy_csv(series: ResultSeries) -> bytes:
    target = io.BytesIO()
    table = np.column_stack([np.asarray(column, np.float64) for column in series.columns.values()])
    np.savetxt(target, table, delimiter=",")
    return target.getvalue()


def measure() -> list[Measurement]:
    """Measure 100,000 rows of 12 columns."""
    series = make_series(ROWS)
    columns: Mapping[str, Column | None] = series_columns(series)
    body = write_json(series)
    units, json_s = f"{ROWS:,} rows of {len(COLUMNS)} columns", best_of(lambda: read_json(body), repeats=5)
    found = []
    readers: dict[str, tuple[bytes, Callable[[io.BytesIO], pd.DataFrame]]] = {
        "Arrow": (write_arrow(columns, ROWS), pd.read_feather),
        "Parquet": (write_parquet(columns, ROWS), pd.read_parquet),
    }
    for name, (content, read) in readers.items():
        seconds = best_of(lambda content=content, read=read: read(io.BytesIO(content)), repeats=20)  # type: ignore[misc]
        found.append(
            Measurement(
                name=f"pandas reads {name} ({len(content) / 1e6:.1f} MB)",
                seconds=seconds,
                units=units,
                peer_name=f"JSON ({len(body) / 1e6:.1f} MB)",
                peer_seconds=json_s,
                target=READING,
            )
        )
    numpy_s = best_of(lambda: numpy_csv(series), repeats=3)
    ours = best_of(lambda: write_csv(columns, ROWS), repeats=5)
    found.append(
        Measurement(
            name="write CSV", seconds=ours, units=units, peer_name="numpy.savetxt", peer_seconds=numpy_s, target=WRITING
        )
    )
    return found
