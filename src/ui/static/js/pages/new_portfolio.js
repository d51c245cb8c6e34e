// Start a portfolio: one strategy over several symbols with one cash, on which bars, at what costs.

import { html, useEffect, useMemo, useState } from "../../vendor/preact-htm.mjs";
import { getOpenApi, listDatasets, listModels, listStrategies, startPortfolio } from "../api.js";
import { fieldOf, labeled, MarketForm, NOT_TRADING, settingsToSend, TradingForm } from "../backtest_form.js";
import { ErrorNotice, Field, Skeleton, useLoad } from "../components.js";
import { ownName, parametersOf, valuesToSend } from "../form.js";
import { formatCounted } from "../format.js";
import { RulesForm } from "../rules.js";
import { announce, mount, pageUrl, useUser } from "../shell.js";
import { bodyOfOperation, Fields, innerParameters, MODEL, Panel, RULE_TEXTS, RULES, StrategyChoice } from "../start_form.js";

const OWN = ["max_open", "rank", "rank_bars"];
/** What the service refuses of a portfolio, or what it has one value of. */
const NOT_OF_PORTFOLIOS = ["engine", "detail_interval", "cross_check", "funding_history", "symbol"];
const FIRST_SYMBOLS = "BTCUSDT, ETHUSDT, BNBUSDT, SOLUSDT, XRPUSDT";

/** Symbols have no blanks, so that any of these separates them. */
const listSymbols = (text) => text.split(/[\s,;]+/).filter(Boolean);

async function loadAll(user, signal) {
  const [catalog, description, datasets, models] = await Promise.all([
    listStrategies(signal),
    getOpenApi(signal),
    listDatasets(user, signal),
    listModels(user, signal),
  ]);
  const { components } = description;
  const schema = bodyOfOperation(description, "/api/portfolios");
  return {
    strategies: catalog.strategies,
    indicators: catalog.indicators,
    parameters: innerParameters(schema, "backtest", components).filter(({ name }) => !NOT_OF_PORTFOLIOS.includes(name)),
    own: parametersOf(schema, components).filter(({ name }) => OWN.includes(name)),
    datasets,
    models,
  };
}

function bodyOf(form, loaded, strategy, user) {
  const settings = settingsToSend(form, loaded.parameters, user);
  const params = valuesToSend(strategy.parameters, form.params[strategy.name] ?? {});
  return {
    symbols: listSymbols(form.symbols),
    ...valuesToSend(loaded.own, form.own),
    ...(strategy.name === MODEL
      ? { ml_backtest: { ...settings, ...params } }
      : { backtest: { ...settings, strategy: { [strategy.name]: strategy.parameters.length ? params : true } } }),
  };
}

function SymbolsField({ value, onChange, error }) {
  const count = listSymbols(value).length;
  const help = `${formatCounted(count, "symbol")}. Separate them by commas, blanks or lines; the first ones go first if the entries are ranked as listed.`;
  return html`<${Field} id="portfolio-symbols" label="Symbols" help=${help} error=${error} wide>
    <textarea
      id="portfolio-symbols"
      rows="3"
      spellcheck=${false}
      autocapitalize="characters"
      autocomplete="off"
      aria-invalid=${error ? "true" : undefined}
      aria-describedby=${`${error ? "portfolio-symbols-error " : ""}portfolio-symbols-help`}
      value=${value}
      onInput=${(event) => onChange(event.currentTarget.value)}
    ></textarea>
  <//>`;
}

function NewPortfolioForm({ loaded, user }) {
  const presets = useMemo(() => loaded.strategies.filter(({ name }) => ![MODEL, RULES].includes(name)), [loaded]);
  const [form, setForm] = useState({
    symbols: FIRST_SYMBOLS,
    own: {},
    strategy: presets[0].name,
    params: {},
    market: { interval: "1d", source: "" },
    trading: {},
  });
  const [start, setStart] = useState({ isStarting: false, error: null });
  const strategy = loaded.strategies.find(({ name }) => name === form.strategy);
  const params = form.params[strategy.name] ?? {};
  const trading = loaded.parameters.filter(({ name }) => !NOT_TRADING.includes(name));
  const isComplete = { [MODEL]: () => Boolean(params.model_path), [RULES]: () => RULE_TEXTS.some((name) => params[name]?.trim()) };
  const isReady = listSymbols(form.symbols).length > 0 && (isComplete[strategy.name]?.() ?? true);
  // A symbol of the list is named by its place.
  const field = start.error?.field?.startsWith("symbols") ? "symbols" : fieldOf(start.error);
  const names = [...loaded.parameters, ...strategy.parameters, ...loaded.own].map(ownName);
  const error = start.error && labeled(start.error, names);
  const errors = field ? { [field]: error.message } : {};
  const change = (changes) => setForm((old) => ({ ...old, ...changes }));
  const changeIn = (part) => (key, text) => setForm((old) => ({ ...old, [part]: { ...old[part], [key]: text } }));
  const changeParam = (key, text) =>
    setForm((old) => ({ ...old, params: { ...old.params, [strategy.name]: { ...old.params[strategy.name], [key]: text } } }));
  useEffect(() => {
    if (field) document.querySelector(`#main [id$="-${CSS.escape(field)}"]`)?.focus();
  }, [start.error]);
  async function onSubmit(event) {
    event.preventDefault();
    if (!isReady || start.isStarting) return;
    setStart({ isStarting: true, error: null });
    announce("Starting");
    try {
      const job = await startPortfolio(bodyOf(form, loaded, strategy, user));
      location.assign(pageUrl(`/portfolios/${encodeURIComponent(job.id)}`));
    } catch (failure) {
      setStart({ isStarting: false, error: failure });
    }
  }
  const others = [MODEL, RULES].includes(strategy.name) ? [] : strategy.parameters;
  return html`<form class="columns" onSubmit=${onSubmit} novalidate>
    <div>
      <${Panel} id="which" title="Which symbols share the cash">
        <${SymbolsField} value=${form.symbols} onChange=${(symbols) => change({ symbols })} error=${errors.symbols} />
        <${Fields} prefix="portfolio" parameters=${loaded.own} values=${form.own} onChange=${changeIn("own")} errors=${errors} />
      <//>
      <${Panel} id="what" title="What is traded">
        <${StrategyChoice}
          prefix="portfolio"
          modelHelp="It predicts the bars of each symbol on their own."
          presets=${presets}
          models=${loaded.models}
          strategy=${strategy}
          onStrategy=${(name) => change({ strategy: name })}
          file=${params.model_path}
          onFile=${(filename) => changeParam("model_path", filename)}
        />
        ${strategy.name === RULES &&
        html`<${RulesForm} values=${params} onChange=${changeParam} user=${user} strategy=${strategy} indicators=${loaded.indicators} errors=${errors} />`}
        ${others.length > 0 &&
        html`<${Fields} prefix="strategy" parameters=${others} values=${params} onChange=${changeParam} errors=${errors} />`}
      <//>
      <${Panel} id="bars" title="On which bars">
        <${MarketForm} parameters=${loaded.parameters} datasets=${loaded.datasets} values=${form.market} onChange=${(changes) => change({ market: { ...form.market, ...changes } })} errors=${errors} />
      <//>
      <${Panel} id="costs" title="At what costs, with which orders">
        <${TradingForm} parameters=${trading} values=${form.trading} onChange=${changeIn("trading")} errors=${errors} />
      <//>
    </div>
    <div class="panel panel-body stack run-box">
      <button class="button button-primary button-large wide" disabled=${!isReady || start.isStarting}>
        ${start.isStarting ? "Starting …" : "Run portfolio"}
      </button>
      ${!isReady && html`<p class="help">Name at least one symbol, and what is traded.</p>`}
      ${error && html`<${ErrorNotice} error=${error} title="It was not started" />`}
      <p class="help">Without a size of its own, each entry takes the equity ÷ the places. Each portfolio is counted as a trial.</p>
    </div>
  </form>`;
}

function NewPortfolio() {
  const user = useUser();
  const [{ data, error }, reload] = useLoad((signal) => loadAll(user, signal), [user]);
  return html`
    <div class="page-head"><h1>New portfolio</h1></div>
    ${error && html`<${ErrorNotice} error=${error} onRetry=${reload} title="The form cannot be shown" />`}
    ${!error && !data && html`<div class="panel"><${Skeleton} lines=${10} label="Loading the form" /></div>`}
    ${data && html`<${NewPortfolioForm} key=${user} loaded=${data} user=${user} />`}
  `;
}

mount(NewPortfolio);
