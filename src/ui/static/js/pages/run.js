// The page of one run: loads what its tear sheet shows.

import { html, useEffect, useState } from "../../vendor/preact-htm.mjs";
import { deleteBacktest, getSeries, getTearSheet, listFills, reportUrl, rerunBacktest } from "../api.js";
import { ConfirmDelete, ErrorNotice, Skeleton, useLoad } from "../components.js";
import { announce, mount, pageUrl, useUser } from "../shell.js";
import { Sheet, titleOf } from "../tearsheet/sheet.js";

const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));

/** Deletes the run and returns to the list; only for the user whose run it is. */
function Remove({ run }) {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState(null);
  if (run.user_id !== useUser()) return null;
  async function remove() {
    setAsking(false);
    try {
      await deleteBacktest(run.id, run.user_id);
      location.assign(pageUrl("/"));
    } catch (failure) {
      setError(failure);
    }
  }
  return html`
    <button type="button" class="button button-small" onClick=${() => setAsking(true)}>Delete</button>
    ${isAsking && html`<${ConfirmDelete} title="Delete this run?" onDelete=${remove} onClose=${() => setAsking(false)} />`}
    ${error && html`<${ErrorNotice} error=${error} title="It was not deleted" />`}
  `;
}

function Buttons({ run }) {
  return html`
    <a class="button button-small" href=${`${pageUrl("/new")}?from=${encodeURIComponent(run.id)}`}>Change and run</a>
    <a class="button button-small" href=${`${pageUrl("/compare")}?ids=${encodeURIComponent(run.id)}`}>Compare</a>
    <a class="button button-small" href=${reportUrl(run.id)} download=${`tear-sheet-${run.id}.html`}>Export report</a>
    <${Remove} run=${run} />
  `;
}

const actions = { rerun: () => rerunBacktest(id), runUrl: (other) => pageUrl(`/runs/${encodeURIComponent(other)}`) };

function Run() {
  const [{ data, error }, reload] = useLoad((signal) => getTearSheet(id, signal), []);
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
