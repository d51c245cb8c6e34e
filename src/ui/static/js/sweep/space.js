// What a sweep varies, and which combinations it leaves out: rows of a form, and what to send for them.

import { html } from "../../vendor/preact-htm.mjs";
import { Field } from "../components.js";
import { ownName } from "../form.js";
import { formatName } from "../format.js";

const OPERATORS = [
  ["LESS", "<"],
  ["AT_MOST", "≤"],
  ["GREATER", ">"],
  ["AT_LEAST", "≥"],
  ["EQUAL", "="],
  ["NOT_EQUAL", "≠"],
];
const SCALES = [
  ["LINEAR", "Even steps"],
  ["LOGARITHMIC", "Equal ratios"],
];
const SWEPT_TYPES = ["INTEGER", "NUMBER", "CHOICE"];
/** Settings of the run that are no trading rule. */
const NEVER = ["engine", "period", "bars_per_year", "risk_free_rate", "use_fallback", "cross_check", "label_horizon", "output_kind"];

export const canBeSwept = (parameter) => SWEPT_TYPES.includes(parameter.type) && !NEVER.includes(ownName(parameter));

/** The numbers that rules name in braces, as parameters that can be swept; `values` are those given, by name. */
export function numbersOfRules(values) {
  return Object.entries(values ?? {}).map(([name, value]) => ({
    name,
    label: `{${name}}`,
    type: "NUMBER",
    meaning: `${value} if it is not swept. An argument of an indicator may have to be a whole number.`,
  }));
}

const labelOf = (name, parameter) => parameter?.label ?? formatName(name);

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
  return swept.map(({ name, from, to, step, scale, list }) => {
    if (list.trim()) return { name, values: toItems(list) };
    const range = { from: toItem(from), to: toItem(to) };
    if (step.trim()) range.step = toItem(step);
    if (scale) range.scale = scale;
    return { name, range };
  });
}

/** Where in the form a swept parameter is wrong, and why: {[index]: {from, to, step or list: message}}. */
export function sweptErrors(field, message) {
  const [, index, part] = field?.match(/(?:^|\.)parameters\.(\d+)\.(?:range\.)?(from|to|step|values)/) ?? [];
  return index === undefined ? {} : { [index]: { [part === "values" ? "list" : part]: message } };
}

export function constraintsToSend(constraints, metrics) {
  return constraints
    .filter(({ right }) => right.trim())
    .map(({ left, operator, right }) =>
      metrics.includes(left) ? { metric: left, operator, value: toItem(right) } : { left, operator, right: toItem(right) },
    );
}

export function emptyParameter({ name, choices }) {
  return { name, from: "", to: "", step: "", scale: "", list: choices?.length ? choices.join(", ") : "" };
}

function TextField({ id, label, value, onChange, placeholder, error }) {
  return html`<${Field} id=${id} label=${label} error=${error}>
    <input
      id=${id}
      value=${value}
      placeholder=${placeholder}
      autocomplete="off"
      spellcheck=${false}
      aria-invalid=${error ? "true" : undefined}
      aria-describedby=${error ? `${id}-error` : undefined}
      onInput=${(event) => onChange(event.currentTarget.value)}
    />
  <//>`;
}

function RangeFields({ id, item, isWhole, change, errors }) {
  const isLogarithmic = item.scale === "LOGARITHMIC";
  return html`
    <${TextField} id=${`${id}-from`} label="From" value=${item.from} onChange=${change("from")} error=${errors.from} />
    <${TextField} id=${`${id}-to`} label="To" value=${item.to} onChange=${change("to")} error=${errors.to} />
    <${TextField}
      id=${`${id}-step`}
      label=${isLogarithmic ? "Ratio" : "Step"}
      value=${item.step}
      placeholder=${isLogarithmic ? "2" : isWhole ? "1" : ""}
      onChange=${change("step")}
      error=${errors.step}
    />
    <div class="swept-scale">
      <${Field} id=${`${id}-scale`} label="Values lie at">
        <select id=${`${id}-scale`} value=${item.scale || SCALES[0][0]} onChange=${(event) => change("scale")(event.currentTarget.value)}>
          ${SCALES.map(([name, words]) => html`<option key=${name} value=${name}>${words}</option>`)}
        </select>
      <//>
    </div>
  `;
}

function Swept({ item, parameter, onChange, onRemove, errors }) {
  const id = `swept-${item.name}`;
  const label = labelOf(item.name, parameter);
  const isChoice = parameter?.type === "CHOICE";
  const change = (name) => (text) => onChange({ ...item, [name]: text });
  const hasList = Boolean(item.list.trim());
  return html`<fieldset class="swept" data-name=${item.name}>
    <legend class="legend">${label} ${parameter?.unit && html`<span class="unit">${parameter.unit}</span>`}</legend>
    <div class="swept-fields">
      ${!isChoice &&
      !hasList &&
      html`<${RangeFields} id=${id} item=${item} isWhole=${parameter?.type === "INTEGER"} change=${change} errors=${errors} />`}
      <div class="swept-list">
        <${TextField} id=${`${id}-list`} label=${isChoice ? "Values" : "Or these values"} value=${item.list} placeholder=${isChoice ? "" : "5, 10, 20"} onChange=${change("list")} error=${errors.list} />
      </div>
      <button type="button" class="button button-quiet button-small" aria-label=${`Remove ${label}`} onClick=${onRemove}>Remove</button>
    </div>
    ${parameter?.meaning && html`<p class="help">${parameter.meaning}</p>`}
  </fieldset>`;
}

/** The swept parameters; `known` are all that can be swept, `errors` as of `sweptErrors`. */
export function SweptForm({ swept, known, onChange, errors }) {
  const others = known.filter(({ name }) => !swept.some((item) => item.name === name));
  const replace = (index, item) => onChange(swept.map((old, at) => (at === index ? item : old)));
  return html`<div class="stack">
    ${swept.map(
      (item, index) => html`<${Swept}
        key=${item.name}
        item=${item}
        parameter=${known.find(({ name }) => name === item.name)}
        onChange=${(next) => replace(index, next)}
        errors=${errors[index] ?? {}}
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
        ${others.map((one) => html`<option key=${one.name} value=${one.name}>${labelOf(one.name, one)}</option>`)}
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
