// Bars: where they come from, what is missing in them, the user's own datasets, and downloads in progress.

import { html, useEffect, useState } from "../../vendor/preact-htm.mjs";
import { deleteDataset, getOpenApi, getQuality, listDatasets, uploadBars } from "../api.js";
import { Dialog, ErrorNotice, Field, Progress, Skeleton, useLoad } from "../components.js";
import { DownloadList, useDownloads } from "../downloads.js";
import { DropZone } from "../dropzone.js";
import { ParameterField, parametersOf, toValue } from "../form.js";
import { formatBytes, formatCount, formatCounted, formatDay, formatInstant } from "../format.js";
import { announce, mount, pageUrl, replaceQuery, useUser } from "../shell.js";
import { TimeLine } from "../timeline.js";

const SIMULATED = "simulated";
const FIELDS = ["symbol", "interval", "start_date", "end_date", "limit", "seed"];
const UPLOAD_FIRST = ["symbol", "name", "interval"];
const UPLOAD_OTHERS = ["timezone", "unit", "date_format", "decimal"];
const EXTENSIONS = ".csv,.csv.gz,.gz,.parquet";
const SHOWN_GAPS = 50;

async function loadForms(signal) {
  const { paths, components } = await getOpenApi(signal);
  const query = paths["/api/data/quality"].get.parameters;
  const properties = Object.fromEntries(
    query.map(({ name, schema, description }) => [name, { ...schema, description: description ?? schema.description }]),
  );
  const form = paths["/api/data/upload"].post.requestBody.content["multipart/form-data"].schema;
  return { market: parametersOf({ properties }, components), upload: parametersOf(form, components) };
}

function Facts({ facts }) {
  return html`<dl class="facts">
    ${facts.map(
      ([name, value, isBad]) => html`<div key=${name}>
        <dt>${name}</dt>
        <dd class=${isBad ? "loss" : ""}>${value}</dd>
      </div>`,
    )}
  </dl>`;
}

function Gaps({ gaps }) {
  if (!gaps.length) return null;
  return html`<details open=${gaps.length <= 8}>
    <summary>${formatCounted(gaps.length, "gap")}</summary>
    <div class="table-wrap" role="region" aria-label="Gaps" tabindex="0">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Last bar before (UTC)</th>
            <th scope="col">First bar after (UTC)</th>
            <th scope="col" class="number">Missing bars</th>
          </tr>
        </thead>
        <tbody>
          ${gaps.slice(0, SHOWN_GAPS).map(
            (gap) => html`<tr key=${gap.after}>
              <td>${formatInstant(gap.after)}</td>
              <td>${formatInstant(gap.next)}</td>
              <td class="number">${formatCount(gap.missing_bars)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${gaps.length > SHOWN_GAPS && html`<p class="help">The first ${SHOWN_GAPS} of ${formatCount(gaps.length)}; the time line has all.</p>`}
  </details>`;
}

function Quality({ report }) {
  const facts = [
    ["Bars", `${formatCount(report.present_bars)} of ${formatCount(report.expected_bars)}`, report.missing_bars > 0],
    ["Missing", formatCount(report.missing_bars), report.missing_bars > 0],
    ["Rejected rows", formatCount(report.rejected_rows.length), report.rejected_rows.length > 0],
    ["Duplicate rows", formatCount(report.duplicate_rows), report.duplicate_rows > 0],
    ["Without a trade", formatCount(report.zero_volume_bars), report.zero_volume_bars > 0],
    ["Jumps across gaps", formatCount(report.jumps.length), report.jumps.length > 0],
  ];
  return html`<div class="stack">
    <${TimeLine} quality=${report} />
    <${Facts} facts=${facts} />
    ${report.warnings?.length > 0 &&
    html`<ul class="warnings">
      ${report.warnings.map((text) => html`<li key=${text}>${text}</li>`)}
    </ul>`}
    <${Gaps} gaps=${report.gaps} />
  </div>`;
}

function CheckForm({ parameters, datasets, values, onChange, onSubmit, error, isLoading }) {
  const field = error?.field;
  function onSource(event) {
    const source = event.currentTarget.value;
    const dataset = datasets.find(({ name }) => name === source);
    onChange({ source, ...(dataset ? { symbol: dataset.symbol, interval: dataset.interval, limit: String(dataset.bars) } : {}) });
  }
  return html`<form
    class="stack"
    novalidate
    onSubmit=${(event) => {
      event.preventDefault();
      onSubmit();
    }}
  >
    <div class="form-grid">
      <${Field} id="check-source" label="Source" help="Where the bars come from." error=${field === "source" && error.message}>
        <select id="check-source" aria-describedby="check-source-help" value=${values.source} onChange=${onSource}>
          <option value="">Binance</option>
          <option value=${SIMULATED}>Simulated prices</option>
          ${datasets.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select>
      <//>
      ${FIELDS.filter((name) => name !== "seed" || values.source === SIMULATED).map(
        (name) =>
          html`<${ParameterField}
            key=${name}
            prefix="check"
            parameter=${parameters.find((one) => one.name === name)}
            value=${values[name]}
            onChange=${(text) => onChange({ [name]: text })}
            error=${field === name ? error.message : null}
          />`,
      )}
    </div>
    <div class="row">
      <button class="button button-primary" disabled=${isLoading}>${isLoading ? "Checking …" : "Check these bars"}</button>
      <span class="muted small">Bars of the exchange that are not here yet are downloaded, and kept for all backtests.</span>
    </div>
  </form>`;
}

function queryOf(values, user) {
  const query = { user_id: user, source: values.source };
  for (const name of FIELDS) query[name] = toValue({ type: "TEXT" }, values[name]);
  if (values.source !== SIMULATED) delete query.seed;
  return query;
}

function Check({ parameters, datasets, user }) {
  const [values, setValues] = useState(() => {
    const query = new URLSearchParams(location.search);
    const first = { source: "", symbol: "BTCUSDT", interval: "1d" };
    for (const name of ["source", ...FIELDS]) if (query.get(name)) first[name] = query.get(name);
    return first;
  });
  const [state, setState] = useState({ report: null, error: null, isLoading: false });
  async function check() {
    setState({ report: null, error: null, isLoading: true });
    const query = queryOf(values, user);
    replaceQuery({ ...query, user_id: "" });
    try {
      const report = await getQuality(query);
      setState({ report, error: null, isLoading: false });
      announce(`${formatCount(report.present_bars)} of ${formatCount(report.expected_bars)} bars are present`);
    } catch (error) {
      setState({ report: null, error, isLoading: false });
    }
  }
  useEffect(() => {
    if (location.search) check();
  }, []);
  const { report, error, isLoading } = state;
  return html`<section class="panel" aria-labelledby="check">
    <div class="panel-head"><h2 id="check">What is in the bars</h2></div>
    <div class="panel-body stack">
      <${CheckForm}
        parameters=${parameters}
        datasets=${datasets}
        values=${values}
        onChange=${(changes) => setValues((old) => ({ ...old, ...changes }))}
        onSubmit=${check}
        error=${error}
        isLoading=${isLoading}
      />
      ${error && !FIELDS.includes(error.field) && html`<${ErrorNotice} error=${error} title="The bars were not checked" />`}
      ${isLoading && html`<${Skeleton} lines=${3} label="Checking the bars" />`}
      ${report &&
      html`<div class="result">
        <h3>${report.symbol} ${report.interval} <span class="muted">· ${report.origin}</span></h3>
        <${Quality} report=${report} />
      </div>`}
    </div>
  </section>`;
}

function Upload({ parameters, user, onStored }) {
  const [values, setValues] = useState({});
  const [file, setFile] = useState(null);
  const [state, setState] = useState({ share: null, error: null });
  const field = state.error?.field;
  async function send(event) {
    event.preventDefault();
    if (!file) return;
    setState({ share: 0, error: null });
    try {
      const dataset = await uploadBars(
        { user_id: user, ...values, file },
        { onProgress: (done, total) => setState({ share: done / total, error: null }) },
      );
      setState({ share: null, error: null });
      setFile(null);
      announce(`${dataset.name} is stored`);
      onStored(dataset);
    } catch (error) {
      setState({ share: null, error });
    }
  }
  const fields = (names) =>
    html`<div class="form-grid">
      ${names.map(
        (name) =>
          html`<${ParameterField}
            key=${name}
            prefix="upload"
            parameter=${parameters.find((one) => one.name === name)}
            value=${values[name]}
            onChange=${(text) => setValues((old) => ({ ...old, [name]: text }))}
            error=${field === name ? state.error.message : null}
          />`,
      )}
    </div>`;
  const isSending = state.share !== null;
  return html`<form class="stack" onSubmit=${send} novalidate>
    <${DropZone}
      id="bars-file"
      label="Drop a file of bars here, or choose one"
      hint="CSV, gzipped CSV or Parquet: date, open, high, low, close, volume"
      accept=${EXTENSIONS}
      file=${file}
      isDisabled=${isSending}
      onFile=${setFile}
    />
    ${file &&
    html`
      ${fields(UPLOAD_FIRST)}
      <details>
        <summary>How its dates and numbers are written</summary>
        ${fields(UPLOAD_OTHERS)}
      </details>
      <div class="row">
        <button class="button button-primary" disabled=${isSending}>${isSending ? "Uploading …" : "Store as a dataset"}</button>
        <button type="button" class="button button-quiet" disabled=${isSending} onClick=${() => setFile(null)}>Cancel</button>
      </div>
    `}
    ${isSending && html`<${Progress} share=${state.share < 1 ? state.share : null} label="Upload" />`}
    ${state.error && html`<${ErrorNotice} error=${state.error} title="The file was not stored" />`}
  </form>`;
}

function Datasets({ datasets, user, onDeleted }) {
  const [asked, setAsked] = useState(null);
  const [error, setError] = useState(null);
  async function remove() {
    setError(null);
    try {
      await deleteDataset(user, asked);
      announce(`${asked} is deleted`);
      onDeleted();
    } catch (failure) {
      setError(failure);
    }
    setAsked(null);
  }
  return html`
    ${error && html`<${ErrorNotice} error=${error} title="It was not deleted" />`}
    <ul class="datasets">
      ${datasets.map((one) => {
        const { quality } = one;
        return html`<li key=${one.name}>
          <div class="row">
            <h3 class="grow">${one.name}</h3>
            <a class="button button-small" href=${pageUrl(`/new?source=${encodeURIComponent(one.name)}`)}>Use in a run</a>
            <button type="button" class="button button-quiet button-small" onClick=${() => setAsked(one.name)} aria-label=${`Delete ${one.name}`}>
              Delete
            </button>
          </div>
          <p class="small muted">
            ${one.symbol} ${one.interval} · ${formatCounted(one.bars, "bar")} · ${formatDay(quality.first_open)} –
            ${" "}${formatDay(quality.last_close)} · ${formatBytes(one.file_size)} · ${one.original_filename} · stored
            ${" "}${formatInstant(one.uploaded_at)}
          </p>
          <${TimeLine} quality=${quality} isSmall=${true} />
          ${one.warnings.length > 0 &&
          html`<details>
            <summary class="small">${formatCounted(one.warnings.length, "warning")}</summary>
            <ul class="warnings">
              ${one.warnings.map((text) => html`<li key=${text}>${text}</li>`)}
            </ul>
          </details>`}
        </li>`;
      })}
    </ul>
    ${asked !== null &&
    html`<${Dialog} title=${`Delete ${asked}?`} onClose=${() => setAsked(null)}>
      <p>Stored results stay, but those on these bars cannot be run again.</p>
      <div class="row">
        <button type="button" class="button button-primary" onClick=${remove}>Delete</button>
        <button type="button" class="button" onClick=${() => setAsked(null)}>Cancel</button>
      </div>
    <//>`}
  `;
}

function Downloads() {
  const [downloads, error] = useDownloads();
  return html`<section class="panel" aria-labelledby="downloads">
    <div class="panel-head"><h2 id="downloads">Downloads</h2></div>
    <div class="panel-body">
      ${error && html`<p class="muted small">${error.message}</p>`}
      ${!error && !downloads?.length && html`<p class="muted small">None in progress. Bars are downloaded when a run needs them.</p>`}
      ${downloads?.length > 0 && html`<${DownloadList} downloads=${downloads} />`}
    </div>
  </section>`;
}

const SOURCES = [
  ["Binance", "Spot bars of the exchange, 1 second to 1 month. Downloaded once, then kept for all users."],
  ["Simulated", "A random walk with a seed: same seed, same bars. For trying things out; it says nothing about a market."],
  ["Your datasets", "Files of your own. Rows that no market can print are left out and listed, never repaired."],
];

function Sources() {
  return html`<section class="panel" aria-labelledby="sources">
    <div class="panel-head"><h2 id="sources">Sources</h2></div>
    <dl class="panel-body sources">
      ${SOURCES.map(
        ([name, text]) => html`<div key=${name}>
          <dt>${name}</dt>
          <dd class="small muted">${text}</dd>
        </div>`,
      )}
    </dl>
  </section>`;
}

function Data() {
  const user = useUser();
  const [forms, reloadForms] = useLoad(loadForms, []);
  const [stored, reload] = useLoad((signal) => listDatasets(user, signal), [user]);
  const isReady = forms.data && (stored.data || stored.error);
  return html`
    <div class="page-head"><h1>Data</h1></div>
    <div class="columns">
      <div>
        ${forms.error && html`<${ErrorNotice} error=${forms.error} onRetry=${reloadForms} title="The form cannot be shown" />`}
        ${!forms.error && !isReady && html`<div class="panel"><${Skeleton} lines=${6} /></div>`}
        ${isReady && html`<${Check} parameters=${forms.data.market} datasets=${stored.data ?? []} user=${user} />`}
        <section class="panel" aria-labelledby="datasets">
          <div class="panel-head"><h2 id="datasets">Your datasets</h2></div>
          <div class="panel-body stack">
            ${forms.data && html`<${Upload} parameters=${forms.data.upload} user=${user} onStored=${reload} />`}
            ${stored.error && html`<${ErrorNotice} error=${stored.error} onRetry=${reload} title="Your datasets cannot be shown" />`}
            ${!stored.data && stored.isLoading && html`<${Skeleton} lines=${3} label="Loading your datasets" />`}
            ${stored.data?.length === 0 && html`<p class="muted small center">${user} has no datasets yet.</p>`}
            ${stored.data?.length > 0 && html`<${Datasets} datasets=${stored.data} user=${user} onDeleted=${reload} />`}
          </div>
        </section>
      </div>
      <div>
        <${Downloads} />
        <${Sources} />
      </div>
    </div>
  `;
}

mount(Data);
