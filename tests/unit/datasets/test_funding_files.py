"""Files of funding rates on the disk: read as they are written, kept to the bit, and not taken for bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.domain.datasets import DatasetKind
from src.domain.errors import InvalidInput, SourceNotFound, StoreUnavailable
from src.domain.funding_rates import build_rates
from tests.unit.datasets.test_store import fetch, make_store, receive

HOUR_MS = 3_600_000
FIRST_MS = 1_704_067_200_000
"""2024-01-01 00:00 UTC."""
FILE = b"""fundingTime,symbol,fundingRate,markPrice
1704067200007,BTCUSDT,0.0001,42000
1704096000000,BTCUSDT,-0.00025,42000
1704182399996,BTCUSDT,0.03,42000
"""


async def test_rates_are_kept_as_they_were_sent(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = await receive(store, content=FILE)
    # Some milliseconds late or early is on the mark.
    times = FIRST_MS + HOUR_MS * np.array([0, 8, 32])
    expected = build_rates(times, np.array([0.0001, -0.00025, 0.03]))
    assert (dataset.kind, dataset.bars, dataset.fingerprint) == (DatasetKind.FUNDING, 3, expected.fingerprint)
    assert await store.list("me") == [dataset]
    kept, rates = await store.rates("me", "Mine")
    assert kept == dataset
    assert rates.fingerprint == expected.fingerprint
    assert (rates.time_ms.tolist(), rates.rate.tolist()) == (times.tolist(), expected.rate.tolist())


async def test_gaps_and_faults_are_reported(tmp_path: Path) -> None:
    rows = [(8, "0.2%"), (0, "0.001"), (24, "0.002"), (8, "0.003"), (24, "0.002"), (40, "-0.001"), (16, "0.001")]
    content = "time,rate\n" + "\n".join(f"{(FIRST_MS + hour * HOUR_MS) // 1000},{rate}" for hour, rate in rows)
    store = make_store(tmp_path)
    dataset = await receive(store, content=content.encode())
    assert dataset.interval.name == "8h"
    quality = dataset.quality
    assert (quality.present_bars, quality.expected_bars, quality.missing_bars) == (5, 6, 1)
    assert (quality.duplicate_rows, quality.disordered_rows) == (1, 2)
    assert [row.reason for row in quality.rejected_rows] == ["its rate is not a number"]
    assert "1 cells are no numbers, and their rows were left out" in " ".join(dataset.warnings)
    _, rates = await store.rates("me", "mine")
    assert rates.rate.tolist() == [0.001, 0.003, 0.001, 0.002, -0.001]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1704067200,0.031", r"The rate at 2024-01-01 is 0\.031\. Allowed: fractions from -0\.03 to 0\.03"),
        ("1704067200,0.01\n1704067201,0.02", r"The file has two rates at 2024-01-01: 0\.01 and 0\.02\."),
        ("1704067200,x", r"No row of the file has a rate of funding\."),
    ],
)
async def test_impossible_rates_are_refused(tmp_path: Path, rows: str, words: str) -> None:
    store = make_store(tmp_path)
    with pytest.raises(InvalidInput, match=words):
        await receive(store, content=f"time,rate\n{rows}\n".encode())
    assert await store.list("me") == []


async def test_bars_with_a_rate_are_bars(tmp_path: Path) -> None:
    content = "time,open,high,low,close,volume,rate\n1604067200,1,1,1,1,1,0.5\n1604070800,1,1,1,1,1,0.5\n"
    assert (await receive(make_store(tmp_path), content=content.encode())).kind is DatasetKind.BARS


async def test_each_kind_is_read_as_such(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store, "rates", content=FILE)
    await receive(store, "bars")
    with pytest.raises(InvalidInput, match=r"source is 'rates', a dataset of funding rates\. Allowed: one of bars"):
        await fetch(store, "rates")
    with pytest.raises(InvalidInput, match=r"fundingHistory is 'bars', a dataset of bars\. Allowed: one of funding"):
        await store.rates("me", "bars")
    for user, name in (("me", "none"), ("you", "rates"), ("me", "../rates")):
        with pytest.raises(SourceNotFound):
            await store.rates(user, name)


async def test_damaged_rates_are_noticed(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store, content=FILE)
    [path] = tmp_path.rglob("*.bars")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="'mine' is damaged on the disk"):
        await store.rates("me", "mine")
