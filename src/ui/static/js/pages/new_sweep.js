// Start a sweep, or a walk-forward of one: what is varied, what makes a row better, on which bars, at what costs.

import { html, useEffect, useMemo, useState } from "../../vendor/preact-htm.mjs";
import { estimateSweep, getOpenApi, listDatasets, listModels, listStrategies, startSweep, startWalkForward } from "../api.js";
import { fieldOf, labeled, MarketForm, NOT_TRADING, settingsToSend, TradingForm } from "../backtest_form.js";
import { ErrorNotice, Skeleton, useLoad } from "../components.js";
import { ownName, parametersOf, toValue, valuesToSend } from "../form.js";
import { formatBytes, formatCount, formatCounted, formatDuration } from "../format.js";
import { RulesForm } from "../rules.js";
import { announce, mount, pageUrl, useUser } from "../shell.js";
import { bodyOfOperation, Fields, innerParameters, MODEL, Panel, RULE_TEXTS, RULES, StrategyChoice } from "../start_form.js";
import { canBeSwept, ConstraintsForm, constraintsToSend, numbersOfRules, parametersToSend, sweptErrors, SweptForm } from "../sweep/space.js";

/** Names of fields of a sweep's own objects, in messages. */
const OWN_NAMES = ["from", "to", "step", "values"];
const TYPING_MS = 500;
const WINDOWS = ["window", "train_bars", "test_bars", "step_bars", "purge_bars", "embargo_bars"];
const FIRST_SWEPT = [
  { name: "fast", from: "5", to: "50", step: "5", scale: "", list: "" },
  { name: "slow", from: "20", to: "200", step: "10", scale: "", list: "" },
];

async function loadAll(user, signal) {
  const [catalog, description, datasets, models] = await Promise.all([
    listStrategies(signal),
    getOpenApi(signal),
    listDatasets(user, signal),
    listModels(user, signal),
  ]);
  const { components } = description;
  const read = (path) => parametersOf(bodyOfOperation(description, path), components);
  const sweep = bodyOfOperation(description, "/api/sweeps");
  return {
    strategies: catalog.strategies,
    indicators: catalog.indicators,
    parameters: read("/api/backtests"),
    search: innerParameters(sweep, "search", components),
    objective: innerParameters(sweep, "objective", components),
    keepBest: read("/api/sweeps").filter(({ name }) => name === "keep_best"),
    windows: read("/api/walk-forwards").filter(({ name }) => WINDOWS.includes(name)),
    datasets,
    models,
  };
}

function sweepOf(form, loaded, strategy, user) {
  const settings = settingsToSend(form, loaded.parameters, user);
  // The parameters of rules are their texts; what is swept of them are numbers that they name.
  const isFixed = ({ name }) => strategy.name === RULES || !form.swept.some((item) => item.name === name);
  const own = strategy.parameters.filter(isFixed);
  const params = valuesToSend(own, form.params[strategy.name] ?? {});
  const metrics = loaded.objective.find(({ name }) => name === "metric").choices;
  return {
    ...(strategy.name === MODEL
      ? { ml_backtest: { ...settings, ...params } }
      : { backtest: { ...settings, strategy: { [strategy.name]: params } } }),
    parameters: parametersToSend(form.swept),
    search: valuesToSend(loaded.search, form.search),
    constraints: constraintsToSend(form.constraints, metrics),
    objective: valuesToSend(loaded.objective, form.objective),
    ...valuesToSend(loaded.keepBest, form.objective),
  };
}

/** What a sweep will cost, asked for when the form has rested: {data, error, isLoading}. */
function useEstimate(body, isReady) {
  const [state, setState] = useState({ data: null, error: null, isLoading: false });
  const text = JSON.stringify(body);
  useEffect(() => {
    if (!isReady) {
      setState({ data: null, error: null, isLoading: false });
      return undefined;
    }
    const controller = new AbortController();
    setState((old) => ({ ...old, isLoading: true }));
    const timer = setTimeout(async () => {
      try {
        setState({ data: await estimateSweep(body, controller.signal), error: null, isLoading: false });
      } catch (error) {
        if (error.name !== "AbortError") setState({ data: null, error, isLoading: false });
      }
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, isReady]);
  return state;
}

function Estimate({ estimate, isReady }) {
  const { data, error, isLoading } = estimate;
  if (!isReady) return html`<p class="muted small">Choose what is swept, and its cost is estimated here.</p>`;
  if (error) return html`<div class="notice" role="status"><strong>It cannot be started so</strong><p>${error.message}</p></div>`;
  if (!data) return html`<p class="muted small" role="status">Estimating …</p>`;
  const facts = [
    ["Combinations", formatCount(data.combinations)],
    ["Left out", formatCount(data.excluded)],
    ["Computing time", formatDuration(data.cpu_seconds)],
    ["Stored", formatBytes(data.stored_bytes)],
  ];
  return html`<div role="status" aria-busy=${isLoading}>
    <dl class="estimate">
      ${facts.map(
        ([name, text]) => html`<div key=${name}>
          <dt>${name}</dt>
          <dd>${text}</dd>
        </div>`,
      )}
    </dl>
    ${data.warnings.map((text, index) => html`<p class="small" key=${index}>${text}</p>`)}
  </div>`;
}

/** What can be swept: the numbers that rules name, or the strategy's own parameters, then the trading rules. */
function sweptChoices(strategy, params, trading) {
  const given = strategy.parameters.find(({ name }) => name === "parameters");
  const own = strategy.name === RULES ? numbersOfRules(toValue(given, params.parameters)) : strategy.parameters.filter(canBeSwept);
  return [...own, ...trading.filter(canBeSwept).filter(({ name }) => !own.some((one) => one.name === name))];
}

function NewSweepForm({ loaded, user }) {
  const presets = useMemo(
    () => loaded.strategies.filter(({ name, parameters }) => ![MODEL, RULES].includes(name) && parameters.length),
    [loaded],
  );
  const [form, setForm] = useState({
    strategy: presets[0].name,
    params: {},
    swept: presets[0].name === "ma_crossover" ? FIRST_SWEPT : [],
    constraints: [],
    search: {},
    objective: {},
    isWalkForward: false,
    windows: {},
    market: { symbol: "BTCUSDT", interval: "1d", source: "" },
    trading: {},
  });
  const [start, setStart] = useState({ isStarting: false, error: null });
  const strategy = loaded.strategies.find(({ name }) => name === form.strategy);
  const trading = loaded.parameters.filter(({ name }) => !NOT_TRADING.includes(name));
  const own = strategy.parameters;
  const params = form.params[strategy.name] ?? {};
  const known = sweptChoices(strategy, params, trading);
  const isSwept = ({ name }) => form.swept.some((item) => item.name === name);
  const metrics = loaded.objective.find(({ name }) => name === "metric").choices;
  const isComplete = { [MODEL]: () => Boolean(params.model_path), [RULES]: () => RULE_TEXTS.some((name) => params[name]?.trim()) };
  const isReady = form.swept.length > 0 && (isComplete[strategy.name]?.() ?? true);
  const body = sweepOf(form, loaded, strategy, user);
  const estimate = useEstimate(body, isReady);
  const field = fieldOf(start.error);
  const names = [...loaded.parameters, ...own, ...loaded.windows, ...loaded.search, ...loaded.objective].map(ownName);
  const withNames = (failure) => failure && labeled(failure, [...names, ...OWN_NAMES]);
  const error = withNames(start.error);
  const errors = field ? { [field]: error.message } : {};
  const change = (changes) => setForm((old) => ({ ...old, ...changes }));
  const changeIn = (part) => (key, text) => setForm((old) => ({ ...old, [part]: { ...old[part], [key]: text } }));
  const changeParam = (key, text) =>
    setForm((old) => ({ ...old, params: { ...old.params, [strategy.name]: { ...old.params[strategy.name], [key]: text } } }));
  useEffect(() => {
    if (!field) return;
    const wrong = document.querySelector('#main [aria-invalid="true"]') ?? document.querySelector(`#main [id$="-${CSS.escape(field)}"]`);
    wrong?.focus();
  }, [start.error]);
  async function onSubmit(event) {
    event.preventDefault();
    if (!isReady || start.isStarting) return;
    setStart({ isStarting: true, error: null });
    announce("Starting");
    try {
      const job = form.isWalkForward
        ? await startWalkForward({ sweep: body, ...valuesToSend(loaded.windows, form.windows) })
        : await startSweep(body);
      location.assign(pageUrl(`/${form.isWalkForward ? "walk-forwards" : "sweeps"}/${encodeURIComponent(job.id)}`));
    } catch (failure) {
      setStart({ isStarting: false, error: failure });
    }
  }
  const fixed = strategy.name === RULES ? [] : own.filter((one) => !isSwept(one) && canBeSwept(one));
  return html`<form class="columns" onSubmit=${onSubmit} novalidate>
    <div>
      <${Panel} id="what" title="What is swept">
        <${StrategyChoice}
          prefix="sweep"
          modelHelp="Its predictions are made once; the sweep varies what is done with them."
          presets=${presets}
          models=${loaded.models}
          strategy=${strategy}
          onStrategy=${(name) => change({ strategy: name, swept: [], constraints: [] })}
          file=${params.model_path}
          onFile=${(filename) => changeParam("model_path", filename)}
        />
        ${strategy.name === RULES &&
        html`<${RulesForm} values=${params} onChange=${changeParam} user=${user} strategy=${strategy} indicators=${loaded.indicators} errors=${errors} />`}
        <${SweptForm} swept=${form.swept} known=${known} onChange=${(swept) => change({ swept })} errors=${sweptErrors(start.error?.field, error?.message)} />
        ${fixed.length > 0 &&
        html`<h3>Not swept</h3>
          <${Fields} prefix="strategy" parameters=${fixed} values=${params} onChange=${changeParam} errors=${errors} />`}
      <//>
      <${Panel} id="better" title="What makes a row better">
        <${Fields} prefix="objective" parameters=${[...loaded.objective, ...loaded.keepBest]} values=${form.objective} onChange=${changeIn("objective")} errors=${errors} />
        <h3>Constraints</h3>
        <p class="help">Combinations against a constraint on parameters are not tried. Rows against one on a metric are shown, and cannot be the best.</p>
        <${ConstraintsForm} constraints=${form.constraints} swept=${form.swept} metrics=${metrics} onChange=${(constraints) => change({ constraints })} />
        <details>
          <summary>Which combinations are tried</summary>
          <${Fields} prefix="search" parameters=${loaded.search} values=${form.search} onChange=${changeIn("search")} errors=${errors} />
        </details>
      <//>
      <${Panel} id="walk" title="Walk forward">
        <label class="check">
          <input type="checkbox" checked=${form.isWalkForward} onChange=${(event) => change({ isWalkForward: event.currentTarget.checked })} />
          <span>Choose anew on one training window after another, and trade each choice on the bars that follow</span>
        </label>
        ${form.isWalkForward &&
        html`<${Fields} prefix="windows" parameters=${loaded.windows} values=${form.windows} onChange=${changeIn("windows")} errors=${errors} />`}
      <//>
      <${Panel} id="bars" title="On which bars">
        <${MarketForm} parameters=${loaded.parameters} datasets=${loaded.datasets} values=${form.market} onChange=${(changes) => change({ market: { ...form.market, ...changes } })} errors=${errors} />
      <//>
      <${Panel} id="costs" title="At what costs, with which orders">
        <${TradingForm} parameters=${trading.filter((one) => !isSwept(one))} values=${form.trading} onChange=${changeIn("trading")} errors=${errors} />
      <//>
    </div>
    <div class="panel panel-body stack run-box">
      <${Estimate} estimate=${{ ...estimate, error: withNames(estimate.error) }} isReady=${isReady} />
      <button class="button button-primary button-large wide" disabled=${!isReady || start.isStarting}>
        ${start.isStarting ? "Starting …" : form.isWalkForward ? "Start walk-forward" : "Start sweep"}
      </button>
      ${error && html`<${ErrorNotice} error=${error} title="It was not started" />`}
      <p class="help">
        ${estimate.data && isReady ? `${formatCounted(estimate.data.combinations, "trial")} will be counted. ` : ""}Each combination is a trial: the more you try on
        a market, the more the verdict allows for the luck of the best.
      </p>
    </div>
  </form>`;
}

function NewSweep() {
  const user = useUser();
  const [{ data, error }, reload] = useLoad((signal) => loadAll(user, signal), [user]);
  return html`
    <div class="page-head"><h1>New sweep</h1></div>
    ${error && html`<${ErrorNotice} error=${error} onRetry=${reload} title="The form cannot be shown" />`}
    ${!error && !data && html`<div class="panel"><${Skeleton} lines=${10} label="Loading the form" /></div>`}
    ${data && html`<${NewSweepForm} key=${user} loaded=${data} user=${user} />`}
  `;
}

mount(NewSweep);
