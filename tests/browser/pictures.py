"""Make the pictures of the README and `docs/` anew: `python -m tests.browser.pictures [FOLDER]`.

A real service runs on simulated bars of a fixed seed and fixed dates, so every picture shows the same figures again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ViewportSize

from tests.architecture.test_floors import ROOT
from tests.browser.chromium import chromium_path, running_chromium, visiting
from tests.browser.sheets import open_sheet, run_backtest, wait_until
from tests.integration.conftest import service_settings
from tests.server import RunningService

PICTURES = ROOT / "docs" / "pictures"
MAX_BYTES = 250_000
RUNS_SIZE: ViewportSize = {"width": 1400, "height": 600}
TEAR_SHEET_SIZE: ViewportSize = {"width": 1200, "height": 1452}
"""Down to the end of the chart."""
SETTLE_MS = 500
"""Charts are drawn in the frames after their data came."""
NO_EXCHANGE = "http://127.0.0.1:9"

MARKET: Mapping[str, Any] = {
    "symbol": "BTCUSDT",
    "interval": "1d",
    "source": "simulated",
    "seed": 7,
    "start_date": "2019-01-01",
    "end_date": "2023-12-31",
    "engine": "EVENT_DRIVEN",
}
RUNS: Sequence[Mapping[str, Any]] = (
    {"strategy": {"buy_and_hold": True}},
    {"strategy": {"rsi": {"low": 30, "high": 70}}, "stop_loss": 0.1},
    {"strategy": {"macd": {}}},
    {"strategy": {"rules": {"buy": "rsi(2) < 10 and close > sma(200)", "sell": "close > sma(5)"}}},
    {"strategy": {"supertrend": {}}, "trailing_stop": 0.15},
    {"strategy": {"donchian": {"entry_length": 20, "exit_length": 10}}, "stop_loss": 0.08, "take_profit": 0.4},
)
"""The runs of the list, oldest first; the tear sheet shows the last one."""


def take_pictures(browser: Browser, service: str, folder: Path) -> list[Path]:
    """Run the backtests on a service with nothing stored, and write a PNG of each page into the folder."""
    runs = [run_backtest(service, **MARKET, **run) for run in RUNS]
    made: list[Path] = []

    def take(name: str) -> None:
        visit.page.wait_for_timeout(SETTLE_MS)
        made.append(folder / f"{name}.png")
        visit.page.screenshot(path=made[-1], animations="disabled")

    with visiting(browser, service, color_scheme="light", viewport=RUNS_SIZE) as visit:
        page = visit.open("/")
        page.get_by_role("button", name="Keep").click()
        wait_until(page, f"document.querySelectorAll('tbody tr').length === {len(RUNS)}")
        take("runs")
        page.set_viewport_size(TEAR_SHEET_SIZE)
        open_sheet(visit, runs[-1])
        take("tear_sheet")
    return made


def main(folder: Path = PICTURES) -> int:
    path = chromium_path()
    if path is None:
        print("The pictures need Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as storage,
        RunningService(service_settings(NO_EXCHANGE, Path(storage), log_level="WARNING")) as service,
        running_chromium(path) as browser,
    ):
        for picture in take_pictures(browser, service.url, folder):
            print(f"{picture}: {picture.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
