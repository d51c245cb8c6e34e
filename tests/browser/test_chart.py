"""Charts over time: what is drawn is read back, panes keep their own scales, and the policy allows the logo's style."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import Visit

EQUITY = [10_000.0, 10_500.0, None, 12_000.0]
DRAWDOWN = [0.0, 0.0, -3.5, -1.25]
DATES = [f"2024-01-0{day}T00:00:00Z" for day in range(1, 5)]

FIRST_S, DAY_S = 1_704_067_200, 86_400

DRAW = """
async ([dates, equity, drawdown]) => {
  const own = document.querySelector('script[type=module]').src;
  const { TimeChart, toPoints } = await import(new URL('../chart.js', own).href);
  const box = document.createElement('div');
  box.id = 'chart';
  document.getElementById('main').replaceChildren(box);
  box.className = 'chart-under-test';
  box.style.height = '400px';
  const chart = new TimeChart(box, { label: 'Equity and drawdown' });
  chart.add('equity', 'line', toPoints(dates, equity), { isLog: true, color: '--gain' });
  chart.add('drawdown', 'baseline', toPoints(dates, drawdown), { pane: 1, topLineColor: '--loss' });
  const first = Date.parse(dates[0]) / 1000;
  chart.setGlyphs('equity', [{ time: first, value: equity[0], shape: 'up', color: '--gain' }]);
  chart.showAll();
}
"""


@pytest.fixture
def chart(visit: Visit) -> Page:
    page = visit.open("/")
    page.evaluate(DRAW, [DATES, EQUITY, DRAWDOWN])
    page.wait_for_selector("#chart canvas")
    return page


def drawn(page: Page) -> dict[str, Any]:
    return page.evaluate("document.getElementById('chart').timeChart.drawn()")


def test_drawn_values_are_those_given(chart: Page) -> None:
    found = drawn(chart)
    known = [(index, value) for index, value in enumerate(EQUITY) if value is not None]
    assert [(point["time"], point["value"]) for point in found["equity"]["points"]] == [
        (FIRST_S + DAY_S * index, value) for index, value in known
    ]
    assert [point["value"] for point in found["drawdown"]["points"]] == DRAWDOWN
    assert [point["time"] for point in found["drawdown"]["points"]] == [FIRST_S + DAY_S * day for day in range(4)]
    glyphs = [(glyph["time"], glyph["value"], glyph["shape"]) for glyph in found["equity"]["glyphs"]]
    assert glyphs == [(FIRST_S, EQUITY[0], "up")]


def test_pane_does_not_inherit_a_log_scale(chart: Page) -> None:
    found = drawn(chart)
    assert (found["equity"]["isLog"], found["drawdown"]["isLog"]) == (True, False)
    assert (found["equity"]["pane"], found["drawdown"]["pane"]) == (0, 1)
    chart.evaluate("document.getElementById('chart').timeChart.setLogScale('equity', false)")
    assert drawn(chart)["equity"]["isLog"] is False


def test_logo_has_its_style_under_the_policy(chart: Page) -> None:
    logo = chart.locator("#tv-attr-logo")
    assert logo.evaluate("one => getComputedStyle(one).position") == "absolute"


def test_theme_changes_the_colors_and_no_value(chart: Page) -> None:
    before = drawn(chart)
    pixels = "document.querySelector('#chart canvas').toDataURL()"
    light = chart.evaluate(pixels)
    chart.evaluate("document.documentElement.setTheme('dark')")
    chart.wait_for_function(f"old => {pixels} !== old", arg=light)
    assert drawn(chart) == before
