"""Datasets as objects: seen by every host, to the bit; named, counted, deleted as those on a disk are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.datasets.object_store import ObjectDatasets
from src.datasets.reading.reader import BarFileReader
from src.domain.datasets import BarFileDeclaration, Dataset
from src.domain.errors import Conflict, InvalidInput, ServiceError, SourceNotFound, StoreUnavailable
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest, MarketSeries
from src.objects.bucket import Bucket
from src.objects.cache import ObjectCache
from src.objects.user_objects import UserObjects
from tests.bar_files import csv_of_bars, in_chunks, simulated
from tests.clocks import FixedClock
from tests.object_storage import ObjectStorage

NOW_MS = 1_700_000_000_000
DECLARED = BarFileDeclaration(symbol="BTCUSDT")
BARS = simulated(200)
RATES = b"time,fundingRate\n" + b"".join(b"%d,0.0001\n" % (NOW_MS - hour * 28_800_000) for hour in range(50, 0, -1))
OpenHost = Callable[[str], ObjectDatasets]


@pytest.fixture
def open_host(storage: ObjectStorage, tmp_path: Path) -> OpenHost:
    def open_one(name: str) -> ObjectDatasets:
        cache = ObjectCache(tmp_path / name / ".objects", max_bytes=10**7)
        clock = FixedClock(NOW_MS)
        bucket = Bucket(storage.url, timeout_s=5.0)
        objects = UserObjects(bucket, cache, kind="datasets", clock=clock, max_count=2, suffix=".bars")
        reader = BarFileReader(max_rows=10_000, timeout_s=30)
        folder = tmp_path / name / ".user_bars"
        return ObjectDatasets(objects, folder, reader=reader, clock=clock, max_bytes=10**7, max_datasets_per_user=2)

    return open_one


async def receive(store: ObjectDatasets, name: str = "mine", *, user: str = "me", content: bytes = b"") -> Dataset:
    return await store.receive(
        user_id=user,
        name=name,
        original_filename="mine.csv",
        declared=DECLARED,
        chunks=in_chunks(content or csv_of_bars(BARS)),
    )


async def fetch(store: ObjectDatasets, name: str = "mine", user: str = "me") -> MarketSeries:
    market = MarketRequest(symbol="BTCUSDT", interval=INTERVALS["1h"], limit=100_000)
    return await (await store.source(user, name)).fetch(market)


async def test_dataset_of_one_host_is_read_at_another(open_host: OpenHost) -> None:
    dataset = await receive(open_host("a"), "Mine")
    assert dataset.name == "mine"
    there = open_host("b")
    assert await there.list("me") == [dataset]
    assert await there.get("me", "MINE") == dataset
    series = await fetch(there)
    assert series.bars.fingerprint() == BARS.fingerprint()
    assert series.origin == "dataset 'mine'"
    assert [listing.symbol for listing in await (await there.source("me", "mine")).listings()] == ["BTCUSDT"]
    await (await there.source("me", "mine")).close()
    assert await there.remove_leftovers() == 0


async def test_rates_are_read_at_another_host(open_host: OpenHost) -> None:
    await receive(open_host("a"), "rates", content=RATES)
    dataset, rates = await open_host("b").rates("me", "rates")
    assert (dataset.bars, len(rates.rate)) == (50, 50)
    await receive(open_host("a"), "bars")
    with pytest.raises(InvalidInput, match="a dataset of bars"):
        await open_host("b").rates("me", "bars")
    with pytest.raises(InvalidInput, match="a dataset of funding rates"):
        await fetch(open_host("b"), "rates")


async def test_taken_name_and_full_quota_are_conflicts(open_host: OpenHost) -> None:
    outcomes = await asyncio.gather(*(receive(open_host(host)) for host in "ab"), return_exceptions=True)
    [lost] = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert isinstance(lost, Conflict)
    assert "exists already" in lost.message
    await receive(open_host("b"), "second")
    with pytest.raises(Conflict, match="MAX_DATASETS_PER_USER"):
        await receive(open_host("a"), "third")
    assert len(await open_host("a").list("me")) == 2


async def test_deleted_dataset_is_gone_everywhere(open_host: OpenHost, storage: ObjectStorage) -> None:
    here, there = open_host("a"), open_host("b")
    await receive(here)
    source = await there.source("me", "mine")
    await here.delete("me", "mine")
    for call in (
        here.delete("me", "mine"), there.get("me", "mine"), there.source("me", "mine"), there.rates("me", "../x"),
        there.delete("other", "mine"), source.fetch(MarketRequest(symbol="BTCUSDT", interval=INTERVALS["1h"], limit=9)),
    ):  # fmt: skip
        with pytest.raises(SourceNotFound):
            await call
    assert storage.stored_keys() == []
    assert (await receive(there)).name == "mine"


async def test_stopped_object_store_is_unavailable(open_host: OpenHost, storage: ObjectStorage) -> None:
    store = open_host("a")
    await receive(store)
    storage.stop()
    calls: list[Any] = [store.list("me"), store.get("me", "mine"), fetch(store), receive(store, "second")]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="object store") as caught:
            await call
        assert caught.value.retry_after_s
    storage.start()
    assert [dataset.name for dataset in await store.list("me")] == ["mine"]


async def test_wrong_file_is_not_stored(open_host: OpenHost, storage: ObjectStorage, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        await receive(open_host("a"), content=b"time,open\nx,y\n")
    assert storage.stored_keys() == []
    assert [path for path in (tmp_path / "a").rglob("*") if path.is_file()] == []
