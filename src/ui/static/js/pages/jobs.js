// The jobs of a user: what runs, how far it is, and what became of the others.

import { html, useEffect, useState } from "../../vendor/preact-htm.mjs";
import { listJobs, listStrategies } from "../api.js";
import { Empty, ErrorNotice, Skeleton, useLoad } from "../components.js";
import { formatCounted, formatInstant, formatNumber } from "../format.js";
import { describeSubject, isEnded, JobActions, JobFailure, jobPage, JobProgress, JobState, JOB_STATES, kindWords, useJob } from "../jobs.js";
import { announce, mount, pageUrl, replaceQuery, useUser } from "../shell.js";

const PAGE_SIZE = 50;
/** The first page is asked for again: jobs may begin elsewhere, and only some are followed. */
const REFRESH_MS = 5000;
/** Each stream holds a connection, of which a browser opens six to a host. */
const MAX_STREAMS = 3;

function useJobs(user, state) {
  const [first, reload] = useLoad((signal) => listJobs({ user_id: user, state, first: PAGE_SIZE }, signal), [user, state]);
  const [more, setMore] = useState({ items: [], cursor: null, error: null, isLoading: false });
  useEffect(() => setMore({ items: [], cursor: null, error: null, isLoading: false }), [user, state]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  const cursor = more.items.length ? more.cursor : (first.data?.next_cursor ?? null);
  async function loadMore() {
    setMore((old) => ({ ...old, error: null, isLoading: true }));
    try {
      const page = await listJobs({ user_id: user, state, first: PAGE_SIZE, after: cursor });
      setMore((old) => ({ items: [...old.items, ...page.items], cursor: page.next_cursor, error: null, isLoading: false }));
      announce(`${page.items.length} more jobs`);
    } catch (error) {
      setMore((old) => ({ ...old, error, isLoading: false }));
    }
  }
  const firstItems = first.data?.items ?? [];
  const known = new Set(firstItems.map(({ id }) => id));
  const items = [...firstItems, ...more.items.filter(({ id }) => !known.has(id))];
  return { items, first, reload, cursor, more, loadMore };
}

function JobRow({ listed, catalog, isFollowed, onChanged }) {
  const [job, error, setJob] = useJob(listed, isFollowed);
  const page = jobPage(job);
  const subject = describeSubject(job, catalog);
  const name = `the ${kindWords(job).toLowerCase()} of ${formatInstant(job.created_at)}`;
  return html`<li class="job" data-job=${job.id}>
    <div class="job-head">
      <h2>${page ? html`<a href=${page}>${kindWords(job)}</a>` : kindWords(job)}</h2>
      <${JobState} state=${job.state} />
      <span class="small muted grow">asked for ${formatInstant(job.created_at)}${job.ended_at ? ` · ended ${formatInstant(job.ended_at)}` : ""}</span>
      <${JobActions}
        job=${job}
        name=${name}
        onJob=${(next) => {
          setJob(next);
          onChanged();
        }}
        onDeleted=${onChanged}
      />
    </div>
    ${subject && html`<p class="job-subject">${subject}</p>`}
    <${JobProgress} job=${job} label=${`Progress of ${name}`} />
    ${job.best_so_far !== null && html`<p class="small">Best objective${isEnded(job) ? "" : " so far"}: <b>${formatNumber(job.best_so_far, 4, false)}</b></p>`}
    <${JobFailure} job=${job} />
    ${error && html`<p class="small loss">${error.message}</p>`}
    ${job.warnings.length > 0 &&
    html`<details>
      <summary class="small">${formatCounted(job.warnings.length, "warning")}</summary>
      <ul class="warnings">
        ${job.warnings.map((text, index) => html`<li key=${index}>${text}</li>`)}
      </ul>
    </details>`}
  </li>`;
}

function Nothing({ user, state }) {
  if (state) return html`<${Empty} title="No job in this state"><p>${user} has none.</p><//>`;
  return html`<${Empty} title="No jobs yet">
    <p>A sweep tries many combinations of a strategy's parameters, and tells how much of the best one is luck.</p>
    <div class="row"><a class="button button-primary button-large" href=${pageUrl("/sweeps/new")}>Start a sweep</a></div>
  <//>`;
}

function Jobs() {
  const user = useUser();
  const [state, setState] = useState(new URLSearchParams(location.search).get("state") ?? "");
  const { items, first, reload, cursor, more, loadMore } = useJobs(user, state);
  const [catalog] = useLoad(listStrategies, []);
  useEffect(() => replaceQuery({ state }), [state]);
  const followed = new Set(items.filter((job) => !isEnded(job)).slice(0, MAX_STREAMS).map(({ id }) => id));
  const isFirst = !first.data && first.isLoading;
  return html`
    <div class="page-head">
      <h1>Jobs</h1>
      <label class="filter"
        ><span>State</span>
        <select value=${state} onChange=${(event) => setState(event.currentTarget.value)}>
          <option value="">all</option>
          ${JOB_STATES.map(([name, words]) => html`<option key=${name} value=${name}>${words}</option>`)}
        </select>
      </label>
      <a class="button" href=${pageUrl("/portfolios/new")}>New portfolio</a>
      <a class="button button-primary" href=${pageUrl("/sweeps/new")}>New sweep</a>
    </div>
    ${first.error && html`<${ErrorNotice} error=${first.error} onRetry=${reload} title="The jobs cannot be shown" />`}
    ${first.data?.warnings.map((text, index) => html`<div class="notice" role="status" key=${index}>${text}</div>`)}
    ${!first.error &&
    html`<section class="panel" aria-label="Jobs" aria-busy=${isFirst}>
      ${isFirst && html`<${Skeleton} lines=${6} label="Loading jobs" />`}
      ${!isFirst && !items.length && html`<${Nothing} user=${user} state=${state} />`}
      ${items.length > 0 &&
      html`<ul class="jobs">
        ${items.map((job) => html`<${JobRow} key=${job.id} listed=${job} catalog=${catalog.data} isFollowed=${followed.has(job.id)} onChanged=${reload} />`)}
      </ul>`}
    </section>`}
    ${cursor &&
    html`<div class="list-foot">
      <span class="muted small">${formatCounted(items.length, "loaded job")}</span>
      <button type="button" class="button button-small" disabled=${more.isLoading} onClick=${loadMore}>${more.isLoading ? "Loading …" : "Load more"}</button>
    </div>`}
    ${more.error && html`<${ErrorNotice} error=${more.error} onRetry=${loadMore} />`}
  `;
}

mount(Jobs);
