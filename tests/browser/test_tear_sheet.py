"""The tear sheet of a run: what is drawn equals what the API gives, at every zoom, scale, theme and size."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Request, expect

from tests.browser.chromium import Visit
from tests.browser.sheets import (
    OVERVIEW_POINTS,
    SIMULATED,
    api,
    drawn,
    expected,
    open_sheet,
    run_backtest,
    seconds,
    values,
    wait_until,
)
from tests.browser.states import HOSTILE, LONG, PHONE, assert_fits

Opening = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def run(service: str) -> str:
    """A run with stops and targets on 900 bars."""
    strategy = {"rsi": {"low": 40, "high": 60}}
    exits = {"stop_loss": 0.03, "take_profit": 0.05, "trailing_stop": 0.04}
    return run_backtest(service, **SIMULATED, limit=900, strategy=strategy, engine="EVENT_DRIVEN", **exits)


@pytest.fixture(scope="module")
def long_run(service: str) -> str:
    """A run on so many bars that a point stands for 20 of them, with more fills than are drawn at once."""
    strategy = {"maCrossover": {"fast": 3, "slow": 8}}
    return run_backtest(service, **SIMULATED | {"interval": "1h"}, limit=40_000, strategy=strategy)


@pytest.fixture(scope="module")
def huge_run(service: str) -> str:
    """A run on so many bars that no candles are sent for the whole of it."""
    strategy = {"maCrossover": {"fast": 20, "slow": 50}}
    return run_backtest(service, **SIMULATED | {"interval": "1m"}, limit=250_000, strategy=strategy)


@pytest.fixture(scope="module")
def idle_run(service: str) -> str:
    """A run that never trades."""
    return run_backtest(service, **SIMULATED, limit=300, strategy={"rsi": {"low": 1, "high": 99}})


@pytest.mark.parametrize("which", ["run", "long_run"])
def test_drawn_curves_equal_series_of_api(
    visit: Visit, service: str, which: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(which)
    shown = drawn(open_sheet(visit, run))
    columns = api(service, f"{run}/series?points={OVERVIEW_POINTS}")["columns"]
    for name in ("equity", "buy_and_hold", "drawdown", "close"):
        assert values(shown[name]["points"]) == expected(columns, name), name
    candle = shown["candles"]["points"][7]
    assert candle == {"time": seconds(columns["date"][7])} | {
        name: columns[name][7] for name in ("open", "high", "low", "close")
    }


def test_log_scale_leaves_drawdown_as_it_is(visit: Visit, run: str) -> None:
    page = open_sheet(visit, run)
    y_of_drawdown = "document.querySelector('.chart-sheet').timeChart.yOf('drawdown', -1)"
    before = page.evaluate(y_of_drawdown)
    page.get_by_role("button", name="Log scale").click()
    expect(page.get_by_role("button", name="Log scale")).to_have_attribute("aria-pressed", "true")
    shown = drawn(page)
    assert (shown["equity"]["isLog"], shown["close"]["isLog"], shown["drawdown"]["isLog"]) == (True, True, False)
    assert page.evaluate(y_of_drawdown) == before
    # On a linear scale, equal steps of a value are equal steps on the screen; on a logarithmic one they are not.
    steps = page.evaluate(
        "(() => { const c = document.querySelector('.chart-sheet').timeChart;"
        "const y = (name, values) => values.map((value) => c.yOf(name, value));"
        "return [y('drawdown', [0, -2, -4]), y('equity', [8000, 10000, 12000])]; })()"
    )
    (zero, two, four), (low, middle, high) = steps
    assert two - zero == pytest.approx(four - two, rel=1e-6)
    assert low - middle > (middle - high) * 1.1


def test_fills_are_drawn_at_their_bar_and_price_with_their_shape(visit: Visit, service: str, run: str) -> None:
    page = open_sheet(visit, run)
    page.evaluate("document.querySelector('.chart-sheet').timeChart.showAll()")
    page.wait_for_timeout(300)
    fills = api(service, f"{run}/fills?first=1000")["items"]
    shapes = {"stop_loss": "square", "take_profit": "disk", "trailing_stop": "diamond"}
    wanted = [
        (
            seconds(fill["time"]),
            fill["price"],
            shapes.get(fill["reason"]) or {"buy": "up", "sell": "down"}[fill["side"]],
        )
        for fill in fills
    ]
    assert len({shape for _, _, shape in wanted}) >= 3
    glyphs = drawn(page)["close"]["glyphs"]
    assert [(glyph["time"], glyph["value"], glyph["shape"]) for glyph in glyphs] == wanted
    y = "document.querySelector('.chart-sheet').timeChart.yOf('close', {})"
    assert glyphs[0]["y"] == pytest.approx(page.evaluate(y.format(fills[0]["price"])))


def test_months_shown_equal_those_of_api(visit: Visit, service: str, run: str) -> None:
    page = open_sheet(visit, run)
    months = api(service, f"{run}/months")
    rows = page.locator(".months tbody tr").evaluate_all(
        "all => all.map((row) => [...row.cells].map((c) => c.innerText))"
    )
    assert len(rows) == len(months["years"])
    for row, year in zip(rows, months["years"], strict=True):
        assert row[0] == str(year["year"])
        for text, value in zip(row[1:], [*year["months"], year["total"]], strict=True):
            assert (text == "") == (value is None)
            if value is not None:
                assert float(text.replace("−", "-")) == pytest.approx(value, abs=0.0501)


def test_tables_and_histogram_show_what_api_gives(visit: Visit, service: str, run: str) -> None:
    page = open_sheet(visit, run)
    trades = api(service, f"{run}/trades?order=worst&first=10")["items"]
    profits = page.locator("section:has(#trades-title) tbody tr td:nth-child(7)").all_inner_texts()
    assert [float(text.replace("−", "-").replace(",", "")) for text in profits] == [
        pytest.approx(trade["profit"], abs=0.00501) for trade in trades
    ]
    drawdowns = api(service, f"{run}/drawdowns?first=10")["items"]
    depths = page.locator("section:has(#drawdowns-title) tbody tr td:last-child").all_inner_texts()
    assert [float(text.removesuffix(" %")) for text in depths] == [
        pytest.approx(period["depth"], abs=0.00501) for period in drawdowns
    ]
    bins = api(service, f"{run}/distribution")["bins"]
    counts = page.locator(".histogram .bin").evaluate_all("all => all.map((bin) => Number(bin.dataset.count))")
    assert counts == [one["count"] for one in bins]
    distribution = api(service, f"{run}/distribution")
    drawn_as = page.locator(".histogram .bin").evaluate_all(
        "all => all.map((bin) => [bin.classList[1], Number(bin.dataset.count)])"
    )
    sums = {name: sum(n for kind, n in drawn_as if kind == name) for name in ("bin-gain", "bin-loss", "bin-even")}
    up, down = distribution["gaining_bars"], distribution["losing_bars"]
    flat = distribution["bars"] - up - down
    assert flat > 0 and sums == {"bin-gain": up, "bin-loss": down, "bin-even": flat}
    costs = api(service, f"{run}/costs")
    net = page.locator(".costs tr.total td.number").inner_text()
    assert float(net.replace("−", "-").replace(",", "").replace("+", "")) == pytest.approx(
        costs["net_profit"], abs=0.00501
    )


def test_key_figures_stand_beside_buy_and_hold_and_interval(visit: Visit, service: str, run: str) -> None:
    page = open_sheet(visit, run)
    result = api(service, f"{run}?rows=false")
    text = page.locator("[data-figure=sharpe_ratio]").inner_text().replace("−", "-")
    held = result["judgement"]["benchmarks"]["buy_and_hold"]["sharpe_ratio"]
    interval = result["judgement"]["confidence"]["sharpe_ratio"]
    for value in (result["metrics"]["sharpe_ratio"], held, interval["low"], interval["high"]):
        assert f"{value:+.2f}" in text


def test_buying_and_holding_has_one_figure_by_each_name(visit: Visit, service: str, run: str) -> None:
    """The list shows the metric, which has no costs; the key figures and the curve have those of the run."""
    result = api(service, f"{run}?rows=false")
    benchmark, metric = result["judgement"]["benchmarks"]["buy_and_hold"], result["metrics"]["buy_and_hold_return"]
    assert f"{benchmark['total_return']:.2f}" != f"{metric:.2f}"
    page = open_sheet(visit, run)
    line = page.locator("[data-figure=total_return] .kpi-line").first
    expect(line).to_contain_text("Buy and hold, after costs")
    expect(line).to_contain_text(f"{benchmark['total_return']:+,.1f} %".replace("-", "−"))
    expect(page.locator(".readout").nth(1)).to_contain_text("Buy and hold, after costs")
    page.get_by_text(re.compile(r"^All \d+ metrics$")).click()
    fact = page.locator("div:has(> dt:text-is('Buy and hold, no costs'))")
    assert float(fact.locator("dd").inner_text().replace("−", "-").replace(",", "")) == pytest.approx(metric, rel=1e-3)
    visit.open("/")
    cell = visit.page.locator("td[data-label='Buy and hold, no costs']").first
    expect(cell).to_be_visible()
    expect(visit.page.get_by_role("columnheader", name="Buy and hold, no costs")).to_be_visible()


def test_doubts_come_first_and_cannot_be_collapsed(visit: Visit, service: str, run: str) -> None:
    page = open_sheet(visit, run)
    verdict = api(service, f"{run}?rows=false")["judgement"]["verdict"]
    band = page.locator(".doubts")
    for reason in verdict["reasons"]:
        expect(band).to_contain_text(reason["text"])
    for item in verdict["not_checked"]:
        expect(band).to_contain_text(item["why"])
    assert band.locator("details, button").count() == 0
    order = page.locator(".sheet > *").evaluate_all("all => all.map((one) => one.className)")
    assert order.index("doubts") < next(at for at, name in enumerate(order) if "panel" in name)


def test_click_on_trade_zooms_to_its_bars(visit: Visit, service: str, long_run: str) -> None:
    page = open_sheet(visit, long_run)
    trade = api(service, f"{long_run}/trades?order=worst&first=1")["items"][0]
    page.get_by_role("button", name=re.compile("^Show the trade of")).first.click()
    wait_until(page, "document.querySelector('.chart-sheet').timeChart.drawn().candles.isVisible")
    view = page.evaluate("document.querySelector('.chart-sheet').timeChart.visibleRange()")
    assert view["from"] <= seconds(trade["entry_time"]) <= seconds(trade["exit_time"]) <= view["to"]
    assert view["to"] - view["from"] < 400 * 3600
    expect(page.locator(".chart-sheet")).to_be_focused()


def test_zoom_asks_for_finer_rows_and_fills_and_draws_them(visit: Visit, service: str, long_run: str) -> None:
    page = open_sheet(visit, long_run)
    expect(page.locator(".panel-foot")).to_contain_text("too many to draw")
    page.get_by_role("button", name=re.compile("^Show the trade of")).first.click()
    wait_until(page, "document.querySelector('.chart-sheet').timeChart.drawn().candles.glyphs.length > 0")
    view = page.evaluate("document.querySelector('.chart-sheet').timeChart.visibleRange()")
    start, end = (f"{datetime.fromtimestamp(view[name], UTC):%Y-%m-%dT%H:%M:%SZ}" for name in ("from", "to"))
    columns = api(service, f"{long_run}/series?columns=date,equity,drawdown,close&start={start}&end={end}")["columns"]
    shown = drawn(page)
    for name in ("equity", "drawdown", "close"):
        inside = [pair for pair in values(shown[name]["points"]) if view["from"] <= pair[0] <= view["to"]]
        assert inside == expected(columns, name), name
    fills = api(service, f"{long_run}/fills?start={start}&end={end}&first=1000")["items"]
    assert [glyph["value"] for glyph in shown["candles"]["glyphs"]] == [fill["price"] for fill in fills]


def test_zoom_into_many_bars_reaches_each_of_them(visit: Visit, service: str, huge_run: str) -> None:
    """A row of the overview stands for 125 bars here, more than are in view at last."""
    page = open_sheet(visit, huge_run)
    assert drawn(page)["candles"]["points"] == [], "candles of so many bars are not asked for"
    page.locator(".chart-sheet").focus()
    chart = "document.querySelector('.chart-sheet').timeChart"
    minutes = f"({chart}.visibleRange().to - {chart}.visibleRange().from) / 60"
    for _ in range(20):
        page.keyboard.press("+")
        page.wait_for_timeout(300)
        wait_until(page, "document.querySelector('.chart-frame').getAttribute('aria-busy') === 'false'")
        if page.evaluate(minutes) < 100:
            break
    wait_until(page, f"{chart}.drawn().candles.isVisible")
    view = page.evaluate(f"{chart}.visibleRange()")
    start, end = (f"{datetime.fromtimestamp(view[name], UTC):%Y-%m-%dT%H:%M:%SZ}" for name in ("from", "to"))
    columns = api(service, f"{huge_run}/series?start={start}&end={end}")["columns"]
    shown = drawn(page)
    assert len(columns["date"]) == round(page.evaluate(minutes)) + 1 > 10
    for name in ("equity", "buy_and_hold", "drawdown", "close"):
        inside = [pair for pair in values(shown[name]["points"]) if view["from"] <= pair[0] <= view["to"]]
        assert inside == expected(columns, name), name
    candles = [one["high"] for one in shown["candles"]["points"] if view["from"] <= one["time"] <= view["to"]]
    assert candles == columns["high"]


def test_sheet_of_many_bars_is_one_small_response(visit: Visit, huge_run: str) -> None:
    finished: list[Request] = []
    visit.page.on("requestfinished", lambda request: finished.append(request))  # noqa: PLW0108  (a built-in method is refused)
    page = open_sheet(visit, huge_run)
    expect(page.locator(".panel-foot")).to_contain_text("too many to draw")
    page.wait_for_timeout(500)  # in which rows or fills would be asked for
    asked = [request for request in finished if "/api/" in request.url]
    assert [request.url.rsplit("/", 1)[1] for request in asked] == ["tearsheet"]
    assert asked[0].sizes()["responseBodySize"] < 200_000
    assert sum(request.sizes()["responseBodySize"] for request in finished) < 1_000_000


def test_chart_follows_the_size_of_the_window(visit: Visit, run: str) -> None:
    page = open_sheet(visit, run)
    chart = "document.querySelector('.chart-sheet')"
    page.evaluate(f"{chart}.timeChart.showLogicalRange({{ from: 100, to: 300 }})")
    for width in (620, 1240):
        page.set_viewport_size({"width": width, "height": 900})
        wait_until(page, f"Math.abs({chart}.querySelector('table').clientWidth - {chart}.clientWidth) < 2")
        wait_until(page, f"Math.abs({chart}.timeChart.visibleLogicalRange().from - 100) < 1.5")
        wait_until(page, f"Math.abs({chart}.timeChart.visibleLogicalRange().to - 300) < 1.5")
    assert_fits(page)


def test_run_is_deleted_after_it_is_confirmed(visit: Visit, service: str) -> None:
    own = run_backtest(service, **SIMULATED, limit=300, strategy={"rsi": {"low": 40, "high": 60}})
    page = open_sheet(visit, own)
    page.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete this run?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Delete").press("Enter")
    page.wait_for_url(f"{visit.url}/")
    page.go_back()
    expect(page.get_by_role("alert")).to_contain_text(own)


def test_run_of_another_user_has_no_delete(visit: Visit, service: str) -> None:
    other = run_backtest(service, **SIMULATED, user_id="bob", limit=300, strategy={"rsi": {"low": 40, "high": 60}})
    page = open_sheet(visit, other)
    expect(page.get_by_role("link", name="Export report")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


def test_chart_moves_and_zooms_by_keyboard(visit: Visit, run: str) -> None:
    page = open_sheet(visit, run)
    chart = page.locator(".chart-sheet")
    chart.focus()
    logical = "document.querySelector('.chart-sheet').timeChart.visibleLogicalRange()"
    width = f"{logical}.to - {logical}.from"
    before = page.evaluate(width)
    page.keyboard.press("+")
    wait_until(page, f"Math.abs({width} - {before / 2}) < 0.01")
    start = f"{logical}.from"
    left = page.evaluate(start)
    page.keyboard.press("ArrowLeft")
    wait_until(page, f"{start} < {left}")
    page.keyboard.press("Home")
    wait_until(page, f"Math.abs({width} - ({before})) < 1")


def test_labels_at_both_ends_of_the_time_axis_have_room(visit: Visit, run: str) -> None:
    page = open_sheet(visit, run)
    chart = "document.querySelector('.chart-sheet')"
    view = page.evaluate(f"{chart}.timeChart.visibleLogicalRange()")
    rows = len(drawn(page)["equity"]["points"])
    pixels_per_row = (page.evaluate(f"{chart}.clientWidth") - 90) / (view["to"] - view["from"])
    assert -view["from"] * pixels_per_row > 14, "half of a label such as 2024"
    assert (view["to"] - (rows - 1)) * pixels_per_row > 14


def test_settings_are_words_and_empty_ones_are_left_out(visit: Visit, service: str) -> None:
    rules = {"buy": "rsi({n}) < 30", "sell": "rsi(14) > 60", "parameters": {"n": 14}}
    bare = {"buy": "rsi(14) < 30", "sell": "rsi(14) > 60"}
    for strategy, shown in ((rules, "n = 14"), (bare, None)):
        page = open_sheet(visit, run_backtest(service, **SIMULATED, limit=300, strategy={"rules": strategy}))
        section = page.locator("section:has(#settings-title)")
        expect(section).to_contain_text("rsi(14) > 60")
        assert "{}" not in section.inner_text() and '{"' not in section.inner_text()
        parameters = section.locator("div:has(> dt:text-is('Parameters')) dd")
        if shown is None:
            expect(parameters).to_have_count(0)
        else:
            expect(parameters).to_have_text(shown)


def test_rows_in_view_stand_in_a_table(visit: Visit, service: str, run: str) -> None:
    page = open_sheet(visit, run)
    page.get_by_text("Rows in view as a table").click()
    columns = api(service, f"{run}/series?points=2000&columns=date,drawdown")["columns"]
    row = page.locator(".twin tbody tr").nth(150).locator("th, td").all_inner_texts()
    assert row[0] == columns["date"][150][:16].replace("T", " ")
    assert float(row[-1].removesuffix(" %").replace("−", "-")) == pytest.approx(columns["drawdown"][150], abs=0.00501)


def test_run_again_says_that_it_is_reproduced(visit: Visit, run: str) -> None:
    page = open_sheet(visit, run)
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Reproduced to the last bit")).to_be_visible(timeout=60_000)


def test_run_without_trades_says_so(visit: Visit, idle_run: str) -> None:
    page = open_sheet(visit, idle_run)
    expect(page.get_by_role("heading", name="No trades")).to_be_visible()
    expect(page.get_by_role("heading", name="No drawdown")).to_be_visible()
    expect(page.locator(".panel-foot")).to_contain_text("No fills in view")
    assert visit.violations() == []


def test_unknown_run_says_what_is_wrong(visit: Visit) -> None:
    page = visit.open("/runs/no-such-run")
    expect(page.get_by_role("alert")).to_contain_text("no-such-run")
    assert visit.violations() == []


def test_loading_is_announced(visit: Visit, run: str) -> None:
    visit.page.route("**/tearsheet", lambda _: None)
    page = visit.open(f"/runs/{run}")
    expect(page.get_by_role("status").filter(has_text="Loading the tear sheet")).to_be_attached()


def test_missing_bars_leave_closes_and_a_warning(visit: Visit, service: str, run: str) -> None:
    sheet = api(service, f"{run}/tearsheet")
    series, missing = sheet["overview"], dict.fromkeys(("open", "high", "low", "buy_and_hold"))
    warning = "The bars of this backtest cannot be read again."
    overview = series | {"columns": series["columns"] | missing, "warnings": [warning]}
    visit.answer(f"/api/backtests/{run}/tearsheet", sheet | {"overview": overview})
    page = open_sheet(visit, run)
    expect(page.get_by_role("note")).to_have_text(warning)
    assert values(drawn(page)["equity"]["points"]) == expected(series["columns"], "equity")
    assert "buy_and_hold" not in drawn(page)


def test_hostile_and_long_names_are_only_text(visit_with: Opening, service: str, run: str) -> None:
    sheet = api(service, f"{run}/tearsheet")
    result = sheet["run"]
    result["strategy"]["name"] = HOSTILE + LONG
    result["symbol"] = result["user_id"] = result["origin"] = HOSTILE
    result["warnings"] = [*result["warnings"], HOSTILE]
    result["judgement"]["verdict"]["reasons"][0]["text"] = HOSTILE
    with visit_with(viewport=PHONE) as visit:
        visit.answer(f"/api/backtests/{run}/tearsheet", sheet)
        page = open_sheet(visit, run)
        assert HOSTILE in page.locator("h1").inner_text()
        assert page.evaluate("window.ran") is None
        assert page.locator("#main img, #main script").count() == 0
        assert_fits(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE], ids=["desk", "phone"])
def test_sheet_fits_and_has_no_serious_violation(
    visit_with: Opening, run: str, scheme: str, viewport: dict[str, int]
) -> None:
    with visit_with(color_scheme=scheme, viewport=viewport) as visit:
        page = open_sheet(visit, run)
        for summary in page.locator("summary").all():
            summary.click()
        assert visit.violations() == []
        assert_fits(page)
        assert 10_000 < len(page.screenshot()) < 1_000_000


def test_chart_colors_follow_the_theme(visit_with: Opening, run: str) -> None:
    with visit_with(color_scheme="light") as visit:
        page = open_sheet(visit, run)
        color = "document.querySelector('.chart-sheet').timeChart.colorOf('equity')"
        light = page.evaluate(color)
        page.emulate_media(color_scheme="dark")
        wait_until(page, f"{color} !== {light!r}")


def test_words_of_tables_stay_whole_on_a_phone(visit_with: Opening, service: str) -> None:
    strategy = {"donchian": {"entry_length": 20, "exit_length": 10}}
    both = run_backtest(
        service, **SIMULATED, limit=900, strategy=strategy, engine="EVENT_DRIVEN", direction="BOTH", stop_loss=0.05
    )
    with visit_with(viewport=PHONE) as visit:
        page = open_sheet(visit, both)
        sides = page.get_by_role("cell", name=re.compile("^(long|short)$")).all()
        assert {side.inner_text() for side in sides} == {"long", "short"}
        assert len({side.evaluate("(cell) => cell.offsetHeight") for side in sides}) == 1


def test_histogram_labels_are_readable_on_a_phone(visit_with: Opening, run: str) -> None:
    with visit_with(viewport=PHONE) as visit:
        page = open_sheet(visit, run)
        heights = page.locator(".histogram .tick").evaluate_all(
            "all => all.map((x) => x.getBoundingClientRect().height)"
        )
        assert heights
        assert min(heights) >= 9
