// What a sweep varies, and which combinations it leaves out: rows of a form, and what to send for them.

import { html } from "../../vendor/preact-htm.mjs";
import { Field } from "../components.js";
import { formatName } from "../format.js";

const OPERATORS = [
  ["LESS", "<"],
  ["AT_MOST", "≤"],
  ["GREATER", ">"],
  ["AT_LEAST", "≥"],
  ["EQUAL", "="],
  ["NOT_EQUAL", "≠"],
];
const SWEPT_TYPES = ["INTEGER", "NUMBER", "CHOICE"];
/** Settings of the run that are no trading rule. */
const NEVER = ["engine", "period", "bars_per_year", "risk_free_rate", "use_fallback", "cross_check", "label_horizon", "output_kind"];

export const canBeSwept = ({ name, type }) => SWEPT_TYPES.includes(type) && !NEVER.includes(name);

// Text that is no number goes to the service as it is: its message says what is allowed.
function toItem(text) {
  const trimmed = text.trim();
  const number = Number(trimmed);
  return trimmed !== "" && Number.isFinite(number) ? number : trimmed;
}

function toItems(text) {
  return text
    .split(/[,\n]/)
    .map(toItem)
    .filter((one) => one !== "");
}

export function parametersToSend(swept) {
  return swept.map(({ name, from, to, step, list }) => {
    if (list.trim()) return { name, values: toItems(list) };
    const range = { from: toItem(from), to: toItem(to) };
    if (step.trim()) range.step = toItem(step);
    return { name, range };
  });
}

export function constraintsToSend(constraints, metrics) {
  return constraints
    .filter(({ right }) => right.trim())
    .map(({ left, operator, right }) =>
      metrics.includes(left) ? { metric: left, operator, value: toItem(right) } : { left, operator, right: toItem(right) },
    );
}

export function emptyParameter({ name, choices }) {
  return { name, from: "", to: "", step: "", list: choices?.length ? choices.join(", ") : "" };
}

function TextField({ id, label, value, onChange, placeholder, help }) {
  return html`<${Field} id=${id} label=${label} help=${help}>
    <input
      id=${id}
      value=${value}
      placeholder=${placeholder}
      autocomplete="off"
      spellcheck=${false}
      aria-describedby=${help ? `${id}-help` : undefined}
      onInput=${(event) => onChange(event.currentTarget.value)}
    />
  <//>`;
}

function Swept({ item, parameter, onChange, onRemove }) {
  const id = `swept-${item.name}`;
  const isChoice = parameter?.type === "CHOICE";
  const change = (name) => (text) => onChange({ ...item, [name]: text });
  const hasList = Boolean(item.list.trim());
  return html`<fieldset class="swept" data-name=${item.name}>
    <legend class="legend">${formatName(item.name)} ${parameter?.unit && html`<span class="unit">${parameter.unit}</span>`}</legend>
    <div class="swept-fields">
      ${!isChoice &&
      !hasList &&
      html`
        <${TextField} id=${`${id}-from`} label="From" value=${item.from} onChange=${change("from")} />
        <${TextField} id=${`${id}-to`} label="To" value=${item.to} onChange=${change("to")} />
        <${TextField} id=${`${id}-step`} label="Step" value=${item.step} placeholder=${parameter?.type === "INTEGER" ? "1" : ""} onChange=${change("step")} />
      `}
      <div class="swept-list">
        <${TextField} id=${`${id}-list`} label=${isChoice ? "Values" : "Or these values"} value=${item.list} placeholder=${isChoice ? "" : "5, 10, 20"} onChange=${change("list")} />
      </div>
      <button type="button" class="button button-quiet button-small" aria-label=${`Remove ${formatName(item.name)}`} onClick=${onRemove}>Remove</button>
    </div>
    ${parameter?.meaning && html`<p class="help">${parameter.meaning}</p>`}
  </fieldset>`;
}

/** The swept parameters; `known` are all that can be swept. */
export function SweptForm({ swept, known, onChange }) {
  const others = known.filter(({ name }) => !swept.some((item) => item.name === name));
  const replace = (index, item) => onChange(swept.map((old, at) => (at === index ? item : old)));
  return html`<div class="stack">
    ${swept.map(
      (item, index) => html`<${Swept}
        key=${item.name}
        item=${item}
        parameter=${known.find(({ name }) => name === item.name)}
        onChange=${(next) => replace(index, next)}
        onRemove=${() => onChange(swept.filter((_, at) => at !== index))}
      />`,
    )}
    ${others.length > 0 &&
    html`<${Field} id="add-parameter" label=${swept.length ? "Sweep one more" : "Sweep a parameter"}>
      <select
        id="add-parameter"
        value=""
        onChange=${(event) => {
          const parameter = others.find(({ name }) => name === event.currentTarget.value);
          event.currentTarget.value = "";
          if (parameter) onChange([...swept, emptyParameter(parameter)]);
        }}
      >
        <option value="">choose a parameter</option>
        ${others.map(({ name }) => html`<option key=${name} value=${name}>${formatName(name)}</option>`)}
      </select>
    <//>`}
  </div>`;
}

export function ConstraintsForm({ constraints, swept, metrics, onChange }) {
  const replace = (index, changes) => onChange(constraints.map((old, at) => (at === index ? { ...old, ...changes } : old)));
  return html`<div class="stack">
    ${constraints.map((item, index) => {
      const number = index + 1;
      return html`<div class="constraint" role="group" aria-label=${`Constraint ${number}`} key=${index}>
        <select aria-label=${`Left side of constraint ${number}`} value=${item.left} onChange=${(event) => replace(index, { left: event.currentTarget.value })}>
          <optgroup label="Swept parameters">
            ${swept.map(({ name }) => html`<option key=${name} value=${name}>${formatName(name)}</option>`)}
          </optgroup>
          <optgroup label="Metrics of the best">
            ${metrics.map((name) => html`<option key=${name} value=${name}>${formatName(name)}</option>`)}
          </optgroup>
        </select>
        <select aria-label=${`Operator of constraint ${number}`} value=${item.operator} onChange=${(event) => replace(index, { operator: event.currentTarget.value })}>
          ${OPERATORS.map(([name, sign]) => html`<option key=${name} value=${name}>${sign}</option>`)}
        </select>
        <input aria-label=${`Right side of constraint ${number}`} value=${item.right} placeholder="a number or a swept parameter" spellcheck=${false} onInput=${(event) => replace(index, { right: event.currentTarget.value })} />
        <button type="button" class="button button-quiet button-small" aria-label=${`Remove constraint ${number}`} onClick=${() => onChange(constraints.filter((_, at) => at !== index))}>Remove</button>
      </div>`;
    })}
    <button type="button" class="button button-small" disabled=${!swept.length} onClick=${() => onChange([...constraints, { left: swept[0].name, operator: "LESS", right: "" }])}>
      Add a constraint
    </button>
  </div>`;
}
