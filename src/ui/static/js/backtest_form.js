// What pages that start a backtest, or many of them, share: the fields of its bars and of its trading rules.

import { html } from "../vendor/preact-htm.mjs";
import { Field } from "./components.js";
import { ParameterField, toValue, valuesToSend, withLabels } from "./form.js";
import { formatCount, formatCounted } from "./format.js";

export const SIMULATED = "simulated";
export const MARKET = ["symbol", "interval", "start_date", "end_date", "limit", "seed"];
/** Fields that other parts of the form hold, or that are no setting of the backtest. */
export const NOT_TRADING = [
  ...MARKET,
  "source",
  "user_id",
  "strategy",
  "fetch_input",
  "ma_crossover_params",
  "fast",
  "slow",
  "async",
  "idempotency_key",
];
const FIRST_SHOWN = ["init_cash", "fees", "slippage", "direction"];

export function MarketForm({ parameters, datasets, values, onChange, errors }) {
  const find = (name) => parameters.find((one) => one.name === name);
  const known = ["", SIMULATED, ...datasets.map(({ name }) => name)];
  function onSource(event) {
    const source = event.currentTarget.value;
    const dataset = datasets.find(({ name }) => name === source);
    onChange({ source, ...(dataset ? { symbol: dataset.symbol, interval: dataset.interval } : {}) });
  }
  const shown = MARKET.filter((name) => find(name) && (name !== "seed" || values.source === SIMULATED));
  return html`<div class="form-grid">
    <${Field} id="market-source" label="Source" error=${errors.source} help="Where the bars come from.">
      <select id="market-source" aria-describedby="market-source-help" value=${values.source} onChange=${onSource}>
        <option value="">Binance</option>
        <option value=${SIMULATED}>Simulated prices</option>
        ${datasets.map(({ name, bars }) => html`<option key=${name} value=${name}>${name} (${formatCount(bars)} bars)</option>`)}
        ${!known.includes(values.source) && html`<option value=${values.source}>${values.source}</option>`}
      </select>
    <//>
    ${shown.map(
      (name) =>
        html`<${ParameterField}
          key=${name}
          prefix="market"
          parameter=${find(name)}
          value=${values[name]}
          onChange=${(text) => onChange({ [name]: text })}
          error=${errors[name]}
        />`,
    )}
  </div>`;
}

export function TradingForm({ parameters, values, onChange, errors }) {
  const first = FIRST_SHOWN.map((name) => parameters.find((one) => one.name === name)).filter(Boolean);
  const others = parameters.filter(({ name }) => !FIRST_SHOWN.includes(name));
  const hasOthers = others.some(({ name }) => errors[name] || toValue({ type: "TEXT" }, values[name]) !== undefined);
  const fields = (list) =>
    html`<div class="form-grid">
      ${list.map(
        (parameter) =>
          html`<${ParameterField}
            key=${parameter.name}
            prefix="trading"
            parameter=${parameter}
            value=${values[parameter.name]}
            onChange=${(text) => onChange(parameter.name, text)}
            error=${errors[parameter.name]}
          />`,
      )}
    </div>`;
  return html`<div class="stack">
    ${fields(first)}
    <details open=${hasOthers}>
      <summary>${formatCounted(others.length, "more setting")}: engine, sizes, entries, stops</summary>
      ${fields(others)}
    </details>
  </div>`;
}

/** The fields of a request's body that say on which bars, and at what costs, it trades. */
export function settingsToSend({ market, trading }, parameters, user) {
  return {
    user_id: user,
    ...valuesToSend(
      parameters.filter((one) => MARKET.includes(one.name) || one.name === "source"),
      { ...market, seed: market.source === SIMULATED ? market.seed : "" },
    ),
    ...valuesToSend(
      parameters.filter((one) => !NOT_TRADING.includes(one.name)),
      trading,
    ),
  };
}

/** The own name of the field that an error is about, of one of a list's objects that of the list; null without one. */
export function fieldOf(error) {
  if (!error?.field) return null;
  return /(\w+)\[\d+\]/.exec(error.field)?.[1] ?? error.field.split(".").at(-1);
}

/** An error whose sentences name the controls as they are labeled. */
export function labeled(error, names) {
  const { code, helpPath, message, hint } = error;
  return { code, helpPath, message: withLabels(message, names), hint: hint && withLabels(hint, names) };
}
