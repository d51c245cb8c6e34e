// Rules as text, checked by the service while one types.

import { html, useEffect, useState } from "../vendor/preact-htm.mjs";
import { checkRules, listModels } from "./api.js";
import { ErrorNotice, Field, Skeleton, useLoad } from "./components.js";
import { ownName, ParameterField, toValue } from "./form.js";
import { formatCounted } from "./format.js";

const TYPING_MS = 350;
const RULES = ["buy", "sell", "short", "cover"];
const LABELS = { buy: "Buy", sell: "Sell", short: "Short", cover: "Cover" };
export const EXAMPLE_RULES = {
  buy: "crosses_above(ema({fast}), ema({slow})) and close > sma(200)",
  sell: "crosses_below(ema({fast}), ema({slow}))",
  parameters: "fast = 12, slow = 26",
};

/** The report of the service on the rules as they are typed: {report, error, isChecking}. */
function useReport(values, parameters) {
  const [state, setState] = useState({ report: null, error: null, isChecking: false });
  const sent = {};
  for (const name of [...RULES, "parameters"]) {
    const value = toValue(parameters.find((one) => one.name === name) ?? { type: "TEXT" }, values[name]);
    if (value !== undefined) sent[name] = value;
  }
  const key = JSON.stringify(sent);
  useEffect(() => {
    if (key === "{}") {
      setState({ report: null, error: null, isChecking: false });
      return undefined;
    }
    const controller = new AbortController();
    setState((old) => ({ ...old, isChecking: true }));
    const timer = setTimeout(() => {
      checkRules(JSON.parse(key), controller.signal).then(
        (report) => setState({ report, error: null, isChecking: false }),
        (error) => {
          if (error.name !== "AbortError") setState({ report: null, error, isChecking: false });
        },
      );
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key]);
  return state;
}

// The caret under the place needs its own lines; the lists of what is known are long, and most readers need none.
function FaultText({ message }) {
  const [sentence, ...place] = message.split("\n");
  const [what, ...known] = sentence.split(/ (?=Known )/);
  return html`${what}${place.length > 0 && html`<pre class="fault-place" tabindex="0" role="group" aria-label="Its place in the rule">${place.join("\n")}</pre>`}
    ${known.length > 0 && html`<details class="known"><summary>What is known</summary>${known.join(" ")}</details>`}`;
}

function RuleField({ name, parameter, value, fault, onChange }) {
  const id = `rule-${name}`;
  return html`<${Field}
    id=${id}
    label=${LABELS[name]}
    unit=${parameter?.default_meaning === "never" && name !== "buy" ? "optional" : ""}
    help=${parameter?.meaning}
    error=${fault && html`<${FaultText} message=${fault.message} />`}
  >
    <textarea
      id=${id}
      rows="2"
      spellcheck=${false}
      autocapitalize="off"
      autocomplete="off"
      aria-invalid=${fault ? "true" : undefined}
      aria-describedby=${`${fault ? `${id}-error ` : ""}${id}-help`}
      value=${value ?? ""}
      onInput=${(event) => onChange(name, event.currentTarget.value)}
    ></textarea>
  <//>`;
}

function Report({ state }) {
  const { report, error, isChecking } = state;
  if (error) return html`<${ErrorNotice} error=${error} title="The rules were not checked" />`;
  if (!report) return html`<p class="small muted">${isChecking ? "Checking …" : "The rules are checked while you type."}</p>`;
  const others = report.faults.filter(({ field }) => !RULES.includes(field));
  if (others.length) {
    return html`<div class="notice notice-error"><p>${others.map(({ message }) => html`<${FaultText} message=${message} />`)}</p></div>`;
  }
  if (report.faults.length) return html`<p class="small muted">${formatCounted(report.faults.length, "fault")}: see above.</p>`;
  return html`<div class="notice notice-good">
    <strong>The rules can be traded</strong>
    <p class="small">
      ${`They look back ${formatCounted(report.lookback_bars, "bar")} and warm up over ${formatCounted(report.warm_up_bars, "bar")}. `}
      ${report.indicators.length > 0 && `They read ${report.indicators.join(", ")}.`}
      ${report.reads_model && " They call model(): a stored model must be given."}
    </p>
    ${report.warnings.map((text) => html`<p class="small" key=${text}>${text}</p>`)}
  </div>`;
}

function Indicators({ indicators }) {
  return html`<details>
    <summary>${formatCounted(indicators.length, "indicator")}, and what they measure</summary>
    <dl class="indicator-list">
      ${indicators.map(
        ({ name, meaning, parameters }) => html`<div key=${name}>
          <dt><code>${name}(${parameters.map((one) => one.default).join(", ")})</code></dt>
          <dd class="small muted">${meaning}</dd>
        </div>`,
      )}
    </dl>
  </details>`;
}

/** The stored model that model() reads in the rules; shown once a rule calls it. */
function RulesModel({ user, values, onChange, parameters, errors }) {
  const [stored, reload] = useLoad((signal) => listModels(user, signal), [user]);
  if (stored.error) return html`<${ErrorNotice} error=${stored.error} onRetry=${reload} title="Your models cannot be shown" />`;
  if (!stored.data) return html`<${Skeleton} lines=${2} label="Loading your models" />`;
  const shown = parameters
    .map((one) => ({ ...one, name: ownName(one) }))
    .filter(({ name }) => ["model_path", "output_kind"].includes(name));
  const filenames = stored.data.map(({ filename }) => filename);
  const asShown = (one) =>
    one.name === "model_path" ? { ...one, type: "CHOICE", choices: filenames, default_meaning: null } : one;
  return html`<div class="form-grid">
    ${shown.map(
      (one) =>
        html`<${ParameterField}
          key=${one.name}
          prefix="rule"
          parameter=${asShown(one)}
          label=${one.name === "model_path" ? "Model" : null}
          value=${values[one.name]}
          onChange=${(text) => onChange(one.name, text)}
          error=${errors[one.name]}
        />`,
    )}
  </div>`;
}

export function RulesForm({ user, values, onChange, strategy, indicators, errors }) {
  const find = (name) => strategy.parameters.find((one) => one.name === name);
  const state = useReport(values, strategy.parameters);
  const faultOf = (name) => {
    // A field that is still empty is not reported as missing while another one is being typed.
    const fault = state.report?.faults.find(({ field }) => field === name);
    return fault ?? (errors[name] ? { message: errors[name] } : null);
  };
  const isEmpty = RULES.every((name) => !values[name]?.trim());
  return html`<div class="stack">
    <div class="row">
      <p class="muted small grow">
        Each rule is a condition on the bars, such as <code>${"rsi(14) < 30"}</code>. Names in braces are parameters.
      </p>
      ${isEmpty &&
      html`<button
        type="button"
        class="button button-small"
        onClick=${() => Object.entries(EXAMPLE_RULES).forEach(([name, text]) => onChange(name, text))}
      >
        Fill in an example
      </button>`}
    </div>
    <div class="rule-grid">
      ${RULES.map(
        (name) =>
          html`<${RuleField}
            key=${name}
            name=${name}
            parameter=${find(name)}
            value=${values[name]}
            fault=${faultOf(name)}
            onChange=${onChange}
          />`,
      )}
    </div>
    <${ParameterField}
      prefix="rule"
      parameter=${{ ...find("parameters"), default_meaning: "n = 14, m = 30" }}
      value=${values.parameters}
      onChange=${(text) => onChange("parameters", text)}
      error=${errors.parameters}
    />
    ${state.report?.reads_model &&
    html`<${RulesModel} user=${user} values=${values} onChange=${onChange} parameters=${strategy.parameters} errors=${errors} />`}
    <div aria-live="polite"><${Report} state=${state} /></div>
    <${Indicators} indicators=${indicators} />
  </div>`;
}
