"""The bar cache of builds before `.segment` files is removed, and never misread.

`bar-cache-1` was made with those builds: BTCUSDT, 120 minutes in two files and 40 days, and a symbol beyond ASCII with
an empty range. Its prices are those of seed 8; the exchange of these tests has those of seed 7.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from src.bar_cache.bar_store import BarStore
from src.bars.grid import bar_number, open_time_ms
from src.bars.simulated import simulate_bars
from src.domain.intervals import INTERVALS
from src.wiring.adapters import BARS_FOLDER
from tests.exchange import LoopbackExchange
from tests.market_store import caching, wish

OLD = Path(__file__).parent / "bar-cache-1"
MINUTE, DAY = INTERVALS["1m"], INTERVALS["1d"]
FIRST = 420 * 65_536 - 60
FIRST_DAY = bar_number(open_time_ms(FIRST, MINUTE), DAY) - 40
ABROAD = "币安人生USDT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(OLD, tmp_path / BARS_FOLDER)
    return tmp_path / BARS_FOLDER


def files_of(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and ".locks" not in file.parts]


async def test_bars_of_the_old_cache_are_fetched_again(folder: Path) -> None:
    minutes = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST - 500, MINUTE), 700, 7)
    days = [simulate_bars(name, DAY, open_time_ms(FIRST_DAY - 5, DAY), 60, 7) for name in ("BTCUSDT", ABROAD)]
    now_ms = open_time_ms(FIRST + 120, MINUTE) + 2_000
    assert len(files_of(folder)) == 6
    with LoopbackExchange([minutes, *days], now_ms=now_ms) as exchange:
        async with caching(exchange, folder, now_ms) as source:
            found = await source.fetch(wish("BTCUSDT", MINUTE, 300, start=FIRST - 100, end=FIRST + 119))
            assert found.bars == minutes.slice(400, 620)
            assert (await source.fetch(wish("BTCUSDT", DAY, 40, end=FIRST_DAY + 39))).bars == days[0].slice(5, 45)
            assert (await source.fetch(wish(ABROAD, DAY, 40, end=FIRST_DAY + 39))).bars == days[1].slice(5, 45)
    assert {file.suffix for file in files_of(folder)} <= {".segment", ".tail", ".gap", ".first"}


def test_old_cache_knows_nothing_and_is_removed_at_start(folder: Path) -> None:
    store = BarStore(folder, max_bytes=10**9)
    assert list(store.stored()) == []
    for interval in (MINUTE, DAY):
        coverage = store.series("BTCUSDT", interval).coverage()
        assert (coverage.settled, coverage.first, coverage.offset_ms) == ((), None, None)
    assert store.remove_leftovers() == 6
    assert files_of(folder) == []
