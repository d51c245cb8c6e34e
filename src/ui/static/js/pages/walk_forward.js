// One walk-forward: its folds on a time line, what each chose and what that did, and how much of the return was left.

import { html, useEffect } from "../../vendor/preact-htm.mjs";
import { getBacktest, getWalkForward, listStrategies } from "../api.js";
import { ErrorNotice, Skeleton, useLoad, Verdict, verdictWords } from "../components.js";
import { formatCount, formatCounted, formatDay, formatName, formatNumber, formatPercent, formatSignedPercent, signClass } from "../format.js";
import { isEnded, JobActions, JobFailure, JobProgress, JobState, useJob } from "../jobs.js";
import { announce, mount, pageUrl } from "../shell.js";
import { FoldLine } from "../sweep/fold_line.js";
import { describeValues, formatMetric } from "../sweep/metrics.js";
import { Settings, titleOf } from "../sweep/settings.js";

const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));

/** Pardo's rule of thumb: under half of the return is taken for a sign of overfitting. */
const USUAL_EFFICIENCY = 0.5;

function describeEfficiency({ efficiency }) {
  if (efficiency === null) {
    return "The training windows did not gain with the rows that were chosen, so there is no efficiency: nothing was found that could carry over.";
  }
  const kept = formatPercent(efficiency * 100, 0);
  if (efficiency <= 0) return `The tests lost: nothing of the return in training carried over (efficiency ${kept}).`;
  if (efficiency < USUAL_EFFICIENCY) {
    return `The tests kept ${kept} of the return that the choices had in training. Under 50 % is commonly taken as overfitted.`;
  }
  return `The tests kept ${kept} of the return that the choices had in training, bar for bar.`;
}

function Conclusion({ walk }) {
  const { conclusion, job } = walk;
  const resultId = conclusion?.is_stored ? conclusion.result_id : null;
  const [run] = useLoad(async (signal) => (resultId ? getBacktest(resultId, signal) : null), [resultId]);
  if (!conclusion) {
    const words = isEnded(job) ? "It ended before all folds were traded, so it has no efficiency." : "Not done yet: the efficiency is known when all folds are traded.";
    return html`<section class="panel evidence" aria-labelledby="carries">
      <div class="panel-head"><h2 id="carries">Does the choice carry over?</h2></div>
      <p class="panel-body evidence-sentence">${words}</p>
    </section>`;
  }
  const isPoor = conclusion.efficiency === null || conclusion.efficiency < USUAL_EFFICIENCY;
  const level = run.data?.verdict_level;
  return html`<section class="panel evidence" data-level=${isPoor ? "DOUBTFUL" : "NONE"} aria-labelledby="carries">
    <div class="panel-head">
      <h2 id="carries">Does the choice carry over?</h2>
      ${resultId
        ? html`<a class="button button-small" href=${pageUrl(`/runs/${encodeURIComponent(resultId)}`)}>Tear sheet of all tests</a>`
        : html`<span class="small muted">The run of all tests was deleted</span>`}
    </div>
    <div class="panel-body stack">
      <p class="evidence-sentence">${describeEfficiency(conclusion)}</p>
      <p>
        ${`${formatCount(conclusion.profitable_folds)} of ${formatCounted(conclusion.folds, "test")} gained. `}
        ${`${formatCounted(conclusion.distinct_choices, "different combination was", "different combinations were")} chosen: the fewer, the steadier the choice.`}
      </p>
      ${level &&
      html`<p>The tests, one after another, are one run: <${Verdict} level=${level} /> <span class="muted">${verdictWords(level)[1]}</span></p>`}
      ${run.error && html`<p class="small loss">${run.error.message}</p>`}
      ${conclusion.warnings.length > 0 &&
      html`<ul class="warnings">
        ${conclusion.warnings.map((text, index) => html`<li key=${index}>${text}</li>`)}
      </ul>`}
    </div>
  </section>`;
}

function Folds({ folds, metric }) {
  return html`<section class="panel" aria-labelledby="folds">
    <div class="panel-head"><h2 id="folds">Folds</h2></div>
    <div class="panel-body"><${FoldLine} folds=${folds} /></div>
    <div class="table-wrap" role="region" aria-labelledby="folds" tabindex="0">
      <table class="table table-wraps">
        <caption class="visually-hidden">What each fold chose in training, and what that did in its test</caption>
        <thead>
          <tr>
            <th scope="col" class="number">Fold</th>
            <th scope="col">Training</th>
            <th scope="col">Test</th>
            <th scope="col">Chosen</th>
            <th scope="col" class="number">Return in training</th>
            <th scope="col" class="number">Return in test</th>
            <th scope="col" class="number">${formatName(metric)} in training</th>
            <th scope="col" class="number">${formatName(metric)} in test</th>
            <th scope="col" class="number">Trades in test</th>
          </tr>
        </thead>
        <tbody>
          ${folds.map(
            (fold) => html`<tr key=${fold.number} data-fold=${fold.number}>
              <td class="number">${formatCount(fold.number)}</td>
              <td class="nowrap">${formatDay(fold.train_start)} – ${formatDay(fold.train_end)}</td>
              <td class="nowrap">${formatDay(fold.test_start)} – ${formatDay(fold.test_end)}</td>
              <td class="cell-values">${fold.row === null ? "none: stays flat" : describeValues(fold.values)}</td>
              <td class=${`number ${signClass(fold.return_in_sample)}`}>${formatSignedPercent(fold.return_in_sample)}</td>
              <td class=${`number ${signClass(fold.return_out_of_sample)}`}>${formatSignedPercent(fold.return_out_of_sample)}</td>
              <td class="number">${formatMetric(metric, fold.objective_in_sample)}</td>
              <td class="number">${formatMetric(metric, fold.objective_out_of_sample)}</td>
              <td class="number">${formatCount(fold.trades_out_of_sample)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function Windows({ settings }) {
  const facts = [
    ["Window", settings.window],
    ["Training", formatCounted(settings.train_bars, "bar")],
    ["Test", formatCounted(settings.test_bars, "bar")],
    ["Step", formatCounted(settings.step_bars, "bar")],
    ["Purged", formatCounted(settings.purge_bars, "bar")],
    ["Embargo", formatCounted(settings.embargo_bars, "bar")],
  ];
  return html`<p class="small muted windows">${facts.map(([name, text]) => `${name} ${typeof text === "string" ? text.toLowerCase() : formatNumber(text)}`).join(" · ")}</p>`;
}

function WalkForward() {
  const [{ data, error }, reload] = useLoad((signal) => getWalkForward(id, signal), []);
  const [catalog] = useLoad(listStrategies, []);
  const [job, followError, setJob] = useJob(data?.job ?? null);
  useEffect(() => {
    if (data) document.title = `Walk-forward of ${titleOf(data.settings.sweep, catalog.data)} · Backtesting`;
  }, [data, catalog.data]);
  useEffect(() => {
    // Folds, and what was found, come with the walk-forward, not with its job.
    if (!data || !job || (data.job.state === job.state && data.job.done === job.done)) return;
    if (isEnded(job)) announce(`The walk-forward is ${job.state.toLowerCase()}`);
    reload();
  }, [job?.state, job?.done]);
  if (error) return html`<h1>Walk-forward</h1><${ErrorNotice} error=${error} title="This walk-forward cannot be shown" onRetry=${reload} />`;
  if (!data || !job) return html`<h1 class="visually-hidden">Walk-forward</h1><${Skeleton} lines=${14} label="Loading the walk-forward" />`;
  const { settings, folds } = data;
  const { metric } = settings.sweep.objective;
  return html`
    <div class="page-head">
      <h1>Walk-forward of ${titleOf(settings.sweep, catalog.data)}</h1>
      <${JobState} state=${job.state} />
      <${JobActions} job=${job} name="this walk-forward" onJob=${setJob} onDeleted=${() => location.assign(pageUrl("/jobs"))} />
    </div>
    <section class="panel panel-body job-progress" aria-label="Progress">
      <${JobProgress} job=${job} label="Progress of this walk-forward" />
      <${Windows} settings=${settings} />
      <${JobFailure} job=${job} />
      ${followError && html`<p class="small loss">${followError.message}</p>`}
    </section>
    <${Conclusion} walk=${{ ...data, job }} />
    ${folds.length > 0
      ? html`<${Folds} folds=${folds} metric=${metric} />`
      : html`<div class="panel panel-body muted">No fold is done yet. They appear here one by one.</div>`}
    <${Settings} settings=${settings.sweep} catalog=${catalog.data} />
  `;
}

mount(WalkForward);
