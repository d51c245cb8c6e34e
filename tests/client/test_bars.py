"""Bars and datasets by the client against a real server."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from backtesting_client import BacktestingWarning, Client, InvalidRequest
from backtesting_client.progress import download_progress
from tests.client.conftest import MARKET
from tests.exchange import LoopbackExchange

pytestmark = pytest.mark.filterwarnings("ignore:The bars are simulated:backtesting_client.BacktestingWarning")

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


@pytest.mark.filterwarnings("ignore:BTCUSDT has no 1d bars after:backtesting_client.BacktestingWarning")
def test_bars_come_from_the_exchange(bt: Client, exchange: LoopbackExchange) -> None:
    assert len(bt.candles("BTCUSDT", limit=50)) == 50


def test_end_alone_gives_all_bars_before_it_without_warning(bt: Client, exchange: LoopbackExchange) -> None:
    bars = bt.candles("BTCUSDT", end="2022-01-01")
    assert bars.index[-1] == pd.Timestamp("2022-01-01", tz="UTC")
    assert bars.index[0] < pd.Timestamp("2020-10-01", tz="UTC")
    assert len(bars) == (bars.index[-1] - bars.index[0]).days + 1


SIMULATED = {"source": "simulated", "seed": 7}
EARLIER = "2010-01-01"
"""When simulated markets open."""


@pytest.mark.parametrize("name", ["candles", "features"])
@pytest.mark.parametrize("given", [{"start": EARLIER}, {"end": "2019-12-31"}, {"start": EARLIER, "end": "2019-12-31"}])
def test_range_is_whole_without_limit(bt: Client, name: str, given: dict[str, str]) -> None:
    frame = getattr(bt, name)("BTCUSDT", "1d", **SIMULATED, **given)
    assert frame.index[0] == pd.Timestamp(EARLIER, tz="UTC")
    newest = pd.Timestamp.now("UTC") - pd.Timedelta(days=2)
    last = pd.Timestamp(given["end"], tz="UTC") if "end" in given else newest
    assert frame.index[-1] >= last.floor("D")
    assert len(frame) == (frame.index[-1] - frame.index[0]).days + 1 > 3650


@pytest.mark.parametrize("name", ["candles", "features"])
def test_cut_range_is_a_warning_at_the_line_that_asked(bt: Client, name: str) -> None:
    with pytest.warns(BacktestingWarning, match=r"limit 800 cut the range: 800 bars from 2020-01-01 ") as told:
        frame = getattr(bt, name)("BTCUSDT", "1d", start="2020-01-01", **MARKET)
    assert len(frame) == 800
    assert {one.filename for one in told} == {__file__}


def test_warning_is_given_once_for_all_pages(own_service: Callable[..., tuple[str, LoopbackExchange]]) -> None:
    url, _ = own_service(max_rows_per_answer=300, max_bars=2000)
    with Client(url, progress=False) as client:
        whole = client.candles("BTCUSDT", "1d", end="2012-01-01", **SIMULATED)
        assert len(whole) == 731
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            cut = client.candles("BTCUSDT", "1d", start=EARLIER, **SIMULATED)
    assert len(cut) == 2000
    simulated, one = told
    assert str(simulated.message).startswith("The bars are simulated")
    assert str(one.message).startswith("limit 2,000 cut the range: 2,000 bars from 2010-01-01 to 2015-06-23 of ")


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
