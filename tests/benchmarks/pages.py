"""The tear sheet in Chromium, nothing cached: until it reacts and until it is drawn, beside the limits for both.

The times include whatever else runs on the machine; the processor times of the page and of the service do not.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser

from tests.benchmarks.measurement import Measurement
from tests.browser.chromium import chromium_path, running_chromium, visiting
from tests.browser.sheets import SIMULATED, run_backtest
from tests.integration.conftest import service_settings
from tests.server import RunningService

BARS = 3_292
MANY_BARS = 3_000_000
INTERACTIVE_S, DRAWN_S, MANY_DRAWN_S = 0.3, 0.8, 2.0
REPEATS = 5

_NOTE_WHEN_DRAWN = """
const look = () => {
  const chart = document.querySelector('.chart-sheet')?.timeChart;
  if (chart?.visibleRange()) requestAnimationFrame(() => { window.drawnMs = performance.now(); });
  else requestAnimationFrame(look);
};
look();
"""


def measure(*, quick: bool = False) -> list[Measurement]:
    """Measure a run of days, and one of millions of minutes unless a short run is asked for."""
    path = chromium_path()
    if path is None:
        raise ModuleNotFoundError("Chromium is not installed", name="chromium")
    with _service() as url, running_chromium(path) as browser:
        strategy = {"maCrossover": {"fast": 20, "slow": 50}}
        run = run_backtest(url, **SIMULATED, limit=BARS, strategy=strategy)
        visits = [_visit(browser, url, run) for _ in range(REPEATS)]
        found = [
            _measurement("tear sheet: interactive", min(one.interactive_s for one in visits), BARS, INTERACTIVE_S),
            _measurement("tear sheet: drawn", min(one.drawn_s for one in visits), BARS, DRAWN_S),
            _measurement("tear sheet: the page's processor time", min(one.page_s for one in visits), BARS, DRAWN_S),
        ]
        if not quick:
            run = run_backtest(url, **SIMULATED | {"interval": "1m"}, limit=MANY_BARS, strategy=strategy)
            visits = [_visit(browser, url, run) for _ in range(REPEATS)]
            # The first visit: later ones find the result read already.
            first = visits[0]
            found += [
                _measurement("tear sheet: drawn first", first.drawn_s, MANY_BARS, MANY_DRAWN_S),
                _measurement("tear sheet: drawn", min(one.drawn_s for one in visits), MANY_BARS, MANY_DRAWN_S),
                _measurement("tear sheet: the page's processor time", first.page_s, MANY_BARS, MANY_DRAWN_S),
                _measurement("tear sheet: the service's processor time", first.service_s, MANY_BARS, MANY_DRAWN_S),
            ]
    return found


@contextmanager
def _service() -> Iterator[str]:
    folder = tempfile.mkdtemp()
    try:
        with RunningService(service_settings("http://127.0.0.1:9", Path(folder), request_timeout_s=600)) as running:
            yield running.url
    finally:
        shutil.rmtree(folder)


class _Visit(NamedTuple):
    """Seconds until the page reacts and until it is drawn, and processor time of its main thread and of the service."""

    interactive_s: float
    drawn_s: float
    page_s: float
    service_s: float


def _visit(browser: Browser, url: str, run: str) -> _Visit:
    with visiting(browser, url, viewport={"width": 1280, "height": 900}) as visit:
        debugger = visit.page.context.new_cdp_session(visit.page)
        debugger.send("Performance.enable", {"timeDomain": "threadTicks"})
        visit.page.add_init_script(_NOTE_WHEN_DRAWN)
        before = time.process_time()
        page = visit.open(f"/runs/{run}")
        page.wait_for_selector(".chart-sheet canvas")
        while (drawn_ms := page.evaluate("window.drawnMs")) is None:
            page.wait_for_timeout(20)
        service_s = time.process_time() - before
        figures = {one["name"]: one["value"] for one in debugger.send("Performance.getMetrics")["metrics"]}
        ready_ms = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        return _Visit(ready_ms / 1000, drawn_ms / 1000, figures["TaskDuration"], service_s)


def _measurement(name: str, seconds: float, bars: int, limit_s: float) -> Measurement:
    return Measurement(
        name=name,
        seconds=seconds,
        units=f"{bars:,} bars",
        peer_name="the limit",
        peer_seconds=limit_s,
        target=f"≤ {limit_s:g} s",
    )
