"""Check what every source of bars must do, wherever it reads them."""

from __future__ import annotations

import ast
import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.bars.grid import close_times_ms
from src.bars.simulated import SimulatedSource, simulate_bars
from src.binance.source import BinanceSource
from src.datasets.object_store import ObjectDatasets, ObjectDatasetSource
from src.datasets.reading.reader import BarFileReader
from src.datasets.source import DatasetSource
from src.datasets.store import DiskDatasets
from src.domain.bars import Bars
from src.domain.datasets import BarFileDeclaration
from src.domain.errors import InvalidInput, SymbolNotFound
from src.domain.intervals import INTERVALS
from src.domain.market import LimitOrigin, MarketRequest, MarketSeries
from src.objects.bucket import Bucket
from src.objects.cache import ObjectCache
from src.objects.user_objects import UserObjects
from src.ports.market import BarSource
from tests.bar_files import csv_of_bars, in_chunks
from tests.clocks import FixedClock
from tests.exchange import LoopbackExchange
from tests.object_storage import running_object_storage

SRC = Path(__file__).parents[2] / "src"
HOUR = INTERVALS["1h"]
NOW_MS = 1_700_001_000_000
"""2023-11-14T22:30, in the middle of an hour."""
OPEN_MS = 1_699_999_200_000
"""The opening time of the bar that is not closed then."""
TRADED = 2500


@pytest.fixture(scope="module")
def exchange() -> Iterator[LoopbackExchange]:
    hours = simulated_hours()
    other = simulate_bars("ETHUSDT", HOUR, OPEN_MS, 24, 7)
    with LoopbackExchange([hours, other], now_ms=NOW_MS) as playing:
        yield playing


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same hours as a dataset; the file also has those not closed yet."""
    folder = tmp_path_factory.mktemp("datasets")
    reader = BarFileReader(max_rows=10_000, timeout_s=60)
    store = DiskDatasets(
        folder, reader=reader, clock=FixedClock(NOW_MS), max_bytes=10**7, max_datasets_per_user=1
    )  # fmt: skip
    asyncio.run(
        store.receive(
            user_id="me", name="mine", original_filename="mine.csv", declared=BarFileDeclaration(symbol="BTCUSDT"),
            chunks=in_chunks(csv_of_bars(simulated_hours())),
        )
    )  # fmt: skip
    return folder / "me" / "mine.bars"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with running_object_storage() as storage, pytest.MonkeyPatch.context() as patched:
        for name, value in storage.environment.items():
            patched.setenv(name, value)
        yield Bucket(storage.url, timeout_s=10.0)


async def store_object(bucket: Bucket, folder: Path) -> ObjectDatasetSource:
    """Store the same hours as an object, under another name for each test."""
    clock, cache = FixedClock(NOW_MS), ObjectCache(folder / "copies", max_bytes=10**8)
    objects = UserObjects(bucket, cache, kind="datasets", clock=clock, max_count=1000, suffix=".bars")
    store = ObjectDatasets(
        objects, folder, reader=BarFileReader(max_rows=10_000, timeout_s=60), clock=clock, max_bytes=10**7,
        max_datasets_per_user=1000,
    )  # fmt: skip
    name = f"mine-{uuid.uuid4().hex[:8]}"
    await store.receive(
        user_id="me", name=name, original_filename="mine.csv", declared=BarFileDeclaration(symbol="BTCUSDT"),
        chunks=in_chunks(csv_of_bars(simulated_hours())),
    )  # fmt: skip
    return await store.source("me", name)


def simulated_hours() -> Bars:
    return simulate_bars("BTCUSDT", HOUR, OPEN_MS - TRADED * HOUR.milliseconds, TRADED + 24, 7)


UPLOADED = (DatasetSource, ObjectDatasetSource)

SOURCES: dict[str, type[BarSource]] = {
    "binance": BinanceSource,
    "cached": CachedSource,
    "simulated": SimulatedSource,
    "dataset": DatasetSource,
    "object": ObjectDatasetSource,
}


def test_every_source_is_in_the_suite() -> None:
    methods = {name for name in vars(BarSource) if not name.startswith("_")}
    found = {
        node.name
        for path in SRC.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and node.name != BarSource.__name__
        and methods <= {item.name for item in node.body if isinstance(item, ast.AsyncFunctionDef)}
    }
    assert found == {kind.__name__ for kind in SOURCES.values()}


@pytest_asyncio.fixture(params=SOURCES)
async def source(
    request: pytest.FixtureRequest, exchange: LoopbackExchange, uploaded: Path, tmp_path: Path
) -> AsyncIterator[BarSource]:
    """Yield one adapter after the other; each knows at least 2,500 hours of BTCUSDT until NOW_MS."""
    clock = FixedClock(NOW_MS)

    def binance() -> BinanceSource:
        return BinanceSource(base_urls=[exchange.url], timeout_s=5, deadline_s=20, weight_per_minute=6000, clock=clock)

    made: dict[str, Callable[[], BarSource]] = {
        "binance": binance,
        "cached": lambda: CachedSource(binance(), store=BarStore(tmp_path, max_bytes=10**8), clock=clock),
        "simulated": lambda: SimulatedSource(clock=clock, seed=7),
        "dataset": lambda: DatasetSource(uploaded),
    }
    exchange.reset()
    if request.param == "object":
        source: BarSource = await store_object(request.getfixturevalue("bucket"), tmp_path)
    else:
        source = made[request.param]()
    assert isinstance(source, SOURCES[request.param])
    yield source
    await source.close()


def wish(
    limit: int,
    *,
    start: int | None = None,
    end: int | None = None,
    symbol: str = "BTCUSDT",
    origin: LimitOrigin = LimitOrigin.CLIENT,
) -> MarketRequest:
    """Build a request for hours; `start` and `end` count hours backwards from the unclosed one (0)."""
    return MarketRequest(
        symbol=symbol,
        interval=HOUR,
        limit=limit,
        start_ms=None if start is None else OPEN_MS + start * HOUR.milliseconds,
        end_ms=None if end is None else max(0, OPEN_MS + end * HOUR.milliseconds),
        limit_origin=origin,
    )


def hours_of(series: MarketSeries) -> list[int]:
    return ((series.bars.open_time_ms - OPEN_MS) // HOUR.milliseconds).tolist()


@pytest.mark.parametrize("limit", [1, 2, 999, 1000, 1001, 2345])
async def test_request_without_start_returns_newest_closed_bars(source: BarSource, limit: int) -> None:
    assert hours_of(await source.fetch(wish(limit))) == list(range(-limit, 0))


@pytest.mark.parametrize("limit", [1, 1000, 1001, 2000])
async def test_request_with_start_returns_bars_from_it(source: BarSource, limit: int) -> None:
    assert hours_of(await source.fetch(wish(limit, start=-2400))) == list(range(-2400, -2400 + limit))


async def test_both_ends_are_included(source: BarSource) -> None:
    assert hours_of(await source.fetch(wish(1000, start=-50, end=-40))) == list(range(-50, -39))
    assert hours_of(await source.fetch(wish(3, end=-40))) == [-42, -41, -40]
    assert hours_of(await source.fetch(wish(1000, start=-1, end=-1))) == [-1]


async def test_start_between_two_bars_takes_the_later(source: BarSource) -> None:
    market = MarketRequest(symbol="BTCUSDT", interval=HOUR, limit=1, start_ms=OPEN_MS - 5 * HOUR.milliseconds + 1)
    assert hours_of(await source.fetch(market)) == [-4]


async def test_unclosed_bar_is_never_returned(source: BarSource) -> None:
    for market in (wish(10), wish(10, end=0), wish(10, end=20), wish(10, start=-3), wish(10, start=-3, end=20)):
        bars = (await source.fetch(market)).bars
        assert close_times_ms(bars.open_time_ms, HOUR)[-1] <= NOW_MS
        assert bars.open_time_ms[-1] == OPEN_MS - HOUR.milliseconds


async def test_bars_are_ascending_and_have_a_quality_report(source: BarSource) -> None:
    series = await source.fetch(wish(1500))
    assert (series.bars.symbol, series.bars.interval) == ("BTCUSDT", HOUR)
    assert (np.diff(series.bars.open_time_ms) == HOUR.milliseconds).all()
    assert (series.quality.expected_bars, series.quality.present_bars) == (1500, 1500)
    assert series.origin
    assert series.warnings == ()


async def test_every_spelling_of_symbol_returns_same_bars(source: BarSource) -> None:
    expected: Bars = (await source.fetch(wish(50))).bars
    for spelling in ("btcusdt", "BTC/USDT", "btc-usdt"):
        assert (await source.fetch(wish(50, symbol=spelling))).bars == expected


async def test_concurrent_requests_agree_on_shared_bars(source: BarSource) -> None:
    by_start, by_end, longer = await asyncio.gather(
        source.fetch(wish(1200, start=-1300)), source.fetch(wish(1200, end=-101)), source.fetch(wish(2000))
    )
    assert by_start.bars == by_end.bars == longer.bars.slice(700, 1900)


def cuts_of(series: MarketSeries) -> list[str]:
    return [warning for warning in series.warnings if "cut the range" in warning]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (wish(1000, start=-2400), "limit 1,000 cut the range: 1,000 bars from .+ of (about )?2,400 up to {last}."),
        (wish(50, start=-60, end=-1), "limit 50 cut the range: 50 bars from .+ of (about )?60 up to {last}."),
        (wish(50, start=-60, end=30), "limit 50 cut the range: 50 bars from .+ of (about )?60 up to {last}."),
        (wish(50, end=-1), "limit 50 cut the range: 50 bars from .+ to {last}(; earlier bars,.+| of [0-9,]+ from .+)"),
    ],
    ids=["open end", "both dates", "end to come", "open start"],
)
async def test_limit_that_cuts_a_range_is_named(source: BarSource, asked: MarketRequest, expected: str) -> None:
    (cut,) = cuts_of(await source.fetch(asked))
    assert re.match(expected.format(last="2023-11-14T21:00Z"), cut)


@pytest.mark.parametrize("asked", [wish(60, start=-60), wish(60, start=-60, end=-1), wish(60)])
async def test_limit_that_cuts_nothing_is_not_named(source: BarSource, asked: MarketRequest) -> None:
    assert cuts_of(await source.fetch(asked)) == []


async def test_whole_range_comes_without_a_warning(source: BarSource) -> None:
    series = await source.fetch(wish(2410, start=-2400, end=9, origin=LimitOrigin.RANGE))
    assert hours_of(series) == list(range(-2400, 0))
    assert cuts_of(series) == []


async def test_whole_range_beyond_the_maximum_is_refused(source: BarSource, exchange: LoopbackExchange) -> None:
    with pytest.raises(InvalidInput, match=r"has (about )?2,400 1h bars\. Maximum: 2,000 \(MAX_BARS\)") as caught:
        await source.fetch(wish(2000, start=-2400, end=9, origin=LimitOrigin.RANGE))
    assert caught.value.field == "startDate"
    assert exchange.count() <= 5


async def test_range_from_before_the_listing_returns_existing_bars(source: BarSource) -> None:
    asked = wish(TRADED, start=-5000, end=-1, origin=LimitOrigin.RANGE)
    if isinstance(source, SimulatedSource):
        with pytest.raises(InvalidInput, match="has 5,000 1h bars"):
            await source.fetch(asked)
        return
    assert hours_of(await source.fetch(asked)) == list(range(-TRADED, 0))


@pytest.mark.parametrize("symbol", ["", "../../etc", "BTC USDT", "BTCUSDT&limit=1", "x" * 300])
async def test_invalid_symbol_is_refused(source: BarSource, symbol: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await source.fetch(wish(10, symbol=symbol))
    assert caught.value.field == "symbol"


async def test_symbol_is_simulated_or_unknown(source: BarSource) -> None:
    if isinstance(source, SimulatedSource):
        assert len((await source.fetch(wish(10, symbol="NOSUCHCOIN"))).bars) == 10
        return
    words = "BTCUSDT only" if isinstance(source, UPLOADED) else r"NOSUCHCOIN: Invalid symbol\."
    with pytest.raises(SymbolNotFound, match=words):
        await source.fetch(wish(10, symbol="NOSUCHCOIN"))


@pytest.mark.parametrize(
    ("start", "end", "field"), [(0, None, "startDate"), (5, 9, "startDate"), (None, -2_000_000, "endDate")]
)
async def test_empty_range_is_refused_with_the_available_one(
    source: BarSource, start: int | None, end: int | None, field: str
) -> None:
    with pytest.raises(InvalidInput, match="2023-11-14T21:00Z") as caught:
        await source.fetch(wish(10, start=start, end=end))
    assert caught.value.field == field


async def test_symbols_are_sorted_names_that_can_be_fetched(source: BarSource) -> None:
    names = [listing.symbol for listing in await source.listings()]
    assert names == sorted(set(names))
    assert (set(names) if isinstance(source, UPLOADED) else {"BTCUSDT", "ETHUSDT"}) <= set(names)
    assert "BTCUSDT" in names


async def test_same_request_returns_the_same_bits(source: BarSource) -> None:
    first, second = await source.fetch(wish(700)), await source.fetch(wish(700))
    assert first.bars.fingerprint() == second.bars.fingerprint()


async def test_seed_of_request_overrides_seed_of_source() -> None:
    source = SimulatedSource(clock=FixedClock(NOW_MS), seed=7)
    market = MarketRequest(symbol="BTCUSDT", interval=HOUR, limit=50, seed=8)
    chosen, other = await source.fetch(market), await SimulatedSource(clock=FixedClock(NOW_MS), seed=8).fetch(wish(50))
    assert chosen.bars == other.bars
    assert chosen.origin == "simulated (seed 8)"
