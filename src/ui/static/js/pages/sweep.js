// One sweep: how far it is, whether to believe its best row, the heat map, and all rows.

import { html, useEffect, useMemo, useRef, useState } from "../../vendor/preact-htm.mjs";
import { getSweep, listStrategies, listSweepRows } from "../api.js";
import { ErrorNotice, Skeleton, useLoad } from "../components.js";
import { formatCounted, formatName } from "../format.js";
import { isEnded, JobActions, JobFailure, JobProgress, JobState, useJob } from "../jobs.js";
import { announce, mount, pageUrl } from "../shell.js";
import { Evidence } from "../sweep/evidence.js";
import { HeatMap } from "../sweep/heat_map.js";
import { describeValues, formatMetric } from "../sweep/metrics.js";
import { useRowRuns } from "../sweep/row_runs.js";
import { Rows } from "../sweep/rows.js";
import { Settings, titleOf } from "../sweep/settings.js";

const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));

/** While a sweep runs, its rows are asked for again after this time. */
const REFRESH_MS = 3000;

/** A number that changes when there are new rows to show: now and then while the job runs, and when it has ended. */
function useRound(job) {
  const [round, setRound] = useState(0);
  const last = useRef(0);
  useEffect(() => {
    if (!job) return undefined;
    const wait = isEnded(job) ? 0 : Math.max(0, last.current + REFRESH_MS - performance.now());
    const timer = setTimeout(() => {
      last.current = performance.now();
      setRound((old) => old + 1);
    }, wait);
    return () => clearTimeout(timer);
  }, [job?.done, job?.state]);
  return round;
}

/** One of the best rows: a link to its run, or the offer to make it again if it was deleted. */
function BestRow({ kept, metric, owner }) {
  const { addressOf, open, canRun, running, error } = useRowRuns(id, kept.is_stored ? [kept] : [], owner);
  const isRunning = running !== null;
  const values = describeValues(kept.values);
  return html`<li data-row=${kept.row}>
    ${kept.is_stored
      ? html`<a class="clip-lines" href=${addressOf(kept.row)}>${values}</a>`
      : html`<span class="clip-lines">${values} <span class="small muted">its run was deleted</span></span>`}
    <span class="number">${formatMetric(metric, kept.objective)}</span>
    ${!kept.is_stored &&
    canRun &&
    html`<button type="button" class="button button-small" disabled=${isRunning} aria-label=${`${isRunning ? "Running …" : "Run again"}: ${values}`} onClick=${() => open(kept.row)}>
      ${isRunning ? "Running …" : "Run again"}
    </button>`}
    ${error && html`<${ErrorNotice} error=${error} title="It was not run" />`}
  </li>`;
}

function Best({ conclusion, metric, owner }) {
  if (!conclusion?.best.length) return null;
  return html`<section class="panel" aria-labelledby="best">
    <div class="panel-head">
      <h2 id="best">Best rows</h2>
      <span class="small muted">each run on its own, and stored</span>
    </div>
    <ol class="best-rows">
      ${conclusion.best.map((kept) => html`<${BestRow} key=${kept.row} kept=${kept} metric=${metric} owner=${owner} />`)}
    </ol>
    <p class="panel-note small muted">${formatName(metric)}, of ${formatCounted(conclusion.combinations, "row")} on ${formatCounted(conclusion.bars, "bar")}.</p>
  </section>`;
}

/** The first row, from which the names of the metrics and the place of each parameter are read. */
function columnsOf(row, settings) {
  const names = settings.parameters.map(({ name }) => name);
  const parameters = names.map((name) => ({ name, key: `parameter_${name}` in row ? `parameter_${name}` : name }));
  const own = new Set(["row", ...parameters.map(({ key }) => key)]);
  const all = Object.keys(row).filter((name) => !own.has(name));
  const { metric } = settings.objective;
  return { parameters, metrics: [metric, ...all.filter((name) => name !== metric)] };
}

function Results({ sweep, round }) {
  const { settings, conclusion } = sweep;
  const [ranked] = useLoad(async (signal) => (await listSweepRows(id, { first: 1 }, signal)).items[0] ?? null, [round]);
  const [any] = useLoad(async (signal) => (await listSweepRows(id, { sort_by: "row", first: 1 }, signal)).items[0] ?? null, [round]);
  const columns = useMemo(() => (any.data ? columnsOf(any.data, settings) : null), [Boolean(any.data)]);
  const best = useMemo(() => {
    if (!columns || !ranked.data) return null;
    return Object.fromEntries(columns.parameters.map(({ name, key }) => [name, ranked.data[key]]));
  }, [columns, ranked.data]);
  const runs = useRowRuns(
    id,
    conclusion?.best.filter((kept) => kept.is_stored),
    sweep.job.user_id,
  );
  if (any.error) return html`<${ErrorNotice} error=${any.error} title="The rows cannot be shown" />`;
  if (!any.data && any.isLoading) return html`<div class="panel"><${Skeleton} lines=${8} label="Loading the rows" /></div>`;
  if (!columns) return html`<div class="panel panel-body muted">${isEnded(sweep.job) ? "No row was computed." : "No rows yet. They appear here as they are computed."}</div>`;
  return html`
    <div class="sweep-columns">
      <div>
        <${HeatMap} id=${id} settings=${settings} round=${round} best=${best} runs=${runs} metrics=${columns.metrics} />
        <${Best} conclusion=${conclusion} metric=${settings.objective.metric} owner=${sweep.job.user_id} />
      </div>
      <${Evidence} sweep=${sweep} />
    </div>
    <${Rows} id=${id} round=${round} parameters=${columns.parameters} metrics=${columns.metrics} runOf=${runs.addressOf} />
  `;
}

function Sweep() {
  const [{ data, error }, reload] = useLoad((signal) => getSweep(id, signal), []);
  const [catalog] = useLoad(listStrategies, []);
  const [job, followError, setJob] = useJob(data?.job ?? null);
  const round = useRound(job);
  useEffect(() => {
    if (data) document.title = `Sweep of ${titleOf(data.settings, catalog.data)} · Backtesting`;
  }, [data, catalog.data]);
  useEffect(() => {
    // What it found comes with the sweep, not with its job.
    if (data && job && isEnded(job) && data.job.state !== job.state) {
      announce(`The sweep is ${job.state.toLowerCase()}`);
      reload();
    }
  }, [job?.state]);
  if (error) return html`<h1>Sweep</h1><${ErrorNotice} error=${error} title="This sweep cannot be shown" onRetry=${reload} />`;
  if (!data || !job) return html`<h1 class="visually-hidden">Sweep</h1><${Skeleton} lines=${14} label="Loading the sweep" />`;
  const { settings } = data;
  return html`
    <div class="page-head">
      <h1>Sweep of ${titleOf(settings, catalog.data)}</h1>
      <${JobState} state=${job.state} />
      <${JobActions} job=${job} name="this sweep" onJob=${setJob} onDeleted=${() => location.assign(pageUrl("/jobs"))} />
    </div>
    <section class="panel panel-body job-progress" aria-label="Progress">
      <${JobProgress} job=${job} label="Progress of this sweep" />
      ${job.best_so_far !== null &&
      !data.conclusion &&
      html`<p class="small">Best ${formatName(settings.objective.metric).toLowerCase()} so far: <b>${formatMetric(settings.objective.metric, job.best_so_far)}</b></p>`}
      <${JobFailure} job=${job} />
      ${followError && html`<p class="small loss">${followError.message}</p>`}
    </section>
    <${Results} sweep=${{ ...data, job }} round=${round} />
    <${Settings} settings=${settings} catalog=${catalog.data} />
  `;
}

mount(Sweep);
