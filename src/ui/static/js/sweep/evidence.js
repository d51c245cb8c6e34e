// Whether to believe the best row: each check in words, and one sentence over all. The checks are the service's; the
// limits that turn them into words are those that it names (5 %, and what sweeps without any edge give).

import { html } from "../../vendor/preact-htm.mjs";
import { getBacktest } from "../api.js";
import { useLoad, Verdict, verdictWords } from "../components.js";
import { formatCount, formatCounted, formatNumber, formatPercent } from "../format.js";
import { pageUrl } from "../shell.js";
import { formatMetric } from "./metrics.js";

const USUAL = 0.05;
const asPercent = (share) => formatPercent(share * 100, 1);

const CRITERIA = { sharpe_ratio: "Sharpe ratio", total_return: "total return", annual_volatility: "volatility" };

function judgeOverfitting(found) {
  if (!found) return { value: null, isObjection: null, text: "Not estimated: too few rows or bars." };
  const range = `${formatNumber(found.pbo_noise_low)} to ${formatNumber(found.pbo_noise_high)}`;
  const isObjection = found.pbo >= found.pbo_noise_low;
  const criterion = `${found.direction === "MINIMIZE" ? "lowest" : "highest"} ${CRITERIA[found.criterion]}`;
  const meaning = isObjection
    ? "The choice does no better than a choice among rows without any edge."
    : "The choice does better than a choice among rows without any edge.";
  return {
    value: formatNumber(found.pbo),
    isObjection,
    why: "its choice is as overfitted as one among rows without any edge",
    text: `In ${asPercent(found.pbo)} of the splits, the row that is best on one half of the bars (by the ${criterion}) is below the median on the other. Without any edge it is ${range}. ${meaning} It loses there in ${asPercent(found.probability_of_loss)}.`,
  };
}

function judgeSuperiority(found) {
  if (!found) return { value: null, isObjection: null, text: "Not tested: too few rows or bars." };
  const isObjection = found.p_value > USUAL;
  return {
    value: `p = ${formatNumber(found.p_value, 3)}`,
    isObjection,
    why: "it does not beat buying and holding by more than chance allows",
    text: `If no row were better than buying and holding, the best of ${formatCount(found.rows)} would look this good with probability ${asPercent(found.p_value)}. ${formatCounted(found.superior_rows, "row beats", "rows beat")} it each on its own.`,
  };
}

function judgeTiming(found, best) {
  const untested = { value: null, isObjection: null };
  if (!found) return { ...untested, text: "Not tested: no row trades often enough, with times out of the market between." };
  const shown = (p) => `p = ${formatNumber(p, 3)}`;
  const leader = found.row === best.row ? "" : ` The timing of row ${found.row} stands out most (${shown(found.p_value)}).`;
  if (found.p_value_of_best === null) {
    return { ...untested, text: `Not tested: the best row trades too seldom, or is always in the market.${leader}` };
  }
  const isObjection = found.p_value_of_best > USUAL;
  const meaning = isObjection
    ? "So it is not shown that it matters when it bought and sold."
    : "So luck hardly explains when it bought and sold.";
  return {
    value: shown(found.p_value_of_best),
    isObjection,
    why: "one of so many rows would do as well at other times by luck",
    text: `With the trades of all ${formatCounted(found.rows, "row")} moved to other times, one of them does as well as the best row in ${asPercent(found.p_value_of_best)} of cases. ${meaning}${leader}`,
  };
}

function judgeDeflation(found, trials) {
  const known = [found?.dsr, found?.dsr_dependent].filter((one) => one !== null && one !== undefined);
  if (!known.length) return { value: null, isObjection: null, text: "Not known: its result is gone, or too short." };
  const chance = Math.min(...known);
  const isObjection = chance < 1 - USUAL;
  return {
    value: asPercent(chance),
    isObjection,
    why: `after ${formatCounted(found.trials, "trial")} its Sharpe ratio is not told from luck`,
    text: `Probability that its true Sharpe ratio is over ${formatNumber(found.sharpe_hurdle)}, which the best of ${formatCounted(found.trials, "trial")} without an edge is expected to reach (they amount to ${formatCount(found.trials_effective)} independent ones). ${formatCount(trials)} were counted when the sweep ended.`,
  };
}

function describeStability(found, metric) {
  if (!found || !found.neighbors) return { value: null, isObjection: null, isNote: true, text: "No neighbors in the grid." };
  return {
    value: `${formatMetric(metric, found.neighbors_mean)} on average`,
    isObjection: null,
    isNote: true,
    text: `The best row has ${formatMetric(metric, found.best)}; its ${formatCounted(found.neighbors, "neighbor")} in the grid ${formatMetric(metric, found.neighbors_mean)} on average and ${formatMetric(metric, found.neighbors_worst)} at worst. A peak that stands alone is more likely luck than a plateau.`,
  };
}

function judgeRun(run) {
  if (!run) return { value: null, isObjection: null, text: "Its run was deleted, or is not loaded." };
  const [words, meaning] = verdictWords(run.verdict_level);
  return {
    value: html`<${Verdict} level=${run.verdict_level} />`,
    isObjection: run.verdict_level ? run.verdict_level !== "NO_OBJECTION" : null,
    why: `the verdict on its own run is “${words.toLowerCase()}”`,
    text: html`${meaning} <a href=${pageUrl(`/runs/${encodeURIComponent(run.id)}`)}>Open its tear sheet</a>`,
  };
}

const UNFINISHED = {
  CANCELLED: "Cancelled before it was done, so nothing tests the best one.",
  FAILED: "It failed before it was done, so nothing tests the best one.",
};

function conclude(sweep, checks) {
  const { job, conclusion } = sweep;
  if (!conclusion) {
    const words = UNFINISHED[job.state] ?? "Not done yet: nothing can be said about the best row before all rows are there.";
    return { level: "NONE", words };
  }
  if (!conclusion.best.length) {
    return { level: "NONE", words: "No row can be the best: none has enough trades and meets the constraints." };
  }
  const objections = checks.filter(({ isObjection }) => isObjection);
  if (objections.length) {
    return { level: "DOUBTFUL", words: `Do not believe the best row: ${objections.map(({ why }) => why).join("; ")}.` };
  }
  const tests = checks.filter(({ isNote }) => !isNote);
  if (tests.every(({ isObjection }) => isObjection === null)) {
    return { level: "NONE", words: "Nothing could test the best row, so do not believe it yet." };
  }
  const isPartial = tests.some(({ isObjection }) => isObjection === null);
  return {
    level: "NO_OBJECTION",
    words: isPartial
      ? "No check objects to the best row, but not all of them could be made."
      : "No check objects to the best row, which does not mean that it will do well.",
  };
}

const MARKS = { true: "!", false: "✓", null: "·" };
const SAID = { true: "Objection: ", false: "No objection: ", null: "" };

/** The sentence, and the checks beside it. */
export function Evidence({ sweep }) {
  const { conclusion, deflation, settings } = sweep;
  const best = conclusion?.best[0];
  const bestId = best?.is_stored ? best.result_id : null;
  const [run] = useLoad(async (signal) => (bestId ? getBacktest(bestId, signal) : null), [bestId]);
  const checks = conclusion?.best.length
    ? [
        { name: "Overfitting (PBO)", ...judgeOverfitting(conclusion.overfitting) },
        { name: "Against buying and holding (SPA)", ...judgeSuperiority(conclusion.superiority) },
        { name: "When it traded", ...judgeTiming(conclusion.timing, best) },
        { name: "After all trials", ...judgeDeflation(deflation, conclusion.trials) },
        { name: "Its own run", ...judgeRun(run.data) },
        { name: "Neighbors", ...describeStability(conclusion.stability, settings.objective.metric) },
      ]
    : [];
  const { level, words } = conclude(sweep, checks);
  return html`<section class="panel evidence" data-level=${level} aria-labelledby="believe">
    <div class="panel-head"><h2 id="believe">Is the best row to be believed?</h2></div>
    <div class="panel-body stack">
      <p class="evidence-sentence" aria-busy=${Boolean(bestId) && run.isLoading}>${words}</p>
      ${checks.length > 0 &&
      html`<dl class="checks">
        ${checks.map(
          ({ name, value, text, isObjection }) => html`<div key=${name} class="check-item" data-objection=${String(isObjection)}>
            <dt><span class="check-mark" aria-hidden="true">${MARKS[isObjection]}</span><span class="visually-hidden">${SAID[isObjection]}</span>${name}</dt>
            <dd>
              ${value !== null && html`<span class="check-value">${value}</span>`}
              <span class="small muted">${text}</span>
            </dd>
          </div>`,
        )}
      </dl>`}
      ${conclusion?.warnings.length > 0 &&
      html`<ul class="warnings">
        ${conclusion.warnings.map((text, index) => html`<li key=${index}>${text}</li>`)}
      </ul>`}
    </div>
  </section>`;
}
