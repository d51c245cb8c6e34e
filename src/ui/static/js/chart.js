// The only file that touches lightweight-charts: charts over time with panes, which follow the theme.

import {
  BaselineSeries,
  CandlestickSeries,
  CrosshairMode,
  LineSeries,
  PriceScaleMode,
  createChart,
} from "../vendor/lightweight-charts.mjs";
import { Glyphs, Shading } from "./chart_layers.js";

const KINDS = {
  line: LineSeries,
  baseline: BaselineSeries,
  candles: CandlestickSeries,
};

const EDGE_PX = 20;
const AXIS_PX = 64;

let probe = null;

/** The color of a CSS variable in the theme of now, as the canvas understands it. */
export function themeColor(name) {
  if (!probe) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** Seconds since 1970 of an ISO 8601 instant, which is how the library names times. */
export function toTime(iso) {
  return Date.parse(iso) / 1000;
}

/** The ISO 8601 instant of a time of the library. */
export function toIso(time) {
  return new Date(time * 1000).toISOString().replace(".000Z", "Z");
}

/** Points {time, value} of two columns of the API; a null keeps its time on the axis, and has no point. */
export function toPoints(dates, values) {
  return dates.map((date, index) =>
    values[index] === null ? { time: toTime(date) } : { time: toTime(date), value: values[index] },
  );
}

function withColors(options) {
  const colors = {};
  for (const [name, value] of Object.entries(options)) {
    colors[name] = typeof value === "string" && value.startsWith("--") ? themeColor(value.slice(2)) : value;
  }
  return colors;
}

/**
 * A chart with one time axis and any number of panes. Options of series may name colors as "--gain": they are read
 * again if the theme changes. `container.timeChart` is the chart, so that tests can read what is drawn.
 */
export class TimeChart {
  #chart;
  #series = new Map();
  #shading = [];
  #container;
  #onTheme;
  #onWheel;

  constructor(container, { label, formatValue } = {}) {
    // Not an image: the library's logo in it is a link, and the element may take keys.
    container.setAttribute("role", "group");
    if (label) container.setAttribute("aria-label", label);
    this.#chart = createChart(container, {
      autoSize: true,
      handleScroll: { mouseWheel: false, vertTouchDrag: false },
      handleScale: { mouseWheel: false },
      crosshair: { mode: CrosshairMode.Normal },
      localization: { locale: "en-US", ...(formatValue ? { priceFormatter: formatValue } : {}) },
      timeScale: { timeVisible: true, secondsVisible: false, borderVisible: false, minBarSpacing: 0.001, lockVisibleTimeRangeOnResize: true },
      rightPriceScale: { borderVisible: false, entireTextOnly: true },
    });
    this.#onTheme = () => this.#applyTheme();
    document.documentElement.addEventListener("themechange", this.#onTheme);
    this.#applyTheme();
    // A wheel alone scrolls the page; with Ctrl or by pinching it zooms the chart.
    this.#onWheel = (event) => this.#chart.applyOptions({ handleScale: { mouseWheel: event.ctrlKey || event.metaKey } });
    container.addEventListener("wheel", this.#onWheel, { capture: true, passive: true });
    container.timeChart = this;
    this.#container = container;
  }

  #applyTheme() {
    const grid = { color: themeColor("grid") };
    this.#chart.applyOptions({
      layout: {
        background: { type: "solid", color: "transparent" },
        textColor: themeColor("muted"),
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 11,
        panes: { separatorColor: themeColor("border"), separatorHoverColor: themeColor("grid") },
      },
      grid: { vertLines: grid, horzLines: grid },
    });
    for (const { series, options, marks, glyphs, levels } of this.#series.values()) {
      series.applyOptions(withColors(options));
      for (const level of levels ?? []) level.line.applyOptions(withColors(level.options));
      if (glyphs) glyphs.set(marks.map(withColors), themeColor("surface"));
    }
    for (const { primitive, spans } of this.#shading) primitive.set(spans.map(withColors));
  }

  /** Add a series to a pane (0 is the first; the next number makes a new one). kind: line, baseline, candles. */
  add(name, kind, points, { pane = 0, isLog = false, ...options } = {}) {
    const shown = { lineWidth: 2, priceLineVisible: false, lastValueVisible: false, ...options };
    const series = this.#chart.addSeries(KINDS[kind], withColors(shown), pane);
    // A new pane inherits the mode of another one: without this a drawdown under a log scale is drawn wrong.
    series.priceScale().applyOptions({ mode: isLog ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal });
    series.setData(points);
    this.#series.set(name, { series, options: shown, pane });
  }

  setPoints(name, points) {
    this.#series.get(name).series.setData(points);
  }

  setVisible(name, isVisible) {
    this.#series.get(name).series.applyOptions({ visible: isVisible });
  }

  remove(name) {
    this.#chart.removeSeries(this.#series.get(name).series);
    this.#series.delete(name);
  }

  /** Shapes at times and values of a series: {time, value, shape: a name of SHAPES, color: "--gain"}. */
  setGlyphs(name, marks) {
    const known = this.#series.get(name);
    known.marks = marks;
    if (!known.glyphs) {
      known.glyphs = new Glyphs();
      known.series.attachPrimitive(known.glyphs);
    }
    known.glyphs.set(marks.map(withColors), themeColor("surface"));
  }

  /** Shade spans of time through all panes that there are: {from, to, color: "--in-sample"}. */
  shade(spans) {
    for (const { pane, primitive } of this.#shading) pane.detachPrimitive(primitive);
    this.#shading = this.#chart.panes().map((pane) => {
      const primitive = new Shading();
      pane.attachPrimitive(primitive);
      primitive.set(spans.map(withColors));
      return { pane, primitive, spans };
    });
  }

  setLogScale(name, isLog) {
    const mode = isLog ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal;
    this.#series.get(name).series.priceScale().applyOptions({ mode });
  }

  /** A horizontal line at a value of a series. */
  addLevel(name, value, color, title) {
    const known = this.#series.get(name);
    const options = { price: value, color, title, lineWidth: 1, axisLabelVisible: true };
    known.levels = [...(known.levels ?? []), { line: known.series.createPriceLine(withColors(options)), options }];
  }

  /** Heights of the panes relative to one another, the first pane first. */
  setPaneShares(shares) {
    const panes = this.#chart.panes();
    shares.forEach((share, index) => panes[index]?.setStretchFactor(share));
  }

  /** Call back with {time, values: {name: point}} under the pointer, or null if it leaves. */
  onCrosshair(callback) {
    this.#chart.subscribeCrosshairMove((event) => {
      if (event.time === undefined) {
        callback(null);
        return;
      }
      const values = {};
      for (const [name, { series }] of this.#series) values[name] = event.seriesData.get(series) ?? null;
      callback({ time: event.time, values });
    });
  }

  onRangeChange(callback) {
    this.#chart.timeScale().subscribeVisibleTimeRangeChange(callback);
  }

  onLogicalRangeChange(callback) {
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange(callback);
  }

  /** The indices of the first and the last point in view, as {from, to} with fractions; null without points. */
  visibleLogicalRange() {
    return this.#chart.timeScale().getVisibleLogicalRange();
  }

  showLogicalRange(range) {
    this.#chart.timeScale().setVisibleLogicalRange(range);
  }

  /** The times at both ends of the view; null without points. */
  visibleRange() {
    return this.#chart.timeScale().getVisibleRange();
  }

  /** Top and height in px of each pane inside the container. */
  paneBoxes() {
    const { top } = this.#container.getBoundingClientRect();
    return this.#chart.panes().map((pane) => {
      const box = pane.getHTMLElement()?.getBoundingClientRect();
      return box ? { top: box.top - top, height: box.height } : { top: 0, height: 0 };
    });
  }

  /** Show the crosshair at a time, as if the pointer were there; null hides it. */
  setCrosshair(time, name) {
    const known = this.#series.get(name);
    if (time === null) this.#chart.clearCrosshairPosition();
    else this.#chart.setCrosshairPosition(Number.NaN, time, known.series);
  }

  showRange(fromTime, toTimeIncluded) {
    this.#chart.timeScale().setVisibleRange({ from: fromTime, to: toTimeIncluded });
  }

  /** Show all points, with room at both ends for half a label of the time axis, which would else be cut. */
  showAll() {
    const scale = this.#chart.timeScale();
    const times = [...this.#series.values()].flatMap(({ series }) => series.data().at(-1)?.time ?? []);
    if (!times.length) return;
    const last = scale.timeToIndex(Math.max(...times), true);
    // Not as the library fits it: that is done in a later frame, and the scale has no width before the first one.
    const width = Math.max(this.#container.clientWidth - AXIS_PX, 4 * EDGE_PX);
    const margin = ((last + 1) * EDGE_PX) / (width - 2 * EDGE_PX);
    scale.setVisibleLogicalRange({ from: -0.5 - margin, to: last + 0.5 + margin });
  }

  /** What is drawn: {name: {points, pane, isLog}}; for tests, and for the table beside the chart. */
  drawn() {
    const found = {};
    for (const [name, { series, pane, glyphs, levels }] of this.#series) {
      const isLog = series.priceScale().options().mode === PriceScaleMode.Logarithmic;
      const isVisible = series.options().visible;
      found[name] = {
        points: series.data(),
        pane,
        isLog,
        isVisible,
        glyphs: glyphs?.drawn ?? [],
        levels: (levels ?? []).map((level) => level.options.price),
      };
    }
    return found;
  }

  /** The color in which a series is drawn. */
  colorOf(name) {
    return this.#series.get(name).series.options().color;
  }

  /** Where a value of a series is drawn, in px from the top of its pane. */
  yOf(name, value) {
    return this.#series.get(name).series.priceToCoordinate(value);
  }

  /** The spans that were drawn shaded in the first pane: [{left, right}] in px. */
  shaded() {
    return this.#shading[0]?.primitive.drawn ?? [];
  }

  destroy() {
    document.documentElement.removeEventListener("themechange", this.#onTheme);
    this.#container.removeEventListener("wheel", this.#onWheel, { capture: true });
    this.#chart.remove();
  }
}
