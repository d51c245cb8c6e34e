"""Whether the service condemns honest models: twenty, trained before 2019 and tested on 2019 to 2024 of real bars.

`python run.py bench --only honest_models`: each model goes through a running service with its training window; what
its verdict out of sample says is in the column of the work. Without the real bars (`../shared/data`) nothing is
measured.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from tests.benchmarks.measurement import Measurement
from tests.exchange import LoopbackExchange
from tests.exchange_series import read_series
from tests.honest_models import VALUES, fit, make_models
from tests.load import ProductionService
from tests.market import read_klines

FILE: Final = Path(__file__).parents[3] / "shared" / "data" / "BTCUSDT-1d.csv.gz"
TRAINED_TO, FIRST_DAY, LAST_DAY = "2018-12-31", "2018-06-01", "2024-12-31"
LEAKS: Final = frozenset(
    {
        "LOOKS_AHEAD", "NOT_REPEATABLE", "DEPENDS_ON_OTHER_ROWS", "TRAINED_ON_THIS_WINDOW", "HIGH_HIT_RATE",
        "UNEVEN_HIT_RATE", "LOSES_WHEN_DELAYED",
    }
)  # fmt: skip
"""The reasons that say that a model may have known the bars."""
QUICK_MODELS: Final = 5
PATIENCE_S: Final = 120.0


def measure(*, quick: bool) -> list[Measurement]:
    """Measure each model: its backtest through the service, beside its training; nothing without the real bars."""
    if not FILE.exists():
        return []
    bars = read_klines(FILE, interval="1d")
    with (
        tempfile.TemporaryDirectory() as folder,
        LoopbackExchange([read_series(FILE, symbol="BTCUSDT", interval=INTERVALS["1d"])]) as exchange,
        ProductionService(
            Path(folder),
            BINANCE_API_URL=exchange.url,
            BINANCE_FALLBACK_URL="none",
            BINANCE_ARCHIVE_URL="none",
            REQUEST_TIMEOUT_S=f"{PATIENCE_S:g}",
            PRELOAD_MODELS="true",
        ) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=PATIENCE_S) as client,
    ):
        return list(_measure_models(client, bars, QUICK_MODELS if quick else None))


def _measure_models(client: httpx.Client, bars: Bars, most: int | None) -> Iterator[Measurement]:
    trained = int(np.searchsorted(bars.open_time_ms, np.datetime64(TRAINED_TO, "ms").astype(np.int64), side="right"))
    for name, (model, kind) in list(make_models().items())[:most]:
        started = time.perf_counter()
        fit(model, kind, bars, trained)
        fitted = time.perf_counter()
        after = backtest(client, model, kind)["out_of_sample"]["judgement"]
        yield Measurement(
            name=f"honest model, {name}",
            seconds=time.perf_counter() - fitted,
            units=describe(after),
            peer_name="its training",
            peer_seconds=fitted - started,
            target="not DISPROVED, no sign of a leak",
        )


def backtest(client: httpx.Client, model: Any, kind: str) -> dict[str, Any]:
    """Return the result of a model over its last days of training and all days after them."""
    form = {
        "user_id": "honest", "symbol": "BTCUSDT", "start_date": FIRST_DAY, "end_date": LAST_DAY,
        "trained_to": TRAINED_TO, "output_kind": kind, "threshold": "0" if kind == VALUES else "",
    }  # fmt: skip
    sent = client.post(
        "/api/models/backtest/ml",
        data={name: text for name, text in form.items() if text},
        files={"file": ("model.pkl", pickle.dumps(model))},
    )
    if sent.status_code != 200:
        raise RuntimeError(sent.text)
    found: dict[str, Any] = sent.json()["data"]
    return found


def describe(judgement: dict[str, Any]) -> str:
    """Return the level of a verdict, its signs of a leak, and the figures that they follow from."""
    overlap = judgement["leaks"]["overlap"]
    codes = sorted({reason["code"] for reason in judgement["verdict"]["reasons"]} & LEAKS)
    figures = ", ".join(
        f"{title} {overlap[name]:.3g}"
        for title, name in (("hits", "hit_rate"), ("Kuiper", "kuiper_range"), ("lag z", "lag_z"))
        if overlap[name] is not None
    )
    return f"{judgement['verdict']['level']}, {' '.join(codes) or 'no sign'} ({figures})"
