"""The tear sheet in Chromium, nothing cached: until it reacts and until it is drawn, beside the limits for both."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        interactive, drawn, _ = _best(browser, url, run)
        found = [
            _measurement("tear sheet: interactive", interactive, BARS, INTERACTIVE_S),
            _measurement("tear sheet: drawn", drawn, BARS, DRAWN_S),
        ]
        if not quick:
            run = run_backtest(url, **SIMULATED | {"interval": "1m"}, limit=MANY_BARS, strategy=strategy)
            _, drawn, processor_s = _best(browser, url, run)
            found += [
                _measurement("tear sheet: drawn", drawn, MANY_BARS, MANY_DRAWN_S),
                _measurement("tear sheet: the service's processor time", processor_s, MANY_BARS, MANY_DRAWN_S),
            ]
    return found


@contextmanager
def _service() -> Iterator[str]:
    folder = tempfile.mkdtemp()
    try:
        with RunningService(service_settings("http://127.0.0.1:9", Path(folder))) as running:
            yield running.url
    finally:
        shutil.rmtree(folder)


def _best(browser: Browser, url: str, run: str) -> tuple[float, float, float]:
    """Return the shortest times until interactive and drawn, and the longest processor time of the service.

    The longest is that of the first visit: later ones find a large result read already.
    """
    visits = [_visit(browser, url, run) for _ in range(REPEATS)]
    return min(one[0] for one in visits), min(one[1] for one in visits), max(one[2] for one in visits)


def _visit(browser: Browser, url: str, run: str) -> tuple[float, float, float]:
    with visiting(browser, url, viewport={"width": 1280, "height": 900}) as visit:
        visit.page.add_init_script(_NOTE_WHEN_DRAWN)
        before = time.process_time()
        page = visit.open(f"/runs/{run}")
        page.wait_for_selector(".chart-sheet canvas")
        while (drawn_ms := page.evaluate("window.drawnMs")) is None:
            page.wait_for_timeout(20)
        spent = time.process_time() - before
        ready_ms = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        return ready_ms / 1000, drawn_ms / 1000, spent


def _measurement(name: str, seconds: float, bars: int, limit_s: float) -> Measurement:
    return Measurement(
        name=name,
        seconds=seconds,
        units=f"{bars:,} bars",
        peer_name="the limit",
        peer_seconds=limit_s,
        target=f"≤ {limit_s:g} s",
    )
