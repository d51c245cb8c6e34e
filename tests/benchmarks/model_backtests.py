"""A model file from upload to answer through the running service; and what the sandbox costs beside no sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

from src.domain.bars import Bars
from src.domain.model_files import ModelFile
from src.features.ohlcv import build_features
from src.features.rows import complete_rows
from src.features.selection import choose_columns
from src.model_formats.registry import load_model, prepare
from src.sandbox.runner import SandboxedModelRunner
from tests.benchmarks.measurement import Measurement, best_of
from tests.exchange import LoopbackExchange
from tests.load import ProductionService
from tests.market import random_bars
from tests.model_factory import FORMATS, make_model_files
from tests.pandas_features import pandas_features

BARS = 1_000
WHOLE_REQUEST_LIMIT_S = 0.090
SANDBOX_MARGIN_S = 0.025
FEATURE_BARS = 1_000_000
FEATURE_LIMIT_S = 0.5
FORM = {"user_id": "bench", "symbol": "TESTUSDT", "interval": "1d", "limit": str(BARS)}


def measure(*, quick: bool = False) -> list[Measurement]:
    """Measure whole requests and the sandbox alone, as medians of warm runs."""
    repeats = 10 if quick else 40
    bars = random_bars(BARS, seed=3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_model_files(folder, bars)
        return [
            *_whole_requests(bars, {kind: files[kind] for kind in ("joblib", "onnx")}, folder / "storage", repeats),
            *asyncio.run(_sandbox_alone(bars, {kind: files[kind] for kind in FORMATS}, folder, repeats)),
            _features(quick),
        ]


def _median(work: Callable[[], object], repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _whole_requests(bars: Bars, files: dict[str, Path], storage: Path, repeats: int) -> list[Measurement]:
    found = []
    with (
        LoopbackExchange([bars]) as exchange,
        ProductionService(
            storage, BINANCE_API_URL=exchange.url, BINANCE_FALLBACK_URL="none", WORKERS="1", PRELOAD_MODELS="true"
        ) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as client,
    ):
        service.settle()
        for kind, file in files.items():
            content = file.read_bytes()

            def post(content: bytes = content, name: str = file.name) -> None:
                answer = client.post("/api/models/backtest/ml", data=FORM, files={"file": (name, content)})
                answer.raise_for_status()

            found.append(
                Measurement(
                    name=f"ML backtest over HTTP, upload to answer: .{kind} (median)",
                    seconds=_median(post, repeats),
                    units=f"{BARS:,} bars",
                    peer_name="limit: 90 ms",
                    peer_seconds=WHOLE_REQUEST_LIMIT_S,
                    target="within the limit",
                )
            )
    return found


async def _sandbox_alone(bars: Bars, files: dict[str, Path], folder: Path, repeats: int) -> list[Measurement]:
    features = build_features(bars)
    runner = SandboxedModelRunner()
    found = []
    try:
        await runner.warm_up()
        for kind, path in files.items():
            file = ModelFile(
                path=path,
                user_id="bench",
                original_filename=path.name,
                model_name=kind,
                extension=path.suffix,
                size_bytes=path.stat().st_size,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            seconds = []
            for _ in range(repeats + 1):
                started = time.perf_counter()
                await runner.predict(file, features, None, None)
                seconds.append(time.perf_counter() - started)

            def in_process(path: Path = path, kind: str = kind) -> None:
                with tempfile.TemporaryDirectory(dir=folder) as unpacked:
                    predictor = load_model(prepare(path, path.suffix, Path(unpacked)), path.suffix)
                    about = predictor.description
                    columns = choose_columns(features.names, None, about.feature_names, about.n_features)
                    is_asked = complete_rows(features.values, features.names, columns)
                    chosen = features.values[:, [features.names.index(c) for c in columns]][is_asked]
                    predictor.predict(np.ascontiguousarray(chosen), columns)

            found.append(
                Measurement(
                    name=f"prediction in the sandbox: .{kind} (median)",
                    seconds=statistics.median(seconds[1:]),
                    units=f"{BARS:,} bars",
                    peer_name="the same in-process + 25 ms",
                    peer_seconds=_median(in_process, repeats) + SANDBOX_MARGIN_S,
                    target="within the peer's time" if kind in ("pkl", "joblib", "onnx") else None,
                )
            )
    finally:
        await runner.close()
    return found


def _features(quick: bool) -> Measurement:
    bars = random_bars(FEATURE_BARS, seed=4, interval="1m", volatility=0.001)
    few = bars.slice(0, 20_000)
    pandas_seconds = best_of(lambda: pandas_features(few), repeats=1)
    return Measurement(
        name="fourteen features",
        seconds=best_of(lambda: build_features(bars), repeats=2 if quick else 5),
        units=f"{FEATURE_BARS:,} bars",
        peer_name=f"limit: {FEATURE_LIMIT_S} s (pandas, window by window: {pandas_seconds * 50:.0f} s, scaled)",
        peer_seconds=FEATURE_LIMIT_S,
        target="within the limit",
    )
