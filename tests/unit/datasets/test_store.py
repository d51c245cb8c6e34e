"""Users' datasets on the disk: kept whole, found by their own user only, and damage is noticed."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from src.datasets.files import DamagedDataset, encode, read_bars, read_head
from src.datasets.reading.reader import BarFileReader
from src.datasets.store import DiskDatasets
from src.domain.bars import Bars
from src.domain.datasets import BarFileDeclaration, Dataset, check_dataset_name, dataset_name_of
from src.domain.errors import Conflict, InvalidInput, ServiceError, SourceNotFound, StoreUnavailable, TooLarge
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest, MarketSeries
from src.files.unfinished import unfinished_name
from tests.bar_files import csv_of_bars, gzipped, in_chunks, simulated
from tests.clocks import FixedClock

NOW_MS = 1_700_000_000_000
DECLARED = BarFileDeclaration(symbol="BTCUSDT")
BARS = simulated(200)


def make_store(folder: Path, **overrides: Any) -> DiskDatasets:
    given = {"max_bytes": 10_000_000, "max_datasets_per_user": 3} | overrides
    reader = given.pop("reader", BarFileReader(max_rows=10_000, timeout_s=30))
    return DiskDatasets(folder / "bars", reader=reader, clock=FixedClock(NOW_MS), **given)


async def receive(
    store: DiskDatasets, name: str = "mine", *, user: str = "me", bars: Bars = BARS, **overrides: Any
) -> Any:
    content = overrides.pop("content", None) or csv_of_bars(bars)
    given = {"original_filename": "mine.csv", "declared": DECLARED} | overrides
    return await store.receive(user_id=user, name=name, chunks=in_chunks(content), **given)


async def fetch(store: DiskDatasets, name: str = "mine", user: str = "me", **market: Any) -> MarketSeries:
    given = {"symbol": "BTCUSDT", "interval": INTERVALS["1h"], "limit": 100_000} | market
    return await (await store.source(user, name)).fetch(MarketRequest(**given))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_dataset_round_trip_is_exact(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = await receive(store)
    assert (dataset.bars, dataset.interval.name, dataset.symbol) == (200, "1h", "BTCUSDT")
    assert dataset.fingerprint == BARS.fingerprint()
    assert dataset.size_bytes == len(csv_of_bars(BARS))
    assert await store.list("me") == [dataset]
    assert await store.get("me", "mine") == dataset
    series = await fetch(store)
    assert series.bars == BARS
    assert series.quality == dataset.quality
    assert series.origin == "dataset 'mine'"
    assert files(tmp_path) == ["bars/me/mine.bars"]


async def test_taken_name_and_full_quota_are_rejected(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    with pytest.raises(Conflict, match="Source 'mine' exists already"):
        await receive(store, "MINE")
    await receive(store, "b")
    await receive(store, "c")
    with pytest.raises(Conflict, match=r"has 3 datasets\. Maximum: 3"):
        await receive(store, "d")
    assert (await receive(store, "d", user="other")).name == "d"


async def test_concurrent_uploads_of_one_name_store_one(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    answers = await asyncio.gather(receive(store), receive(store, bars=simulated(100)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Dataset"]
    assert files(tmp_path) == ["bars/me/mine.bars"]
    assert len((await fetch(store)).bars) == (await store.get("me", "mine")).bars


async def test_dataset_of_another_user_is_not_found(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    assert await store.list("other") == []
    for act in (store.source, store.get, store.delete):
        with pytest.raises(SourceNotFound, match="Dataset 'mine' does not exist"):
            await act("other", "mine")
    assert len((await fetch(store)).bars) == 200


@pytest.mark.parametrize("name", ["../me/mine", "mine.bars", ".hidden", "", "a/b", "mine\0", "x" * 300, "münze"])
async def test_invalid_name_is_not_found_and_not_stored(tmp_path: Path, name: str) -> None:
    store = make_store(tmp_path)
    await receive(store)
    for act in (store.source, store.get, store.delete):
        with pytest.raises(SourceNotFound):
            await act("me", name)
    if name != "mine.bars":
        with pytest.raises(InvalidInput, match="name is "):
            await receive(store, name)
    with pytest.raises(InvalidInput, match="userId is "):
        await store.list("../me")


async def test_deleted_dataset_is_not_found(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    source = await store.source("me", "mine")
    await store.delete("me", "mine")
    with pytest.raises(SourceNotFound):
        await store.delete("me", "mine")
    with pytest.raises(SourceNotFound, match="any more"):
        await source.fetch(MarketRequest(symbol="BTCUSDT", interval=INTERVALS["1h"], limit=1))
    assert files(tmp_path) == []


@pytest.mark.parametrize("damage", [lambda body: body[:-1], lambda body: body[:-9] + b"x" + body[-8:], lambda body: b"",
                                    lambda body: body.replace(b'"bars": 200', b'"bars": 201'),
                                    lambda body: b"bars-2" + body[6:], lambda body: body + b"x"])  # fmt: skip
async def test_damaged_dataset_is_found_and_deletable(tmp_path: Path, damage: Any) -> None:
    store = make_store(tmp_path)
    await receive(store)
    path = tmp_path / "bars/me/mine.bars"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedDataset):
        read_bars(path)
    with pytest.raises(StoreUnavailable, match="'mine' cannot be read from the disk"):
        await fetch(store)
    await store.delete("me", "mine")
    assert await store.list("me") == []


async def test_damaged_head_hides_only_its_dataset(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    await receive(store, "other")
    path = tmp_path / "bars/me/mine.bars"
    path.write_bytes(path.read_bytes().replace(b'"me"', b'"ME"'))
    assert [dataset.name for dataset in await store.list("me")] == ["other"]
    with pytest.raises(StoreUnavailable):
        await store.get("me", "mine")


async def test_links_are_not_followed(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    (tmp_path / "bars/linked").symlink_to(tmp_path / "bars/me")
    (tmp_path / "bars/me/link.bars").symlink_to(tmp_path / "bars/me/mine.bars")
    assert await store.list("linked") == []
    for user, name in (("linked", "mine"), ("me", "link")):
        with pytest.raises(SourceNotFound):
            await store.source(user, name)
    with pytest.raises(SourceNotFound):
        await store.delete("linked", "mine")
    with pytest.raises(StoreUnavailable):
        await receive(store, "new", user="linked")


async def test_too_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    store = make_store(tmp_path, max_bytes=1000)
    taken = 0

    async def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 300

    with pytest.raises(TooLarge):
        await store.receive(
            user_id="me", name="big", original_filename="big.csv", declared=DECLARED, chunks=endless()
        )  # fmt: skip
    assert taken == 4
    assert files(tmp_path) == []


async def test_unreadable_file_leaves_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for content in (b"\0\0\0\0", b"PK\3\4", b"nonsense", gzipped("nonsense")[:-5]):
        with pytest.raises(ServiceError):
            await receive(store, content=content)
    with pytest.raises(InvalidInput, match="The file is empty"):
        await store.receive(
            user_id="me", name="x", original_filename="x.csv", declared=DECLARED, chunks=in_chunks(b"")
        )  # fmt: skip
    assert files(tmp_path) == []


async def test_only_old_leftovers_are_removed(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    old, new, dead = (tmp_path / f"bars/me/{name}" for name in (".old.part", ".new.part", f".{os.getpid()}-1.x.part"))
    living = tmp_path / "bars/me" / unfinished_name()
    for path in (old, new, dead, living):
        path.write_bytes(b"x")
    for path in (old, living):
        os.utime(path, (time.time() - 100_000,) * 2)
    assert await store.remove_leftovers() == 2
    assert files(tmp_path) == sorted(["bars/me/.new.part", f"bars/me/{living.name}", "bars/me/mine.bars"])


async def test_folder_is_removed_with_last_dataset(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    await receive(store, name="second")
    await store.delete("me", "mine")
    assert files(tmp_path) == ["bars/me/second.bars"]
    await store.delete("me", "second")
    assert list((tmp_path / "bars").iterdir()) == []


def test_dataset_file_round_trips(tmp_path: Path) -> None:
    async def keep() -> Dataset:
        return await receive(make_store(tmp_path))

    dataset = asyncio.run(keep())
    path = tmp_path / "again.bars"
    path.write_bytes(encode(dataset, BARS))
    assert read_head(path) == dataset
    assert read_bars(path) == (dataset, BARS)


async def test_coarser_intervals_are_built_and_finer_ones_rejected(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await receive(store)
    series = await fetch(store, interval=INTERVALS["4h"])
    assert series.bars.interval.name == "4h"
    assert len(series.bars) in (49, 50)
    with pytest.raises(InvalidInput, match=r"has 1h bars\. Allowed: 1h, 2h, 4h, 6h, 8h, 12h, 1d, 1w, 1M") as caught:
        await fetch(store, interval=INTERVALS["5m"])
    assert caught.value.field == "interval"


async def test_gaps_of_finer_bars_are_reported_for_coarser_ones(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    lines = csv_of_bars(BARS).decode().splitlines()
    await receive(store, content="\n".join(lines[:50] + lines[52:]).encode())
    series = await fetch(store, interval=INTERVALS["4h"])
    assert series.quality.gaps == ()
    assert any("BTCUSDT 1h has 1 gap: 2 of" in warning for warning in series.warnings)


async def test_faulty_rows_are_reported_for_their_own_interval(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    lines = csv_of_bars(BARS).decode().splitlines()
    spoilt = lines[60].split(",")
    await receive(
        store,
        content="\n".join([*lines[:60], ",".join([*spoilt[:4], "-1", spoilt[5]]), *lines[61:], lines[70]]).encode(),
    )
    series = await fetch(store, interval=INTERVALS["4h"])
    assert (series.quality.rejected_rows, series.quality.duplicate_rows) == ((), 0)
    assert any("1 BTCUSDT 1h bar left out" in warning for warning in series.warnings)
    assert any("1 BTCUSDT 1h row came more than once" in warning for warning in series.warnings)
    assert not any("BTCUSDT 4h" in warning for warning in series.warnings)


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("BTCUSDT-1d.csv.gz", "btcusdt-1d"), ("My Bars (1).CSV", "my_bars_1"), ("C:\\x\\a.parquet", "a"),
        ("../../etc/passwd", "passwd"), ("x" * 300 + ".csv", "x" * 64), ("bars", "bars"), ("a.b.csv", "a.b"),
    ],
)  # fmt: skip
def test_file_name_is_made_safe(filename: str, name: str) -> None:
    assert dataset_name_of(filename) == name
    assert check_dataset_name(name) == name


@pytest.mark.parametrize("filename", ["", ".csv", "日本.csv", "///", "..."])
def test_empty_safe_name_asks_for_name(filename: str) -> None:
    with pytest.raises(InvalidInput, match="name is required"):
        dataset_name_of(filename)
