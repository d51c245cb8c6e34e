// A portfolio over time: its equity against the market, its drawdown, and how many positions were open.

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.mjs";
import { TimeChart, toIso, toPoints } from "../chart.js";
import { formatAdaptive, formatCount, formatDay, formatInstant, formatPercent } from "../format.js";
import { ChartTools, onChartKey, PaneLabels, RowsTable } from "../tearsheet/panes.js";
import { rowOf } from "../tearsheet/rows.js";
import { DRAWDOWN_COLORS } from "../tearsheet/sheet_chart.js";

/** What the portfolio is compared with. */
export const HELD = "Equal parts held, no costs";

const TITLES = [
  ["equity", "Equity", formatAdaptive],
  ["buy_and_hold", HELD, formatAdaptive],
  ["cash", "Free cash", formatAdaptive],
  ["drawdown", "Drawdown", (value) => formatPercent(value)],
  ["open_positions", "Open positions", formatCount],
];

/** The columns of the rows of `GET …/equity`, with the times under `date`, as the charts name them. */
export function columnsOf(items) {
  const columns = { date: items.map((row) => row.time) };
  for (const [name] of TITLES) columns[name] = items.map((row) => row[name]);
  return columns;
}

function labelsAt(columns, at) {
  const value = (name) => columns[name][at] ?? null;
  return [
    ["Equity", [["Portfolio", formatAdaptive(value("equity")), "swatch-equity"], [HELD, formatAdaptive(value("buy_and_hold")), "swatch-held"]]],
    ["Drawdown", [["Below peak", formatPercent(value("drawdown")), "swatch-drawdown"]]],
    ["Open positions", [["At the close", formatCount(value("open_positions"))]]],
  ]; // prettier-ignore
}

function draw(place, columns) {
  const { date } = columns;
  const chart = new TimeChart(place, {
    label: `Equity against the market, drawdown and open positions from ${formatDay(date[0])} to ${formatDay(date.at(-1))}. Arrow keys move, plus and minus zoom, Home shows all.`,
    formatValue: formatAdaptive,
  });
  chart.add("buy_and_hold", "line", toPoints(date, columns.buy_and_hold), { color: "--benchmark", lineWidth: 1 });
  chart.add("equity", "line", toPoints(date, columns.equity), { color: "--accent" });
  chart.add("drawdown", "baseline", toPoints(date, columns.drawdown), { pane: 1, ...DRAWDOWN_COLORS });
  chart.add("open_positions", "line", toPoints(date, columns.open_positions), { pane: 2, color: "--text", lineWidth: 1, lineType: 1 });
  chart.setPaneShares([5, 3, 2]);
  chart.showAll();
  return chart;
}

/** balances: what `GET …/equity` returns, reduced to points. */
export function PortfolioPanes({ balances }) {
  const place = useRef(null);
  const chart = useRef(null);
  const [boxes, setBoxes] = useState([]);
  const [at, setAt] = useState(null);
  const [view, setView] = useState(null);
  const [isLog, setLog] = useState(false);
  const columns = columnsOf(balances.items);
  const canLog = columns.equity.every((value) => value > 0);
  useEffect(() => {
    const own = draw(place.current, columns);
    chart.current = own;
    const observer = new ResizeObserver(() => requestAnimationFrame(() => setBoxes(own.paneBoxes())));
    observer.observe(place.current);
    own.onCrosshair((event) => setAt(event ? toIso(event.time) : null));
    own.onRangeChange(() => {
      const range = own.visibleRange();
      setView(range && { from: toIso(range.from), to: toIso(range.to) });
    });
    return () => {
      observer.disconnect();
      own.destroy();
    };
  }, [balances]);
  function toggleLog() {
    chart.current.setLogScale("equity", !isLog);
    setLog(!isLog);
  }
  const row = at ? rowOf(columns.date, at) : columns.date.length - 1;
  return html`<section class="panel" aria-labelledby="panes-title">
    <div class="panel-head">
      <h2 id="panes-title">Equity, drawdown, open positions</h2>
      <span class="muted small crosshair-time">${formatInstant(columns.date[row])}</span>
      <${ChartTools} chart=${() => chart.current} isLog=${isLog} canLog=${canLog} onLog=${toggleLog} />
    </div>
    <div class="chart-frame">
      <div class="chart chart-portfolio" ref=${place} tabindex="0" onKeyDown=${(event) => onChartKey(event, chart.current)}></div>
      <${PaneLabels} labels=${labelsAt(columns, row)} boxes=${boxes} />
    </div>
    <${RowsTable} columns=${columns} view=${view} barsPerPoint=${balances.times_per_point} columnTitles=${TITLES} />
  </section>`;
}
