// The page of one run: loads what its tear sheet shows.

import { html, useEffect, useState } from "../../vendor/preact-htm.mjs";
import {
  getBacktest,
  getCosts,
  getDistribution,
  getDrawdowns,
  getMonths,
  getSeries,
  listFills,
  listTrades,
  reportUrl,
  rerunBacktest,
} from "../api.js";
import { ErrorNotice, Skeleton, useLoad } from "../components.js";
import { announce, mount, pageUrl } from "../shell.js";
import { COLUMNS, MOST_FILLS, OVERVIEW_POINTS } from "../tearsheet/sheet_chart.js";
import { Sheet, WORST_DRAWDOWNS, WORST_TRADES, titleOf } from "../tearsheet/sheet.js";

const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));

async function load(signal) {
  const [run, overview, months, drawdowns, distribution, costs, trades, fills] = await Promise.all([
    getBacktest(id, signal),
    getSeries(id, { columns: COLUMNS, points: OVERVIEW_POINTS }, signal),
    getMonths(id, signal),
    getDrawdowns(id, WORST_DRAWDOWNS, signal),
    getDistribution(id, signal),
    getCosts(id, signal),
    listTrades(id, { first: WORST_TRADES, order: "worst" }, signal),
    listFills(id, { first: MOST_FILLS }, signal),
  ]);
  return { run, overview, months, drawdowns, distribution, costs, trades, fills };
}

function Buttons({ run }) {
  return html`
    <a class="button button-small" href=${`${pageUrl("/new")}?from=${encodeURIComponent(run.id)}`}>Change and run</a>
    <a class="button button-small" href=${`${pageUrl("/compare")}?ids=${encodeURIComponent(run.id)}`}>Compare</a>
    <a class="button button-small" href=${reportUrl(run.id)} download=${`tear-sheet-${run.id}.html`}>Export report</a>
  `;
}

const actions = { rerun: () => rerunBacktest(id), runUrl: (other) => pageUrl(`/runs/${encodeURIComponent(other)}`) };

function Run() {
  const [{ data, error }, reload] = useLoad(load, []);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    if (!data) return;
    document.title = `${titleOf(data.run)} · Backtesting`;
    announce("Tear sheet loaded");
  }, [data]);
  if (error) return html`<h1>Run</h1><${ErrorNotice} error=${error} title="This run cannot be shown" onRetry=${reload} />`;
  if (!data) return html`<h1 class="visually-hidden">Run</h1><${Skeleton} lines=${14} label="Loading the tear sheet" />`;
  const source = {
    series: (query, signal) => getSeries(id, query, signal),
    fills: (query, signal) => listFills(id, query, signal),
    onError: setProblem,
  };
  return html`
    ${problem && html`<${ErrorNotice} error=${problem} title="Finer rows could not be loaded" />`}
    <${Sheet} data=${data} source=${source} actions=${actions}><${Buttons} run=${data.run} /><//>
  `;
}

mount(Run);
