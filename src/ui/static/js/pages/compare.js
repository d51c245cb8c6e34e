// Runs side by side: their curves from 100, and their figures.

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.mjs";
import { getBacktest, getSeries, listBacktests } from "../api.js";
import { TimeChart, toPoints } from "../chart.js";
import { Empty, ErrorNotice, MAX_COMPARED, Skeleton, Verdict, useLoad, verdictWords } from "../components.js";
import {
  HELD_AFTER_COSTS,
  formatAdaptive,
  formatCount,
  formatDay,
  formatInstant,
  formatName,
  formatNumber,
  formatPercent,
  formatSetting,
  formatSigned,
  formatSignedPercent,
} from "../format.js";
import { announce, mount, pageUrl, replaceQuery, useUser } from "../shell.js";
import { rowOf } from "../tearsheet/rows.js";
import { titleOf } from "../tearsheet/sheet.js";

const POINTS = 1000;
const TABLE_ROWS = 100;
const NAMED_SETTINGS = 3;
const LABEL_PX = 112;
const RUN_PX = 168;
const percent = (value) => formatSignedPercent(value, 2);
const plain = (value) => formatPercent(value, 2);
const ratio = (value) => formatSigned(value, 2);
const range = (interval) => (interval ? `${ratio(interval.low)} to ${ratio(interval.high)}` : "–");
const confidence = (run) => run.judgement?.confidence;
const held = (run) => run.judgement?.benchmarks.buy_and_hold;

/** Rows of the table: [label, value of a run, format, 1 if more is better, −1 if less is, 0 if neither]. */
const FIGURES = [
  ["Total return", (run) => run.metrics.total_return, percent, 1],
  [HELD_AFTER_COSTS, (run) => held(run)?.total_return ?? null, percent, 0],
  ["Return a year", (run) => run.metrics.cagr, percent, 1],
  ["Sharpe ratio", (run) => run.metrics.sharpe_ratio, ratio, 1],
  ["Its interval, 95 %", (run) => confidence(run)?.sharpe_ratio ?? null, range, 0],
  ["Sortino ratio", (run) => run.metrics.sortino_ratio, ratio, 1],
  ["Max drawdown", (run) => run.metrics.max_drawdown, plain, -1],
  ["Volatility a year", (run) => run.metrics.annual_volatility, plain, 0],
  ["Win rate", (run) => run.metrics.win_rate, plain, 0],
  ["Profit factor", (run) => run.metrics.profit_factor, (value) => formatNumber(value, 2), 1],
  ["Closed trades", (run) => run.metrics.total_trades, formatCount, 0],
  ["In the market", (run) => run.metrics.exposure, plain, 0],
  ["Fees", (run) => run.metrics.total_fees, (value) => formatNumber(value, 2), 0],
  ["Bars", (run) => run.metrics.bars, formatCount, 0],
  ["First bar", (run) => run.metrics.start, formatDay, 0],
  ["Last bar", (run) => run.metrics.end, formatDay, 0],
];

const LEVEL_OK = "NO_OBJECTION";

/** Whether the model of a run was trained on bars of the run: its figures are no forecast. */
function isTrainedOnBars(run) {
  return (run.judgement?.leaks?.training?.bars_seen ?? 0) > 0;
}

/** Why a run may not be marked as best, in words; null if it may. */
function objection(run) {
  if (run.verdict_level !== LEVEL_OK) return verdictWords(run.verdict_level)[0].toLowerCase();
  return isTrainedOnBars(run) ? "its model was trained on these bars" : null;
}

/** What the stars mean, and which runs get none; "" if there are too few runs for any. */
function explainStars(runs) {
  if (runs.length < 2) return "One run alone is never marked as best.";
  const doubted = runs.map(objection).flatMap((why, index) => (why ? [`run ${index + 1} (${why})`] : []));
  if (doubted.length === runs.length) return `No figure is marked as best: not believed are ${doubted.join(", ")}.`;
  const meaning = "★ marks the best of a row; whether it can be told from luck, the intervals say.";
  if (!doubted.length) return meaning;
  return `${meaning} A row is without one if its best is not believed: ${doubted.join(", ")}.`;
}

/** The index of the run to be marked; −1 if the best value is shared, or of a run that is not believed. */
function bestOf(runs, values, direction) {
  if (!direction || runs.length < 2 || values.some((value) => value === null)) return -1;
  const sorted = [...values].sort((one, other) => (other - one) * direction);
  const best = values.indexOf(sorted[0]);
  return sorted[0] === sorted[1] || objection(runs[best]) ? -1 : best;
}

async function loadRun(id, signal) {
  const query = { columns: "date,rebased", points: POINTS };
  const [run, curve] = await Promise.all([getBacktest(id, signal), getSeries(id, query, signal)]);
  return { run, curve };
}

/** {found: [{run, curve}], missing: [{id, error}]}: a run that cannot be read hides no other. */
async function loadRuns(ids, signal) {
  const all = await Promise.all(ids.map((id) => loadRun(id, signal).catch((error) => ({ id, error }))));
  const missing = all.filter(({ error }) => error);
  const aborted = missing.find(({ error }) => error.name === "AbortError");
  if (aborted) throw aborted.error;
  return { found: all.filter(({ error }) => !error), missing };
}

function Missing({ missing, onRemove, onRetry }) {
  return missing.map(
    ({ id, error }) => html`<div key=${id} class="notice notice-error" role="alert">
      <strong>Run ${id.slice(0, 12)} is not shown</strong>
      <p>${error.message}</p>
      <p class="notice-actions">
        <button type="button" class="button" onClick=${onRetry}>Try again</button>
        <button type="button" class="button" onClick=${() => onRemove(id)}>Leave out</button>
      </p>
    </div>`,
  );
}

const spanOf = ({ date }) => Date.parse(date.at(-1)) - Date.parse(date[0]);

/**
 * A curve at the times of the longest one, with its own first and last. Each distinct time takes one place of the axis:
 * where the points of a shorter run lie closer, years would be drawn wider than where there is only the long one.
 */
function alignTo(longest, columns) {
  const [first, last] = [columns.date[0], columns.date.at(-1)];
  if (longest.date[0] === first && longest.date.at(-1) === last) return columns;
  const shared = longest.date.filter((date) => date > first && date < last);
  const own = columns.date.filter((date) => date < longest.date[0] || date > longest.date.at(-1));
  const dates = [...new Set([first, ...own, ...shared, last])].sort();
  return { date: dates, rebased: dates.map((date) => columns.rebased[rowOf(columns.date, date)]) };
}

function Curves({ found }) {
  const place = useRef(null);
  useEffect(() => {
    const chart = new TimeChart(place.current, { label: "Equity of each run, 100 at its start", formatValue: formatAdaptive });
    const longest = found.map(({ curve }) => curve.columns).reduce((one, other) => (spanOf(other) > spanOf(one) ? other : one));
    found.forEach(({ run, curve }, index) => {
      const columns = alignTo(longest, curve.columns);
      const points = toPoints(columns.date, columns.rebased);
      chart.add(run.id, "line", points, { color: `--series-${index + 1}`, lineStyle: index % 3 });
    });
    chart.showAll();
    return () => chart.destroy();
  }, [found]);
  return html`<div class="chart chart-compare" ref=${place}></div>`;
}

function Key({ index }) {
  return html`<svg class="curve-key" width="22" height="10" aria-hidden="true"><line class=${`curve-${index + 1} dash-${index % 3}`} x1="0" x2="22" y1="5" y2="5" /></svg>`;
}

function CurvesTable({ found }) {
  const dates = found[0].curve.columns.date;
  const step = Math.max(1, Math.ceil(dates.length / TABLE_ROWS));
  const rows = dates.filter((_, index) => index % step === 0 || index === dates.length - 1);
  function at({ columns }, date) {
    const isInside = date >= columns.date[0] && date <= columns.date.at(-1);
    return isInside ? formatNumber(columns.rebased[rowOf(columns.date, date)], 2) : "–";
  }
  return html`<details class="twin">
    <summary>Curves as a table</summary>
    <div class="table-wrap table-tall" tabindex="0" role="region" aria-label="Curves">
      <table class="table">
        <thead><tr><th scope="col">Bar (UTC)</th>${found.map(({ run }, index) => html`<th key=${run.id} scope="col" class="number">${index + 1}. ${run.strategy.name}</th>`)}</tr></thead>
        <tbody>${rows.map((date) => html`<tr key=${date}><th scope="row">${formatDay(date)}</th>${found.map(({ run, curve }) => html`<td key=${run.id} class="number">${at(curve, date)}</td>`)}</tr>`)}</tbody>
      </table>
    </div>
  </details>`;
}

const formatIfInstant = (text) => (/^\d{4}-\d\d-\d\dT/.test(text) ? formatInstant(text) : text);

/** The settings in which the runs differ: [name, [text of each run]]. */
function differences(runs) {
  const all = runs.map((run) => ({
    symbol: run.symbol,
    interval: run.interval,
    engine: run.engine,
    ...run.settings,
  }));
  const names = [...new Set(all.flatMap(Object.keys))];
  const text = (value) => formatSetting(value, (one) => formatIfInstant(String(one)));
  return names
    .map((name) => [name, all.map((values) => text(values[name]))])
    .filter(([, texts]) => new Set(texts).size > 1);
}

/** The name of each run, with the settings in which it differs if others have the same name. */
function namesOf(runs) {
  const titles = runs.map(titleOf);
  const differing = differences(runs).slice(0, NAMED_SETTINGS);
  return titles.map((title, index) => {
    if (titles.filter((other) => other === title).length < 2) return title;
    const own = differing.map(([name, texts]) => `${formatName(name).toLowerCase()} ${texts[index]}`);
    return [title, ...(own.length ? own : [runs[index].id.slice(0, 8)])].join(" · ");
  });
}

function Figures({ runs, onRemove }) {
  return html`<section class="panel" aria-labelledby="figures-title">
    <div class="panel-head">
      <h2 id="figures-title">Side by side</h2>
      <span class="muted small">${explainStars(runs)}</span>
    </div>
    <div class="table-wrap" tabindex="0" role="region" aria-labelledby="figures-title">
      <table class="table compare" style=${{ minWidth: `${LABEL_PX + runs.length * RUN_PX}px` }}>
        <thead>
          <tr>
            <th scope="col">Figure</th>
            ${runs.map(
              (run, index) => html`<th key=${run.id} scope="col" class="number">
                <${Key} index=${index} /> ${index + 1}. <a href=${pageUrl(`/runs/${encodeURIComponent(run.id)}`)}>${titleOf(run)}</a>
                <button type="button" class="link-button remove" aria-label=${`Remove run ${index + 1}`} onClick=${() => onRemove(run.id)}>remove</button>
              </th>`,
            )}
          </tr>
        </thead>
        <tbody>
          <tr><th scope="row">Verdict</th>${runs.map((run) => html`<td key=${run.id} class="number"><${Verdict} level=${run.verdict_level} /></td>`)}</tr>
          ${FIGURES.map(([label, read, format, direction]) => {
            const values = runs.map(read);
            const best = bestOf(runs, values, direction);
            return html`<tr key=${label}>
              <th scope="row">${label}</th>
              ${runs.map((run, index) => html`<td key=${run.id} class=${`number ${index === best ? "best" : ""}`}>${index === best && html`<span class="star" title="Best of these runs">★<span class="visually-hidden"> best: </span></span> `}${format(values[index])}</td>`)}
            </tr>`;
          })}
        </tbody>
        <tbody>
          ${differences(runs).map(([name, texts]) => html`<tr key=${name} class="differs"><th scope="row">${formatName(name)}</th>${texts.map((text, index) => html`<td key=${runs[index].id} class="number">${text}</td>`)}</tr>`)}
        </tbody>
      </table>
    </div>
  </section>`;
}

function AddRun({ ids, onAdd }) {
  const user = useUser();
  const [{ data }] = useLoad((signal) => listBacktests({ user_id: user, first: 100 }, signal), [user]);
  const others = (data?.items ?? []).filter((run) => !ids.includes(run.id));
  if (ids.length >= MAX_COMPARED) return html`<span class="muted small">At most ${MAX_COMPARED} runs.</span>`;
  return html`<label class="add-run">
    <span>Add a run</span>
    <select disabled=${others.length === 0} value="" onChange=${(event) => event.currentTarget.value && onAdd(event.currentTarget.value)}>
      <option value="">${others.length ? "Choose …" : "No other runs"}</option>
      ${others.map((run) => html`<option key=${run.id} value=${run.id}>${titleOf(run)} · ${percent(run.total_return)} · ${formatDay(run.created_at)} · ${run.id.slice(0, 8)}</option>`)}
    </select>
  </label>`;
}

function readIds() {
  const ids = (new URLSearchParams(location.search).get("ids") ?? "").split(",").map((id) => id.trim());
  return [...new Set(ids.filter(Boolean))];
}

function Compare() {
  const [allIds, setIds] = useState(readIds);
  const ids = allIds.slice(0, MAX_COMPARED);
  const [{ data, error }, reload] = useLoad((signal) => loadRuns(ids, signal), [ids.join()]);
  useEffect(() => replaceQuery({ ids: allIds.join() }), [allIds]);
  const change = (next, text) => {
    setIds(next);
    announce(text);
  };
  const remove = (id) => change(allIds.filter((other) => other !== id), "Run removed");
  const left = allIds.length - ids.length;
  const head = html`<div class="page-head">
      <h1>Compare runs</h1>
      <${AddRun} ids=${ids} onAdd=${(id) => change([...ids, id], "Run added")} />
    </div>
    ${left > 0 && html`<p class="notice" role="status">Only the first ${MAX_COMPARED} of ${allIds.length} runs are shown.</p>`}`;
  if (ids.length === 0) {
    return html`${head}<${Empty} title="Nothing to compare yet"><p>Choose runs above, or from the list of runs.</p><div class="row"><a class="button" href=${pageUrl("/")}>All runs</a></div><//>`;
  }
  if (error) return html`${head}<${ErrorNotice} error=${error} title="These runs cannot be compared" onRetry=${reload} />`;
  if (!data) return html`${head}<${Skeleton} lines=${12} label="Loading runs" />`;
  const { found, missing } = data;
  const runs = found.map(({ run }) => run);
  const names = namesOf(runs);
  return html`${head}
    <${Missing} missing=${missing} onRemove=${remove} onRetry=${reload} />
    ${found.length > 0 &&
    html`<section class="panel" aria-labelledby="curves-title">
        <div class="panel-head"><h2 id="curves-title">Equity, 100 at the start</h2></div>
        <${Curves} found=${found} />
        <ul class="chart-legend panel-foot">
          ${runs.map((run, index) => html`<li key=${run.id}><${Key} index=${index} /> ${index + 1}. ${names[index]}</li>`)}
        </ul>
        <${CurvesTable} found=${found} />
      </section>
      <${Figures} runs=${runs} onRemove=${remove} />`}`;
}

mount(Compare);
