// Start a backtest: what is tested, on which bars, at what costs.

import { html, useEffect, useMemo, useState } from "../../vendor/preact-htm.mjs";
import { getBacktest, getOpenApi, listDatasets, listStrategies, runBacktest } from "../api.js";
import { fieldOf, labeled, MARKET, MarketForm, NOT_TRADING, settingsToSend, TradingForm } from "../backtest_form.js";
import { ErrorNotice, Field, Skeleton, Tabs, useLoad } from "../components.js";
import { DownloadList, useDownloads } from "../downloads.js";
import { ownName, ParameterField, parametersOf, toText, valuesToSend } from "../form.js";
import { ModelForm } from "../model.js";
import { RulesForm } from "../rules.js";
import { announce, mount, pageUrl, useUser } from "../shell.js";

const KINDS = [
  { key: "model", label: "Model file" },
  { key: "preset", label: "Strategy" },
  { key: "rules", label: "Rules" },
];
const SECOND_MS = 1000;

async function loadAll(user, from, signal) {
  const [catalog, description, datasets, earlier] = await Promise.all([
    listStrategies(signal),
    getOpenApi(signal),
    listDatasets(user, signal),
    from ? getBacktest(from, signal) : null,
  ]);
  const schema = description.paths["/api/backtests"].post.requestBody.content["application/json"].schema;
  return { ...catalog, parameters: parametersOf(schema, description.components), datasets, earlier };
}

/** The form as it is first shown: of an earlier run if the address names one. */
function firstValues({ strategies, earlier, datasets }, query) {
  const source = query.get("source") ?? "";
  const dataset = datasets.find(({ name }) => name === source);
  const market = { symbol: dataset?.symbol ?? "BTCUSDT", interval: dataset?.interval ?? "1d", source };
  if (!earlier) {
    return { kind: "preset", preset: query.get("strategy") ?? strategies[0].name, params: {}, market, trading: {} };
  }
  const strategy = strategies.find(({ label }) => label === earlier.strategy.name) ?? strategies[0];
  const kind = { model: "model", rules: "rules" }[strategy.name] ?? "preset";
  const settings = { ...earlier.strategy, ...earlier.settings, symbol: earlier.symbol, interval: earlier.interval };
  settings.engine = earlier.engine;
  const params = {};
  for (const name of strategy.parameters.map(ownName)) params[name] = toText(settings[name]);
  return {
    kind,
    preset: kind === "preset" ? strategy.name : strategies[0].name,
    params: { [strategy.name]: params },
    market: marketOf(settings),
    trading: Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, toText(value)])),
  };
}

function marketOf(settings) {
  const market = { source: settings.source ?? "" };
  for (const name of MARKET) market[name] = toText(settings[name]);
  // The service names the first and the last instant of a day that was given as a date.
  market.start_date = market.start_date.replace(/T00:00:00Z$/, "");
  market.end_date = market.end_date.replace(/T23:59:59\.999Z$/, "");
  // A range has its own number of bars.
  if (market.start_date && market.end_date) market.limit = "";
  return market;
}

function Presets({ strategies, preset, onPreset, values, onChange, errors }) {
  const strategy = strategies.find(({ name }) => name === preset) ?? strategies[0];
  return html`<div class="stack">
    <${Field} id="preset" label="Strategy" help=${strategy.meaning}>
      <select id="preset" aria-describedby="preset-help" value=${preset} onChange=${(event) => onPreset(event.currentTarget.value)}>
        ${strategies.map(({ name, label }) => html`<option key=${name} value=${name}>${label}</option>`)}
      </select>
    <//>
    ${strategy.parameters.length > 0 &&
    html`<div class="form-grid">
      ${strategy.parameters.map(
        (parameter) =>
          html`<${ParameterField}
            key=${`${preset}-${parameter.name}`}
            prefix="strategy"
            parameter=${parameter}
            value=${values[parameter.name]}
            onChange=${(text) => onChange(parameter.name, text)}
            error=${errors[parameter.name]}
          />`,
      )}
    </div>`}
  </div>`;
}

function bodyOf(form, { strategies, parameters }, user) {
  const name = form.kind === "preset" ? form.preset : form.kind;
  const strategy = strategies.find((one) => one.name === name);
  const params = valuesToSend(strategy.parameters, form.params[name] ?? {});
  return { ...settingsToSend(form, parameters, user), strategy: { [name]: strategy.parameters.length ? params : true } };
}

/** What runs: [state, start, cancel]; state = {seconds, error}, seconds null if nothing runs. */
function useRun() {
  const [state, setState] = useState({ seconds: null, error: null, controller: null });
  useEffect(() => {
    if (state.seconds === null) return undefined;
    const timer = setInterval(
      () => setState((old) => (old.seconds === null ? old : { ...old, seconds: old.seconds + 1 })),
      SECOND_MS,
    );
    return () => clearInterval(timer);
  }, [state.seconds === null]);
  async function start(body) {
    const controller = new AbortController();
    setState({ seconds: 0, error: null, controller });
    announce("The backtest runs");
    try {
      const result = await runBacktest(body, controller.signal);
      location.assign(pageUrl(`/runs/${encodeURIComponent(result.id)}`));
    } catch (error) {
      setState({ seconds: null, error: error.name === "AbortError" ? null : error, controller: null });
    }
  }
  return [state, start, () => state.controller?.abort()];
}

function RunBox({ run, error, onCancel, canRun, why }) {
  const isRunning = run.seconds !== null;
  const [downloads] = useDownloads(isRunning);
  return html`<div class="panel panel-body stack run-box">
    <button class="button button-primary button-large wide" disabled=${isRunning || !canRun}>
      ${isRunning ? `Running … ${run.seconds} s` : "Run backtest"}
    </button>
    ${isRunning && html`<button type="button" class="button wide" onClick=${onCancel}>Cancel</button>`}
    ${isRunning && downloads?.length > 0 && html`<${DownloadList} downloads=${downloads} />`}
    ${!canRun && html`<p class="help">${why}</p>`}
    ${error && html`<${ErrorNotice} error=${error} title="It did not run" />`}
    <p class="help">
      Each run is counted as a trial: the more you try on a market, the more the verdict allows for the luck of the best.
    </p>
  </div>`;
}

function NewRunForm({ loaded, user }) {
  const [form, setForm] = useState(() => firstValues(loaded, new URLSearchParams(location.search)));
  const [run, start, cancel] = useRun();
  const presets = useMemo(() => loaded.strategies.filter(({ name }) => !["model", "rules"].includes(name)), [loaded]);
  const name = form.kind === "preset" ? form.preset : form.kind;
  const strategy = loaded.strategies.find((one) => one.name === name);
  const values = form.params[name] ?? {};
  const field = fieldOf(run.error);
  const error = run.error && labeled(run.error, [...loaded.parameters, ...strategy.parameters].map(ownName));
  const errors = field ? { [field]: error.message } : {};
  useEffect(() => {
    if (!field) return;
    const control = document.querySelector(`#main [id$="-${CSS.escape(field)}"]`);
    control?.focus();
  }, [run.error]);
  const change = (changes) => setForm((old) => ({ ...old, ...changes }));
  const changeParam = (key, text) =>
    setForm((old) => ({ ...old, params: { ...old.params, [name]: { ...old.params[name], [key]: text } } }));
  const canRun = form.kind !== "model" || Boolean(values.model_path);
  const trading = loaded.parameters.filter((one) => !NOT_TRADING.includes(one.name));
  function onSubmit(event) {
    event.preventDefault();
    if (canRun) start(bodyOf(form, loaded, user));
  }
  return html`<form class="columns" onSubmit=${onSubmit} novalidate>
    <div>
      <section class="panel" aria-labelledby="what">
        <div class="panel-head"><h2 id="what">What is tested</h2></div>
        <div class="panel-tabs">
          <${Tabs} tabs=${KINDS} current=${form.kind} onChange=${(kind) => change({ kind })} label="What is tested" />
        </div>
        <div class="panel-body" role="tabpanel" id=${`panel-${form.kind}`} aria-labelledby=${`tab-${form.kind}`}>
          ${form.kind === "model" &&
          html`<${ModelForm} user=${user} values=${values} onChange=${changeParam} strategy=${strategy} errors=${errors} />`}
          ${form.kind === "preset" &&
          html`<${Presets}
            strategies=${presets}
            preset=${form.preset}
            onPreset=${(preset) => change({ preset })}
            values=${values}
            onChange=${changeParam}
            errors=${errors}
          />`}
          ${form.kind === "rules" &&
          html`<${RulesForm}
            values=${values}
            onChange=${changeParam}
            user=${user}
            strategy=${strategy}
            indicators=${loaded.indicators}
            errors=${errors}
          />`}
        </div>
      </section>
      <section class="panel" aria-labelledby="bars">
        <div class="panel-head"><h2 id="bars">On which bars</h2></div>
        <div class="panel-body">
          <${MarketForm}
            parameters=${loaded.parameters}
            datasets=${loaded.datasets}
            values=${form.market}
            onChange=${(changes) => change({ market: { ...form.market, ...changes } })}
            errors=${errors}
          />
        </div>
      </section>
      <section class="panel" aria-labelledby="costs">
        <div class="panel-head"><h2 id="costs">At what costs, with which orders</h2></div>
        <div class="panel-body">
          <${TradingForm}
            parameters=${trading}
            values=${form.trading}
            onChange=${(key, text) => change({ trading: { ...form.trading, [key]: text } })}
            errors=${errors}
          />
        </div>
      </section>
    </div>
    <${RunBox} run=${run} error=${error} onCancel=${cancel} canRun=${canRun} why="Choose a model file first." />
  </form>`;
}

function NewRun() {
  const user = useUser();
  const from = new URLSearchParams(location.search).get("from");
  const [{ data, error }, reload] = useLoad((signal) => loadAll(user, from, signal), [user]);
  return html`
    <div class="page-head">
      <h1>New run</h1>
      <a class="small" href=${pageUrl("/portfolios/new")}>Several symbols, one cash</a>
      ${data?.earlier && html`<a class="small" href=${pageUrl(`/runs/${encodeURIComponent(from)}`)}>filled in from an earlier run</a>`}
    </div>
    ${error && html`<${ErrorNotice} error=${error} onRetry=${reload} title="The form cannot be shown" />`}
    ${!error && !data && html`<div class="panel"><${Skeleton} lines=${10} label="Loading the form" /></div>`}
    ${data && html`<${NewRunForm} key=${user} loaded=${data} user=${user} />`}
  `;
}

mount(NewRun);
