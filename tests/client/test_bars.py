"""Bars and datasets by the client against a real server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from backtesting_client import Client, InvalidRequest
from backtesting_client.progress import download_progress
from tests.client.conftest import MARKET
from tests.exchange import LoopbackExchange

COLUMNS = ["open", "high", "low", "close", "volume"]


def test_bars_have_utc_times_and_five_columns(bt: Client) -> None:
    bars = bt.candles("BTC/USDT", "1h", **MARKET)
    assert list(bars.columns) == COLUMNS
    assert len(bars) == 800
    assert str(bars.index.tz) == "UTC"
    assert bars.index.is_monotonic_increasing
    assert (bars["high"] >= bars["low"]).all()


def test_features_are_those_of_the_service(bt: Client) -> None:
    features = bt.features("BTCUSDT", "1h", **MARKET)
    bars = bt.candles("BTCUSDT", "1h", **MARKET)
    assert list(features.columns) == [
        "Open", "High", "Low", "Close", "Volume", "SMA_5", "SMA_10", "SMA_20", "Returns", "Returns_5", "Volatility_5",
        "Volatility_10", "Volume_SMA_5", "Volume_Ratio",
    ]  # fmt: skip
    assert features.index.equals(bars.index)
    assert features["SMA_20"].isna().sum() == 19
    np.testing.assert_allclose(features["SMA_20"], bars["close"].rolling(20).mean(), rtol=1e-12)
    assert features.dtypes.eq(float).all()


def test_quality_reports_on_the_same_bars(bt: Client) -> None:
    report = bt.quality("BTCUSDT", "1h", **MARKET)
    assert (report["present_bars"], report["missing_bars"]) == (800, 0)


def test_bars_come_from_the_exchange(bt: Client, exchange: LoopbackExchange) -> None:
    assert len(bt.candles("BTCUSDT", limit=50)) == 50


@pytest.mark.parametrize("form", ["frame", "csv"])
def test_dataset_is_uploaded_traded_listed_and_deleted(bt: Client, tmp_path: Path, form: str) -> None:
    bars = bt.candles("BTCUSDT", "1h", source="simulated", seed=3, limit=400)
    csv = tmp_path / "bars.csv"
    bars.to_csv(csv)
    report = bt.upload_data(bars if form == "frame" else csv, "BTCUSDT", name="mine", interval="1h")
    try:
        assert (report["name"], report["bars"]) == ("mine", 400)
        assert bt.datasets()["name"].tolist() == ["mine"]
        pd.testing.assert_frame_equal(bt.candles("BTCUSDT", "1h", source="mine", limit=400), bars, check_freq=False)
        traded = bt.run("donchian", "BTCUSDT", "1h", entry_length=5, source="mine")
        assert traded.metrics["bars"] == 400
    finally:
        bt.delete_dataset("mine")
    assert bt.datasets().empty


def test_user_name_is_checked_by_the_service(service: str) -> None:
    with Client(service, user="some one") as client, pytest.raises(InvalidRequest) as refused:
        client.models()
    assert refused.value.field == "user_id"


class FakeBar:
    """Records what tqdm would show."""

    made: ClassVar[list[FakeBar]] = []

    def __init__(self, *, desc: str, total: int, unit: str) -> None:
        self.desc, self.total, self.n, self.is_closed = desc, total, 0, False
        self.made.append(self)

    def update(self, count: int) -> None:
        self.n += count

    def close(self) -> None:
        self.is_closed = True


class Downloads:
    """Plays the transport: a download that grows with each poll, then wakes the request that waits."""

    def __init__(self, done: list[int]) -> None:
        self.done = done
        self.is_over = threading.Event()

    def data(self, method: str, path: str) -> list[dict[str, object]]:
        assert (method, path) == ("GET", "/api/data/downloads")
        if len(self.done) == 1:
            self.is_over.set()
        return (
            [{"symbol": "BTCUSDT", "interval": "1m", "done_bars": self.done.pop(0), "expected_bars": 900}]
            if (self.done)
            else []
        )


def test_progress_follows_the_services_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeBar.made.clear()
    monkeypatch.setattr("backtesting_client.progress.POLL_S", 0.001)
    monkeypatch.setattr("tqdm.tqdm", FakeBar)
    transport = Downloads([100, 400, 900])
    with download_progress(transport, is_shown=True):  # type: ignore[arg-type]
        assert transport.is_over.wait(10)
    [bar] = FakeBar.made
    assert (bar.desc, bar.total, bar.n, bar.is_closed) == ("BTCUSDT 1m", 900, 900, True)


def test_progress_is_not_asked_for_if_switched_off() -> None:
    with download_progress(None, is_shown=False):  # type: ignore[arg-type]
        pass
