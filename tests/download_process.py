"""A process that fetches candles through a store: `python -m tests.download_process URL FOLDER NOW_MS FIRST COUNT`.

Prints the fingerprint of what it got, or where the exchange told it to stop.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.binance.exchange_ban import ExchangeBan
from src.binance.source import BinanceSource
from src.domain.errors import ExchangeUnavailable
from src.domain.intervals import INTERVALS
from tests.clocks import FixedClock
from tests.market_store import wish


def begin(url: str, folder: Path, now_ms: int, first: int, count: int) -> subprocess.Popen[str]:
    """Start such a process for minutes of BTCUSDT."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.download_process", url, str(folder), str(now_ms), str(first), str(count)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        text=True,
    )


async def main(url: str, folder: str, now_ms: str, first: str, count: str) -> None:
    clock = FixedClock(int(now_ms))
    remote = BinanceSource(
        base_urls=[url],
        timeout_s=20,
        deadline_s=20,
        weight_per_minute=10**6,
        clock=clock,
        shared_limits=ExchangeBan(Path(folder) / ".rate-limit"),
    )
    source = CachedSource(remote, store=BarStore(Path(folder), max_bytes=10**9), clock=clock)
    try:
        found = await source.fetch(wish("BTCUSDT", INTERVALS["1m"], int(count), start=int(first)))
        print(found.bars.fingerprint())
    except ExchangeUnavailable as error:
        print(f"stopped for {error.retry_after_s}")
    finally:
        await source.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
