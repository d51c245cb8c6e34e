// Price with fills, equity against buy and hold, and drawdown: three panes of one chart with one crosshair.

import { TimeChart, toIso, toPoints, toTime } from "../chart.js";
import { formatAdaptive } from "../format.js";
import { shapeOf } from "../shapes.js";
import { finerRequest, rowOf, splice } from "./rows.js";

const POINTS = 2000;
const COLUMNS = "date,close,equity,buy_and_hold,drawdown,probability";
const CANDLE_COLUMNS = `${COLUMNS},open,high,low`;
const MOST_FILLS = 1500;
const CANDLES_BELOW = 400;
const WAIT_MS = 120;

const CANDLE_COLORS = {
  upColor: "--gain-soft-solid",
  borderUpColor: "--gain",
  wickUpColor: "--gain",
  downColor: "--loss",
  borderDownColor: "--loss",
  wickDownColor: "--loss",
};
export const DRAWDOWN_COLORS = {
  baseValue: { type: "price", price: 0 },
  topLineColor: "--loss",
  topFillColor1: "transparent",
  topFillColor2: "transparent",
  bottomLineColor: "--loss",
  bottomFillColor1: "--loss-fill",
  bottomFillColor2: "--loss-fill",
  lineWidth: 1,
};

function candlesOf(columns) {
  if (!columns.open) return [];
  return columns.date.map((date, index) => {
    if (columns.open[index] === null) return { time: toTime(date) };
    const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => columns[name][index]);
    return { time: toTime(date), open, high, low, close };
  });
}

/** The fills as shapes on rows: a fill belongs to the row that holds its bar. */
export function glyphsOf(fills, dates) {
  return fills.map((fill) => ({
    time: toTime(dates[rowOf(dates, fill.time)]),
    value: fill.price,
    shape: shapeOf(fill.side, fill.reason),
    color: fill.side === "buy" ? "--gain" : "--loss",
  }));
}

export class SheetChart {
  columns;
  chart;
  #overview;
  #detail = null;
  #fills;
  #totalFills;
  #onBusy;
  #source;
  #onFills;
  #listeners = new Set();
  #timer = null;
  #controller = null;
  #isDestroyed = false;

  /**
   * spans: shaded spans of time; source: {series, fills} that give finer rows and, if not all fills are at hand, those
   * in view, null if there is none; onColumns: called when other rows are drawn; onFills: with the fills in view and
   * how many there are; onBusy: with whether finer rows are being loaded.
   */
  constructor(container, { overview, fills, totalFills, spans, hasAllFills, source, onColumns, onFills, onBusy, label }) {
    this.#overview = overview;
    this.#fills = fills;
    this.#totalFills = totalFills;
    this.#onBusy = onBusy;
    this.#source = source;
    this.#onFills = hasAllFills ? null : onFills;
    if (onColumns) this.#listeners.add(onColumns);
    this.columns = overview.columns;
    this.chart = new TimeChart(container, { label, formatValue: formatAdaptive });
    this.#addSeries();
    this.chart.setPaneShares([5, 3, 2]);
    this.chart.shade(spans);
    this.#drawFills();
    this.chart.showAll();
    this.chart.onLogicalRangeChange((range) => this.#onRange(range));
    this.#onRange(this.chart.visibleLogicalRange());
  }

  #addSeries() {
    const { columns } = this;
    this.chart.add("candles", "candles", candlesOf(columns), { ...CANDLE_COLORS, visible: false });
    this.chart.add("close", "line", toPoints(columns.date, columns.close), { color: "--text", lineWidth: 1 });
    if (columns.buy_and_hold) {
      const held = toPoints(columns.date, columns.buy_and_hold);
      this.chart.add("buy_and_hold", "line", held, { pane: 1, color: "--benchmark", lineWidth: 1 });
    }
    this.chart.add("equity", "line", toPoints(columns.date, columns.equity), { pane: 1, color: "--accent" });
    this.chart.add("drawdown", "baseline", toPoints(columns.date, columns.drawdown), { pane: 2, ...DRAWDOWN_COLORS });
  }

  #redraw() {
    const { columns } = this;
    this.chart.setPoints("candles", candlesOf(columns));
    for (const name of ["close", "buy_and_hold", "equity", "drawdown"]) {
      if (columns[name]) this.chart.setPoints(name, toPoints(columns.date, columns[name]));
    }
    this.#drawFills();
    for (const listener of this.#listeners) listener(columns);
  }

  #drawFills() {
    const glyphs = glyphsOf(this.#fills, this.columns.date);
    this.chart.setGlyphs("close", glyphs);
    this.chart.setGlyphs("candles", glyphs);
  }

  /** Call back with the columns when other rows are drawn; returns what ends that. */
  onRows(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  setFills(fills) {
    this.#fills = fills;
    this.#drawFills();
  }

  #onRange(range) {
    if (!range || this.#isDestroyed) return;
    this.#chooseKind(range);
    clearTimeout(this.#timer);
    if (this.#source) this.#timer = setTimeout(() => this.#refine().catch(this.#source.onError), WAIT_MS);
  }

  /** Candles if few rows are in view and all of them have one, else a line. */
  #chooseKind(range) {
    const { date, open } = this.columns;
    const at = (row) => open?.[Math.min(date.length - 1, Math.max(0, row))] ?? null;
    const hasCandles = at(Math.ceil(range.from)) !== null && at(Math.floor(range.to)) !== null;
    const isNear = hasCandles && range.to - range.from <= CANDLES_BELOW;
    this.chart.setVisible("candles", isNear);
    this.chart.setVisible("close", !isNear);
  }

  /** Instants at both ends of the view. */
  view() {
    const range = this.chart.visibleRange();
    return range && { from: toIso(range.from), to: toIso(range.to) };
  }

  async #refine() {
    const view = this.view();
    if (!view || !this.#source) return;
    const asked = finerRequest(this.#overview, this.#detail, view.from, view.to, POINTS);
    await this.#load(async (signal) => {
      if (asked) await this.#ask(asked, signal);
      if (this.#onFills) await this.#askFills(view, signal);
    });
  }

  /** Do work that asks the service, in place of such work that is under way. */
  async #load(work) {
    this.#controller?.abort();
    const controller = new AbortController();
    this.#controller = controller;
    try {
      await work(controller.signal);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      if (this.#controller === controller) this.#setBusy(false);
    }
  }

  #setBusy(isBusy) {
    if (!this.#isDestroyed) this.#onBusy?.(isBusy);
  }

  async #askFills({ from, to }, signal) {
    const { date } = this.#overview.columns;
    const isAll = from <= date[0] && to >= date.at(-1);
    const query = { start: from, end: to, first: MOST_FILLS };
    const { items, total } = isAll ? { items: [], total: this.#totalFills } : await this.#source.fills(query, signal);
    if (this.#isDestroyed) return;
    const fills = total <= items.length ? items : [];
    this.setFills(fills);
    this.#onFills({ fills, total });
  }

  async #ask({ from, to, end, points, isEveryBar }, signal) {
    // Bars with gaps between them may be more than were expected of a span: asking again would not give finer ones.
    if (this.#detail?.from === from && this.#detail.to === to) return;
    this.#setBusy(true);
    const columns = isEveryBar || this.#overview.columns.open ? CANDLE_COLUMNS : COLUMNS;
    const found = await this.#source.series({ columns, start: from, end, points }, signal);
    if (this.#isDestroyed) return;
    const range = this.chart.visibleRange();
    this.#detail = { ...found, from, to };
    this.columns = splice(this.#overview, this.#detail);
    this.#redraw();
    if (range) this.chart.showRange(range.from, range.to);
    const logical = this.chart.visibleLogicalRange();
    if (logical) this.#chooseKind(logical);
  }

  /** Show the bars from one instant to another, with as many around them; finer rows come first if there are any. */
  async zoomTo(fromIso, toIso_, barMs) {
    const from = Date.parse(fromIso);
    const to = Date.parse(toIso_);
    const margin = Math.max(20 * barMs, (to - from) / 2);
    const wanted = [new Date(from - margin).toISOString(), new Date(to + margin).toISOString()];
    if (this.#source) {
      const asked = finerRequest(this.#overview, this.#detail, ...wanted, POINTS);
      if (asked) await this.#load((signal) => this.#ask(asked, signal)).catch(this.#source.onError);
    }
    const { date } = this.columns;
    this.chart.showLogicalRange({ from: rowOf(date, wanted[0]) - 0.5, to: rowOf(date, wanted[1]) + 0.5 });
  }

  showAll() {
    this.chart.showAll();
  }

  destroy() {
    this.#isDestroyed = true;
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.chart.destroy();
  }
}

/** Let another chart of the same rows move with the sheet's, show its crosshair there, and get its finer rows. */
export function linkCharts(sheet, other, name) {
  const own = sheet.chart;
  let isBusy = false;
  let isLinked = true;
  const follow = (act) => (event) => {
    if (isBusy || !isLinked) return;
    isBusy = true;
    act(event);
    isBusy = false;
  };
  own.onLogicalRangeChange(follow((range) => range && other.showLogicalRange(range)));
  other.onLogicalRangeChange(follow((range) => range && own.showLogicalRange(range)));
  own.onCrosshair(follow((event) => other.setCrosshair(event ? event.time : null, name)));
  other.onCrosshair(follow((event) => own.setCrosshair(event ? event.time : null, "equity")));
  const stop = sheet.onRows((columns) => follow(() => other.setPoints(name, toPoints(columns.date, columns[name])))());
  return () => {
    isLinked = false;
    stop();
  };
}
