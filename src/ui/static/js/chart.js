// The only file that touches lightweight-charts: charts over time with panes, which follow the theme.

import {
  AreaSeries,
  CandlestickSeries,
  CrosshairMode,
  HistogramSeries,
  LineSeries,
  PriceScaleMode,
  createChart,
  createSeriesMarkers,
} from "../vendor/lightweight-charts.mjs";

const KINDS = { line: LineSeries, area: AreaSeries, candles: CandlestickSeries, histogram: HistogramSeries };

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
  #onTheme;

  constructor(container, { label, formatValue } = {}) {
    container.setAttribute("role", "img");
    if (label) container.setAttribute("aria-label", label);
    this.#chart = createChart(container, {
      autoSize: true,
      crosshair: { mode: CrosshairMode.Normal },
      localization: { locale: "en-US", ...(formatValue ? { priceFormatter: formatValue } : {}) },
      timeScale: { timeVisible: true, secondsVisible: false, borderVisible: false, minBarSpacing: 0.001 },
      rightPriceScale: { borderVisible: false },
    });
    this.#onTheme = () => this.#applyTheme();
    document.documentElement.addEventListener("themechange", this.#onTheme);
    this.#applyTheme();
    container.timeChart = this;
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
    for (const { series, options, marks, markers } of this.#series.values()) {
      series.applyOptions(withColors(options));
      if (markers) markers.setMarkers(marks.map(withColors));
    }
  }

  /** Add a series to a pane (0 is the first; the next number makes a new one). kind: line, area, candles, histogram. */
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

  /** Marks on a series: {time, position, shape, color: "--gain", text}. */
  setMarks(name, marks) {
    const known = this.#series.get(name);
    known.marks = marks;
    if (known.markers) known.markers.setMarkers(marks.map(withColors));
    else known.markers = createSeriesMarkers(known.series, marks.map(withColors));
  }

  setLogScale(name, isLog) {
    const mode = isLog ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal;
    this.#series.get(name).series.priceScale().applyOptions({ mode });
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

  showRange(fromTime, toTimeIncluded) {
    this.#chart.timeScale().setVisibleRange({ from: fromTime, to: toTimeIncluded });
  }

  showAll() {
    this.#chart.timeScale().fitContent();
  }

  /** What is drawn: {name: {points, pane, isLog}}; for tests, and for the table beside the chart. */
  drawn() {
    const found = {};
    for (const [name, { series, pane, marks }] of this.#series) {
      const isLog = series.priceScale().options().mode === PriceScaleMode.Logarithmic;
      found[name] = { points: series.data(), pane, isLog, marks: marks ?? [] };
    }
    return found;
  }

  destroy() {
    document.documentElement.removeEventListener("themechange", this.#onTheme);
    this.#chart.remove();
  }
}
