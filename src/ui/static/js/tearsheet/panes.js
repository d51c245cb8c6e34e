// The panes over time: the chart, its legend and buttons, and the table that says the same.

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.mjs";
import { TimeChart, toIso, toPoints, toTime } from "../chart.js";
import {
  HELD_AFTER_COSTS,
  formatAdaptive,
  formatCount,
  formatCounted,
  formatDay,
  formatInstant,
  formatNumber,
  formatPercent,
} from "../format.js";
import { SHAPES, shapeOf } from "../shapes.js";
import { rowOf } from "./rows.js";
import { SheetChart, linkCharts } from "./sheet_chart.js";

const TABLE_ROWS = 200;
const PAN = 0.25;
export const REASONS = {
  signal: "Signal",
  stop_loss: "Stop loss",
  trailing_stop: "Trailing stop",
  take_profit: "Take profit",
  limit: "Limit order",
  stop: "Stop order",
  time: "Time limit",
  liquidation: "Liquidation",
  break_even: "Break-even stop",
  end: "End of the data",
  add_limit: "Added by a limit order",
  add_stop: "Added by a stop order",
};

export function Shape({ name, className }) {
  const { path, isHollow } = SHAPES[name];
  return html`<svg class=${`shape ${className ?? ""}`} viewBox="-1.3 -1.3 2.6 2.6" width="11" height="11" aria-hidden="true">
    <path d=${path} class=${isHollow ? "shape-hollow" : "shape-full"} />
  </svg>`;
}

/** The shapes that occur, each with its reason. */
export function FillLegend({ fills }) {
  const reasons = Object.keys(REASONS).filter((reason) => fills.some((fill) => fill.reason === reason));
  if (!reasons.length) return null;
  return html`<ul class="chart-legend" aria-label="Fills">
    <li><span class="key key-buy" aria-hidden="true"></span>Buy</li>
    <li><span class="key key-sell" aria-hidden="true"></span>Sell</li>
    ${reasons.map(
      (reason) => html`<li key=${reason}>
        <${Shape} name=${shapeOf("buy", reason)} />${reason === "signal" && html`<${Shape} name="down" />`} ${REASONS[reason]}
      </li>`,
    )}
  </ul>`;
}

function Readout({ items }) {
  return html`<span class="readout">
    ${items.map(([label, value, key]) => html`<span key=${label}>${key && html`<i class=${`swatch ${key}`}></i>`}${label} <b>${value}</b></span>`)}
  </span>`;
}

/** What the panes show at one row: [[title, items], …] for the price, equity and drawdown pane. */
function readouts(columns, at) {
  const value = (name) => columns[name]?.[at] ?? null;
  const price = value("open") !== null
    ? [["O", "open"], ["H", "high"], ["L", "low"], ["C", "close"]].map(([label, name]) => [label, formatAdaptive(value(name))])
    : [["Close", formatAdaptive(value("close"))]]; // prettier-ignore
  const held = columns.buy_and_hold ? [[HELD_AFTER_COSTS, formatAdaptive(value("buy_and_hold")), "swatch-held"]] : [];
  return [
    ["Price", price],
    ["Equity", [["Strategy", formatAdaptive(value("equity")), "swatch-equity"], ...held]],
    ["Drawdown", [["Below peak", formatPercent(value("drawdown")), "swatch-drawdown"]]],
  ];
}

/** What each pane shows at the crosshair: labels = [[title, items], …], the first pane first. */
export function PaneLabels({ labels, boxes }) {
  return labels.map(
    ([title, items], pane) => html`<div key=${title} class="pane-label" style=${{ top: `${(boxes[pane]?.top ?? 0) + 6}px` }}>
      <span class="pane-title">${title}</span><${Readout} items=${items} />
    </div>`,
  );
}

/** Keys of a chart that has the focus: arrows move it, plus and minus zoom, Home shows all. */
export function onChartKey(event, chart) {
  const range = chart.visibleLogicalRange();
  if (!range || event.ctrlKey || event.metaKey || event.altKey) return;
  const width = range.to - range.from;
  const moves = {
    ArrowLeft: [-PAN * width, -PAN * width],
    ArrowRight: [PAN * width, PAN * width],
    "+": [PAN * width, -PAN * width],
    "=": [PAN * width, -PAN * width],
    "-": [-PAN * width, PAN * width],
  };
  if (event.key === "Home") chart.showAll();
  else if (moves[event.key]) {
    const [from, to] = moves[event.key];
    chart.showLogicalRange({ from: range.from + from, to: range.to + to });
  } else return;
  event.preventDefault();
}

export function ChartTools({ chart, isLog, onLog, canLog }) {
  const press = (key) => () => onChartKey({ key, preventDefault() {} }, chart());
  return html`<div class="chart-tools" role="group" aria-label="Charts">
    <button type="button" class="button button-small" aria-pressed=${isLog ? "true" : "false"} disabled=${!canLog} onClick=${onLog}>Log scale</button>
    <button type="button" class="button button-small" aria-label="Zoom out" onClick=${press("-")}>−</button>
    <button type="button" class="button button-small" aria-label="Zoom in" onClick=${press("+")}>+</button>
    <button type="button" class="button button-small" onClick=${press("Home")}>All</button>
  </div>`;
}

const COLUMN_TITLES = [
  ["open", "Open", formatAdaptive],
  ["high", "High", formatAdaptive],
  ["low", "Low", formatAdaptive],
  ["close", "Close", formatAdaptive],
  ["equity", "Equity", formatAdaptive],
  ["buy_and_hold", HELD_AFTER_COSTS, formatAdaptive],
  ["drawdown", "Drawdown", (value) => formatPercent(value)],
  ["probability", "Probability", (value) => formatNumber(value, 3)],
];

/** The rows in view as a table, which is made once it is opened; columnTitles = [[name, title, format], …]. */
export function RowsTable({ columns, view, barsPerPoint, columnTitles = COLUMN_TITLES }) {
  const [isOpen, setOpen] = useState(false);
  const first = view ? rowOf(columns.date, view.from) : 0;
  const stop = view ? rowOf(columns.date, view.to) + 1 : columns.date.length;
  const shown = Math.min(stop - first, TABLE_ROWS);
  const titles = columnTitles.filter(([name]) => columns[name]);
  return html`<details class="twin" onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>Rows in view as a table</summary>
    ${isOpen &&
    html`<p class="muted small">
        ${shown < stop - first ? `The first ${formatCount(shown)} of ${formatCounted(stop - first, "row")} in view.` : formatCounted(shown, "row")}
        ${barsPerPoint > 1 && ` Over the whole run a row stands for ${formatCounted(barsPerPoint, "bar")}; zoom in for finer ones.`}
      </p>
      <div class="table-wrap table-tall" tabindex="0" role="region" aria-label="Rows in view">
        <table class="table">
          <thead>
            <tr><th scope="col">Opens (UTC)</th>${titles.map(([name, title]) => html`<th key=${name} scope="col" class="number">${title}</th>`)}</tr>
          </thead>
          <tbody>
            ${Array.from({ length: Math.max(0, shown) }, (_, index) => first + index).map(
              (row) => html`<tr key=${row}>
                <th scope="row">${formatInstant(columns.date[row])}</th>
                ${titles.map(([name, , format]) => html`<td key=${name} class="number">${format(columns[name][row])}</td>`)}
              </tr>`,
            )}
          </tbody>
        </table>
      </div>`}
  </details>`;
}

/** Shaded spans of a run: the bars that its model was trained on. */
function spansOf(run, dates) {
  const training = run.judgement?.leaks?.training;
  if (!training || training.bars_seen === 0 || !dates.length) return [];
  const from = Math.max(toTime(training.trained_from ?? dates[0]), toTime(dates[0]));
  return [{ from, to: Math.min(toTime(training.trained_to), toTime(dates.at(-1))), color: "--in-sample" }];
}

function label(run, columns) {
  const from = formatDay(run.metrics.start);
  const held = columns.buy_and_hold ? " against buy and hold" : "";
  return `Price with fills, equity${held} and drawdown of ${run.symbol} from ${from} to ${formatDay(run.metrics.end)}. Arrow keys move, plus and minus zoom, Home shows all.`;
}

/** What to say about the fills drawn: nothing if these are all of them. */
function fillNote({ fills, total }, canZoom) {
  if (total === 0) return "No fills in view.";
  if (fills.length === total) return null;
  return `${formatCounted(total, "fill")} in view, too many to draw${canZoom ? ": zoom in to see them." : "."}`;
}

/** fills: {items, total}. onChart is called with the `SheetChart` once it stands. */
export function Panes({ run, overview, fills: { items, total }, source, onChart }) {
  const place = useRef(null);
  const sheet = useRef(null);
  const [columns, setColumns] = useState(overview.columns);
  const [at, setAt] = useState(null);
  const [boxes, setBoxes] = useState([]);
  const [view, setView] = useState(null);
  const [isLog, setLog] = useState(false);
  const hasAllFills = items.length >= total;
  const [isBusy, setBusy] = useState(false);
  const [shownFills, setShownFills] = useState({ fills: hasAllFills ? items : [], total });
  const spans = spansOf(run, overview.columns.date);
  const canLog = overview.columns.equity.every((value) => value > 0);

  useEffect(() => {
    const own = new SheetChart(place.current, {
      overview, fills: shownFills.fills, totalFills: total, hasAllFills, spans, source, onColumns: setColumns,
      onFills: setShownFills, onBusy: setBusy, label: label(run, overview.columns),
    }); // prettier-ignore
    sheet.current = own;
    const measure = () => setBoxes(own.chart.paneBoxes());
    const observer = new ResizeObserver(() => requestAnimationFrame(measure));
    observer.observe(place.current);
    own.chart.onCrosshair((event) => setAt(event ? toIso(event.time) : null));
    own.chart.onRangeChange(() => setView(own.view()));
    onChart(own);
    return () => {
      observer.disconnect();
      own.destroy();
    };
  }, [overview]);

  function toggleLog() {
    for (const name of ["close", "equity"]) sheet.current.chart.setLogScale(name, !isLog);
    setLog(!isLog);
  }
  const shownAt = at ?? view?.to;
  const row = shownAt ? rowOf(columns.date, shownAt) : columns.date.length - 1;
  return html`<section class="panel" aria-labelledby="panes-title">
    <div class="panel-head">
      <h2 id="panes-title">Price, equity, drawdown</h2>
      <span class="muted small crosshair-time">${formatInstant(columns.date[row])}</span>
      <${ChartTools} chart=${() => sheet.current.chart} isLog=${isLog} canLog=${canLog} onLog=${toggleLog} />
    </div>
    <div class="chart-frame" aria-busy=${isBusy ? "true" : "false"}>
      <div class="chart chart-sheet" ref=${place} tabindex="0" onKeyDown=${(event) => onChartKey(event, sheet.current.chart)}></div>
      <${PaneLabels} labels=${readouts(columns, row)} boxes=${boxes} />
    </div>
    <div class="panel-foot">
      <${FillLegend} fills=${shownFills.fills} />
      ${spans.length > 0 && html`<span class="small"><i class="swatch swatch-sample"></i>Shaded: in sample, the model was trained on these bars</span>`}
      <span class="small muted" role="status">${isBusy && "Loading finer rows …"}</span>
      <span class="small muted">${fillNote(shownFills, source !== null)}</span>
    </div>
    <${RowsTable} columns=${columns} view=${view} barsPerPoint=${overview.bars_per_point} />
  </section>`;
}

/** The model's probability and the threshold above which it buys; it moves with the other panes. */
export function ProbabilityPane({ run, overview, sheet }) {
  const place = useRef(null);
  const { threshold } = run.strategy;
  useEffect(() => {
    const { date, probability } = overview.columns;
    const chart = new TimeChart(place.current, {
      label: "The model's probability of a rise at each bar, and the threshold",
      formatValue: (value) => formatNumber(value, 3),
    });
    chart.add("probability", "line", toPoints(date, probability), { color: "--accent", lineWidth: 1 });
    if (threshold !== null) chart.addLevel("probability", threshold, "--loss", "threshold");
    chart.shade(spansOf(run, date));
    chart.showAll();
    const unlink = sheet ? linkCharts(sheet, chart, "probability") : () => {};
    return () => {
      unlink();
      chart.destroy();
    };
  }, [overview, sheet]);
  return html`<section class="panel" aria-labelledby="probability-title">
    <div class="panel-head">
      <h2 id="probability-title">Probability of the model</h2>
      <span class="muted small">Buys above the threshold${threshold === null ? "" : ` ${formatNumber(threshold, 3, false)}`}</span>
    </div>
    <div class="chart chart-small" ref=${place}></div>
  </section>`;
}
