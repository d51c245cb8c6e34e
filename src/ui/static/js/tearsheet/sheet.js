// The tear sheet of a run, top down: what makes it doubtful, key figures, charts, tables, settings.

import { html, useCallback, useRef, useState } from "../../vendor/preact-htm.mjs";
import { formatCounted } from "../format.js";
import { Distribution } from "./distribution.js";
import { Doubts } from "./doubts.js";
import { Kpis, Samples } from "./kpis.js";
import { Months } from "./months.js";
import { Panes, ProbabilityPane } from "./panes.js";
import { Settings } from "./settings.js";
import { Costs, Drawdowns, Trades, instantFormat } from "./tables.js";

/** "RSI · BTCUSDT · 1d": how a run is called. */
export function titleOf(run) {
  return `${run.strategy.name} · ${run.symbol} · ${run.interval}`;
}

function Head({ run, children }) {
  const format = instantFormat(run);
  return html`<div class="page-head sheet-head">
    <h1>${titleOf(run)}</h1>
    <div class="row">${children}</div>
    <p class="muted">
      ${format(run.metrics.start)} to ${format(run.metrics.end)}, ${formatCounted(run.metrics.bars, "bar")}, ${formatCounted(run.metrics.total_trades, "closed trade")}, bars from ${run.origin}
    </p>
  </div>`;
}

function barMs(run) {
  const { start, end, bars } = run.metrics;
  return bars > 1 ? (Date.parse(end) - Date.parse(start)) / (bars - 1) : 60_000;
}

/**
 * data: {run, overview, months, drawdowns, distribution, costs, trades, fills} as the API has them;
 * source: {series, fills, onError} for finer rows, null in a report; actions: {rerun, runUrl}, null in a report.
 */
export function Sheet({ data, source, actions, children }) {
  const { run, overview, fills } = data;
  const [sheet, setSheet] = useState(null);
  const panes = useRef(null);
  const show = useCallback(
    (from, to) => {
      panes.current.scrollIntoView({ block: "start" });
      panes.current.querySelector(".chart").focus({ preventScroll: true });
      sheet.zoomTo(from, to, barMs(run));
    },
    [sheet],
  );
  return html`<article class="sheet stack-large">
    <${Head} run=${run}>${children}<//>
    <${Doubts} run=${run} />
    <${Kpis} run=${run} />
    <${Samples} run=${run} />
    ${(overview.warnings ?? []).map((text) => html`<p key=${text} class="notice" role="note">${text}</p>`)}
    <div ref=${panes} class="panes-anchor">
      <${Panes} run=${run} overview=${overview} fills=${fills} source=${source} onChart=${setSheet} />
    </div>
    <${Months} months=${data.months} />
    <div class="halves halves-trades">
      <${Trades} run=${run} trades=${data.trades} onShow=${show} />
      <${Drawdowns} run=${run} drawdowns=${data.drawdowns} onShow=${show} />
    </div>
    <div class="halves">
      <${Distribution} distribution=${data.distribution} />
      <${Costs} run=${run} costs=${data.costs} />
    </div>
    ${overview.columns.probability && html`<${ProbabilityPane} run=${run} overview=${overview} sheet=${sheet} />`}
    <${Settings} run=${run} actions=${actions} />
  </article>`;
}
