// Jobs: their states in words, following one until it has ended, and what its user can do with it.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.mjs";
import { cancelJob, deleteJob, getJob, openJobEvents, resumeJob } from "./api.js";
import { ConfirmDelete, ErrorNotice, Progress } from "./components.js";
import { formatCount, formatDuration, formatName, formatNumber } from "./format.js";
import { announce, pageUrl, useUser } from "./shell.js";

const POLL_MS = 2000;
/** A stream sends the job at once; a proxy that holds events back sends nothing. */
const FIRST_EVENT_MS = 5000;

const STATES = {
  QUEUED: ["Waiting", "It begins, or goes on, when a slot is free; users take turns.", "○"],
  RUNNING: ["Running", "It computes, and stores what is done.", "▶"],
  CANCELLING: ["Stopping", "It stops after the work in hand.", "◔"],
  CANCELLED: ["Cancelled", "What was computed is stored. It can be resumed.", "■"],
  SUCCEEDED: ["Done", "All of it is computed and stored.", "✓"],
  FAILED: ["Failed", "It ended with an error. What was computed is stored.", "✕"],
  INTERRUPTED: ["Interrupted", "Its process ended. It is continued when a slot is free.", "!"],
};
const ENDED = ["CANCELLED", "SUCCEEDED", "FAILED"];
const RESUMABLE = ["CANCELLED", "FAILED", "INTERRUPTED"];
const KINDS = {
  SWEEP: ["Sweep", "rows", (job) => `/sweeps/${encodeURIComponent(job.id)}`],
  WALK_FORWARD: ["Walk-forward", "folds", (job) => `/walk-forwards/${encodeURIComponent(job.id)}`],
  PORTFOLIO: ["Portfolio", "symbols", (job) => `/portfolios/${encodeURIComponent(job.id)}`],
  BACKTEST: ["Backtest", "steps", (job) => job.result_id && `/runs/${encodeURIComponent(job.result_id)}`],
};

/** What a job does in a fold or once its units are done, and whether its steps are worth counting. */
const STAGES = {
  TRAINING: ["trying the rows of the present fold", true],
  BEST: ["running the best rows", true],
  OVERFITTING: ["measuring how much the choice is overfitted", false],
  SUPERIORITY: ["testing the rows against buying and holding", true],
  TIMING: ["testing when the rows trade", true],
  BARS: ["reading the bars of the symbols", true],
  TRADE: ["trading all symbols with one cash", false],
  RESULT: ["running the tests one after another", false],
};

export const JOB_STATES = Object.entries(STATES).map(([state, [words]]) => [state, words]);
export const isEnded = (job) => ENDED.includes(job.state);
export const kindWords = (job) => KINDS[job.kind]?.[0] ?? job.kind;
export const unitWords = (job) => KINDS[job.kind]?.[1] ?? "units";

/** The page that shows what a job makes; null if there is none yet. */
export function jobPage(job) {
  const path = KINDS[job.kind]?.[2](job);
  return path ? pageUrl(path) : null;
}

/** "MA Crossover on BTCUSDT 1d · simulated · sweeps Fast, Slow"; empty if it is not known. */
export function describeSubject({ subject }, catalog) {
  if (!subject) return "";
  const label = catalog?.strategies.find(({ name }) => name === subject.strategy)?.label ?? formatName(subject.strategy);
  return [
    `${label} on ${subject.symbol} ${subject.interval}`,
    subject.source ?? "",
    subject.model ?? "",
    subject.swept.length ? `sweeps ${subject.swept.map(formatName).join(", ")}` : "",
  ]
    .filter(Boolean)
    .join(" · ");
}

export function JobState({ state }) {
  const [words, meaning, mark] = STATES[state] ?? [state, "", "·"];
  return html`<span class="verdict job-state" data-state=${state} title=${meaning}>
    <span class="verdict-mark" aria-hidden="true">${mark}</span>${words}
  </span>`;
}

/**
 * Follow a job until it has ended: by events if they come, else by asking again; not while the page is hidden.
 * Returns a function that ends it.
 */
export function followJob(id, { onJob, onError }) {
  const controller = new AbortController();
  let source = null;
  let timer;
  let isPolling = false;
  function stop() {
    controller.abort();
    pause();
    document.removeEventListener("visibilitychange", onVisibility);
  }
  function pause() {
    source?.close();
    source = null;
    clearTimeout(timer);
  }
  function take(job) {
    if (controller.signal.aborted) return;
    onJob(job);
    if (isEnded(job)) stop();
  }
  async function poll() {
    try {
      take(await getJob(id, controller.signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      onError(error);
      if (error.status === 404) stop();
    }
    if (!controller.signal.aborted && !document.hidden) timer = setTimeout(poll, POLL_MS);
  }
  function pollInstead() {
    pause();
    isPolling = true;
    poll();
  }
  function listen() {
    source = openJobEvents(id);
    timer = setTimeout(pollInstead, FIRST_EVENT_MS);
    source.addEventListener("progress", (event) => {
      clearTimeout(timer);
      take(JSON.parse(event.data));
    });
    source.addEventListener("error", pollInstead);
  }
  function begin() {
    if (isPolling) poll();
    else listen();
  }
  function onVisibility() {
    pause();
    if (!document.hidden) begin();
  }
  document.addEventListener("visibilitychange", onVisibility);
  if (!document.hidden) begin();
  return stop;
}

/** [job, error, setJob]: `first` as it was loaded, followed until it has ended. */
export function useJob(first, isFollowed = true) {
  const [job, setJob] = useState(first);
  const [error, setError] = useState(null);
  useEffect(() => {
    // A list that was asked for before the last event is older than what is shown.
    setJob((old) => (old && first && !isEnded(old) && !isEnded(first) && first.done < old.done ? old : first));
  }, [first]);
  const isOpen = Boolean(job) && isFollowed && !isEnded(job);
  useEffect(() => {
    if (!isOpen) return undefined;
    return followJob(job.id, {
      onJob: (next) => {
        setJob(next);
        setError(null);
      },
      onError: setError,
    });
  }, [job?.id, isOpen]);
  return [job, error, setJob];
}

/** "running the best rows, 3 of 10" */
function describeStage({ name, done, total }) {
  const [words, isCounted] = STAGES[name] ?? [name.toLowerCase(), true];
  return isCounted ? `${words}, ${formatCount(done)} of ${formatCount(total)}` : words;
}

/** The share of a job's present work that is done; null if that is not known. */
function shareDone(job) {
  if (job.stage?.name === "TRAINING" && job.total) return (job.done + job.stage.done / job.stage.total) / job.total;
  if (job.stage) return job.stage.total ? job.stage.done / job.stage.total : null;
  if (job.total) return job.done / job.total;
  return !isEnded(job) && job.state !== "QUEUED" ? null : 0;
}

/** "1,200 of 4,950 rows · 830 rows a second · about 5 s left" */
export function describeProgress(job) {
  const unit = unitWords(job);
  const parts = [
    job.total === null ? `${formatCount(job.done)} ${unit} done` : `${formatCount(job.done)} of ${formatCount(job.total)} ${unit}`,
  ];
  if (job.state === "RUNNING" && job.rate) parts.push(`${formatNumber(job.rate, job.rate < 10 ? 1 : 0)} ${unit} a second`);
  if (job.eta_seconds !== null) parts.push(`about ${formatDuration(job.eta_seconds)} left`);
  if (job.stage) parts.push(describeStage(job.stage));
  if (job.attempt > 1) parts.push(`attempt ${formatCount(job.attempt)}`);
  return parts.join(" · ");
}

export function JobProgress({ job, label }) {
  return html`<div class="job-progress">
    ${(!isEnded(job) || job.state !== "SUCCEEDED") && html`<${Progress} share=${shareDone(job)} label=${label} />`}
    <p class="small muted">${describeProgress(job)}</p>
  </div>`;
}

/** Why a job failed, in the service's words. */
export function JobFailure({ job }) {
  if (!job.error) return null;
  return html`<p class="small loss">${job.error.message} <span class="mono">${job.error.code}</span></p>`;
}

/** Cancel, resume, delete: what the job's state allows, for its own user. */
export function JobActions({ job, onJob, onDeleted, name }) {
  const user = useUser();
  const [isAsking, setAsking] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const group = useRef(null);
  if (user !== job.user_id) return null;
  async function act(send, words) {
    setBusy(true);
    setError(null);
    try {
      const next = await send(job.id, user);
      announce(words);
      if (next) onJob(next);
      // The button that was pressed is gone; without this the focus would be lost with it.
      requestAnimationFrame(() => group.current?.querySelector("button")?.focus());
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  }
  async function remove() {
    setError(null);
    try {
      await deleteJob(job.id, user);
      announce(`${name} is deleted`);
      onDeleted();
    } catch (failure) {
      setError(failure);
    }
    setAsking(false);
  }
  const canCancel = !isEnded(job) && job.state !== "CANCELLING";
  return html`<div class="job-actions" ref=${group}>
    ${canCancel &&
    html`<button type="button" class="button button-small" disabled=${isBusy} aria-label=${`Cancel ${name}`} onClick=${() => act(cancelJob, "It is being cancelled")}>
      Cancel
    </button>`}
    ${RESUMABLE.includes(job.state) &&
    html`<button type="button" class="button button-small" disabled=${isBusy} aria-label=${`Resume ${name}`} onClick=${() => act(resumeJob, "It is continued")}>
      Resume
    </button>`}
    ${isEnded(job) &&
    html`<button type="button" class="button button-quiet button-small" disabled=${isBusy} aria-label=${`Delete ${name}`} onClick=${() => setAsking(true)}>
      Delete
    </button>`}
    ${error && html`<${ErrorNotice} error=${error} title="That was not done" />`}
    ${isAsking && html`<${ConfirmDelete} title=${`Delete ${name}?`} text="Its rows are gone for good. Stored results and counted trials stay." onDelete=${remove} onClose=${() => setAsking(false)} />`}
  </div>`;
}
