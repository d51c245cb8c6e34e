// One portfolio: how far it is, whether to believe it, its figures, its curves, each symbol's share, correlations.

import { html, useEffect } from "../../vendor/preact-htm.mjs";
import { getPortfolio, listPortfolioEquity, listStrategies, portfolioRowsUrl } from "../api.js";
import { ErrorNotice, Skeleton, useLoad } from "../components.js";
import { formatCount, formatCounted, formatDay, formatName } from "../format.js";
import { isEnded, JobActions, JobFailure, JobProgress, JobState, useJob } from "../jobs.js";
import { Correlations } from "../portfolio/correlations.js";
import { PortfolioDoubts } from "../portfolio/doubts.js";
import { HELD, PortfolioPanes } from "../portfolio/panes.js";
import { Symbols } from "../portfolio/symbols.js";
import { announce, mount, pageUrl } from "../shell.js";
import { describeSettings, labelOf, SettingRows } from "../sweep/settings.js";
import { Figures, figuresOf } from "../tearsheet/kpis.js";
import { Metrics } from "../tearsheet/settings.js";

const POINTS = 2000;
const FILES = [
  ["equity", "Equity"],
  ["fills", "Fills"],
  ["trades", "Trades"],
];
const RANKS = { LISTED: "as the symbols are listed", VOLUME: "the largest traded value first", MOMENTUM: "the largest return first" };

const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));

/** "MA Crossover on 5 symbols 1d" */
function titleOf({ backtest, symbols }, catalog) {
  const market = symbols.length === 1 ? symbols[0] : formatCounted(symbols.length, "symbol");
  return `${labelOf(backtest.strategy, catalog)} on ${market} ${backtest.interval}`;
}

/** The strip of key figures: those of one run, and what only a portfolio has. */
function portfolioFigures({ conclusion, settings }) {
  const { metrics, confidence } = conclusion;
  const run = { metrics, judgement: { confidence, benchmarks: { buy_and_hold: null } }, settings: {}, detail: null };
  const figures = figuresOf(run).map((figure) =>
    figure.name === "total_return" ? { ...figure, held: metrics.buy_and_hold_return, heldLabel: HELD } : figure,
  );
  return [
    ...figures,
    { name: "most_open", label: "Most open at once", format: formatCount, value: conclusion.most_open, range: formatCount(settings.max_open), rangeLabel: "Places" },
    { name: "refused_entries", label: "Refused entries", format: formatCount, value: conclusion.refused_entries, range: "no place, or no cash", rangeLabel: "Why" },
  ]; // prettier-ignore
}

function Files() {
  return html`<div class="panel panel-body row" role="group" aria-label="Rows as files">
    ${FILES.map(
      ([name, label]) => html`<span class="row" key=${name}>
        <b class="small">${label}</b>
        <a class="button button-small" href=${portfolioRowsUrl(id, name, { format: "csv" })} download aria-label=${`${label} as CSV`}>CSV</a>
        <a class="button button-small" href=${portfolioRowsUrl(id, name, { format: "parquet" })} download aria-label=${`${label} as Parquet`}>Parquet</a>
      </span>`,
    )}
  </div>`;
}

function Asked({ settings, catalog }) {
  const { strategy, ...backtest } = settings.backtest;
  const rows = [
    ["Symbols", settings.symbols.join(", ")],
    ["Places", `${formatCount(settings.max_open)} open at once`],
    ["Entries", `${RANKS[settings.rank] ?? formatName(settings.rank)}${settings.rank === "LISTED" ? "" : `, over ${formatCounted(settings.rank_bars, "bar")}`}`],
    ["Strategy", [labelOf(strategy, catalog), describeSettings(strategy.parameters)].filter(Boolean).join(" · ")],
    ["Backtest", describeSettings(backtest)],
  ];
  return html`<${SettingRows} rows=${rows} />`;
}

function Sheet({ portfolio, catalog }) {
  const { conclusion, settings } = portfolio;
  const [{ data, error }, reload] = useLoad((signal) => listPortfolioEquity(id, { points: POINTS }, signal), [id]);
  return html`
    <${PortfolioDoubts} conclusion=${conclusion} />
    <${Figures} figures=${portfolioFigures(portfolio)} />
    ${error && html`<${ErrorNotice} error=${error} onRetry=${reload} title="The curves cannot be shown" />`}
    ${!data && !error && html`<div class="panel"><${Skeleton} lines=${10} label="Loading the curves" /></div>`}
    ${data && html`<${PortfolioPanes} balances=${data} />`}
    <${Symbols} symbols=${conclusion.symbols} />
    <${Correlations} correlations=${conclusion.correlations} />
    <section class="panel" aria-label="All metrics"><${Metrics} metrics=${conclusion.metrics} /></section>
    <${Files} />
    <${Asked} settings=${settings} catalog=${catalog} />
  `;
}

function Progress({ job, settings, catalog, followError }) {
  if (job.state === "SUCCEEDED") return null;
  return html`
    <section class="panel panel-body job-progress" aria-label="Progress">
      <${JobProgress} job=${job} label="Progress of this portfolio" />
      <${JobFailure} job=${job} />
      ${followError && html`<p class="small loss">${followError.message}</p>`}
    </section>
    <${Asked} settings=${settings} catalog=${catalog} />
  `;
}

function Portfolio() {
  const [{ data, error }, reload] = useLoad((signal) => getPortfolio(id, signal), []);
  const [catalog] = useLoad(listStrategies, []);
  const [job, followError, setJob] = useJob(data?.job ?? null);
  useEffect(() => {
    if (data) document.title = `Portfolio: ${titleOf(data.settings, catalog.data)} · Backtesting`;
  }, [data, catalog.data]);
  useEffect(() => {
    // What it did comes with the portfolio, not with its job.
    if (data && job && isEnded(job) && data.job.state !== job.state) {
      announce(`The portfolio is ${job.state.toLowerCase()}`);
      reload();
    }
  }, [job?.state]);
  if (error) return html`<h1>Portfolio</h1><${ErrorNotice} error=${error} title="This portfolio cannot be shown" onRetry=${reload} />`;
  if (!data || !job) return html`<h1 class="visually-hidden">Portfolio</h1><${Skeleton} lines=${14} label="Loading the portfolio" />`;
  const { settings, conclusion } = data;
  return html`<article class="sheet stack-large">
    <div class="page-head sheet-head">
      <h1>${titleOf(settings, catalog.data)}</h1>
      <${JobState} state=${job.state} />
      <${JobActions} job=${job} name="this portfolio" onJob=${setJob} onDeleted=${() => location.assign(pageUrl("/jobs"))} />
      ${conclusion &&
      html`<p class="muted">
        ${formatDay(conclusion.metrics.start)} to ${formatDay(conclusion.metrics.end)}, ${formatCounted(conclusion.metrics.bars, "time")}, ${formatCounted(conclusion.metrics.total_trades, "closed trade")}
      </p>`}
    </div>
    <${Progress} job=${job} settings=${settings} catalog=${catalog.data} followError=${followError} />
    ${conclusion && html`<${Sheet} portfolio=${data} catalog=${catalog.data} />`}
  </article>`;
}

mount(Portfolio);
