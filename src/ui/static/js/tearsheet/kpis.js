// The strip of key figures: each beside buy and hold, and with its interval.

import { html } from "../../vendor/preact-htm.mjs";
import {
  HELD_AFTER_COSTS,
  HELD_WITHOUT_COSTS,
  formatCount,
  formatNumber,
  formatPercent,
  formatSigned,
  formatSignedPercent,
  signClass,
} from "../format.js";

const percent = (value) => formatSignedPercent(value, 1);
const ratio = (value) => formatSigned(value, 2);
const plainPercent = (value) => formatPercent(value, 1);
const plainRatio = (value) => formatNumber(value, 2);

function between(interval, format) {
  return interval ? `${format(interval.low)} to ${format(interval.high)}` : null;
}

/** The figures of the strip: {name, label, value, format, held, range, rangeLabel}. */
export function figuresOf(run) {
  const { metrics } = run;
  const held = run.judgement?.benchmarks.buy_and_hold ?? null;
  const confidence = run.judgement?.confidence ?? null;
  const path = confidence?.range_of_next_path ?? null;
  const level = confidence ? `${formatNumber(confidence.level * 100, 0)} %` : "";
  const fall = path && `${plainPercent(path.max_drawdown.median)} median, ${plainPercent(path.max_drawdown.high95)} in 1 of 20`;
  return [
    { name: "total_return", label: "Total return", format: percent, isSigned: true, value: metrics.total_return,
      held: held?.total_return, range: between(path?.total_return, percent), rangeLabel: `Next path, ${level}` },
    { name: "cagr", label: "Return a year", format: percent, isSigned: true, value: metrics.cagr,
      range: between(path?.cagr, percent), rangeLabel: `Next path, ${level}` },
    { name: "sharpe_ratio", label: "Sharpe ratio", format: ratio, isSigned: true, value: metrics.sharpe_ratio,
      held: held?.sharpe_ratio, range: between(confidence?.sharpe_ratio, ratio), rangeLabel: `Interval, ${level}` },
    { name: "max_drawdown", label: "Max drawdown", format: plainPercent, value: metrics.max_drawdown,
      held: held?.max_drawdown, range: fall, rangeLabel: "Next path" },
    { name: "win_rate", label: "Win rate", format: plainPercent, value: metrics.win_rate,
      range: between(confidence?.win_rate, plainPercent), rangeLabel: `Interval, ${level}` },
    { name: "profit_factor", label: "Profit factor", format: plainRatio, value: metrics.profit_factor,
      range: between(confidence?.profit_factor, plainRatio), rangeLabel: `Interval, ${level}` },
    { name: "total_trades", label: "Closed trades", format: formatCount, value: metrics.total_trades,
      range: formatCount(metrics.bars), rangeLabel: "Bars" },
    { name: "exposure", label: "In the market", format: plainPercent, value: metrics.exposure,
      range: metrics.turnover === null ? null : `${plainRatio(metrics.turnover)} ×`, rangeLabel: "Turnover" },
    ...figuresOfMargin(run),
    ...figuresOfDetail(run),
  ]; // prettier-ignore
}

/** What borrowing cost the run: nothing is shown where nothing was borrowed. */
function figuresOfMargin({ settings, liquidations, metrics }) {
  if (!(settings.leverage > 1)) return [];
  const leverage = `${plainRatio(settings.leverage)} ×`;
  return [
    { name: "liquidations", label: "Liquidations", format: formatCount, value: liquidations, range: leverage, rangeLabel: "Leverage" },
    { name: "liquidation_distance", label: "Nearest to liquidation", format: plainPercent, value: metrics.liquidation_distance },
  ];
}

/** The run without the shorter bars that settled what happened inside its own. */
function figuresOfDetail({ detail }) {
  if (!detail) return [];
  const asked = detail.resolved_bars + detail.unresolved_bars;
  return [
    { name: "total_return_without", label: `Return without ${detail.interval} bars`, format: percent, isSigned: true,
      value: detail.total_return_without, rangeLabel: "Bars settled",
      range: `${formatCount(detail.resolved_bars)} of ${formatCount(asked)}` },
  ]; // prettier-ignore
}

function Figure({ figure }) {
  const { name, label, value, format, isSigned, held, heldLabel = HELD_AFTER_COSTS, range, rangeLabel } = figure;
  return html`<div class="kpi" data-figure=${name}>
    <dt>${label}</dt>
    <dd class=${`kpi-value ${isSigned ? signClass(value) : ""}`}>${format(value)}</dd>
    ${held !== undefined &&
    html`<dd class="kpi-line"><span>${heldLabel}</span><b>${format(held)}</b></dd>`}
    ${range && html`<dd class="kpi-line"><span>${rangeLabel}</span><b>${range}</b></dd>`}
    ${!range && held !== undefined && html`<dd class="kpi-line"><span>Interval</span><b>not enough data</b></dd>`}
  </div>`;
}

export function Kpis({ run }) {
  return html`<${Figures} figures=${figuresOf(run)} />`;
}

export function Figures({ figures }) {
  return html`<section aria-label="Key figures" class="panel">
    <dl class="kpis">
      ${figures.map((figure) => html`<${Figure} key=${figure.name} figure=${figure} />`)}
    </dl>
  </section>`;
}

const SAMPLE_ROWS = [
  ["total_return", "Total return", percent],
  ["sharpe_ratio", "Sharpe ratio", ratio],
  ["max_drawdown", "Max drawdown", plainPercent],
  ["buy_and_hold_return", HELD_WITHOUT_COSTS, percent],
  ["total_trades", "Closed trades", formatCount],
  ["bars", "Bars", formatCount],
];

/** The bars that the model was trained on beside those after them; the latter are what counts. */
export function Samples({ run }) {
  if (!run.in_sample && !run.out_of_sample) return null;
  const parts = [
    ["Out of sample", run.out_of_sample?.metrics],
    ["In sample", run.in_sample?.metrics],
    ["Whole run", run.metrics],
  ];
  return html`<section class="panel samples" aria-labelledby="samples-title">
    <div class="panel-head">
      <h2 id="samples-title">Out of sample</h2>
      <p class="muted small">A fresh run on the bars after the training. What the model was trained on proves nothing.</p>
    </div>
    <div class="table-wrap">
      <table class="table">
        <thead>
          <tr><th scope="col">Part</th>${SAMPLE_ROWS.map(([name, label]) => html`<th key=${name} scope="col" class="number">${label}</th>`)}</tr>
        </thead>
        <tbody>
          ${parts.map(
            ([label, metrics]) => html`<tr key=${label} class=${label === "In sample" ? "muted" : ""}>
              <th scope="row">${label}</th>
              ${SAMPLE_ROWS.map(([name, , format]) => html`<td key=${name} class="number">${metrics ? format(metrics[name]) : "–"}</td>`)}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
