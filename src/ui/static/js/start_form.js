// What the forms of sweeps and of portfolios share: the choice of a strategy, panels of controls, parameters of bodies.

import { html } from "../vendor/preact-htm.mjs";
import { Field } from "./components.js";
import { ownName, ParameterField, parametersOf, resolve } from "./form.js";

export const MODEL = "model";
export const RULES = "rules";
export const RULE_TEXTS = ["buy", "sell", "short", "cover"];

/** The schema of the body that an operation takes. */
export function bodyOfOperation(description, path) {
  return description.paths[path].post.requestBody.content["application/json"].schema;
}

/** The parameters of an object within a body. */
export function innerParameters(schema, name, components) {
  const property = resolve(schema, components).properties[name];
  const kinds = [property, ...(property.anyOf ?? [])].map((one) => resolve(one, components));
  return parametersOf(kinds.find((kind) => kind.properties), components);
}

/** Which strategy: one of the presets, rules as text, or a stored model. */
export function StrategyChoice({ prefix, presets, models, strategy, onStrategy, file, onFile, modelHelp }) {
  return html`
    <${Field} id=${`${prefix}-strategy`} label="Strategy" help=${strategy.meaning}>
      <select id=${`${prefix}-strategy`} aria-describedby=${`${prefix}-strategy-help`} value=${strategy.name} onChange=${(event) => onStrategy(event.currentTarget.value)}>
        ${presets.map(({ name, label }) => html`<option key=${name} value=${name}>${label}</option>`)}
        <option value=${RULES}>Rules as text</option>
        <option value=${MODEL} disabled=${!models.length}>${models.length ? "A stored model" : "A stored model (you have none)"}</option>
      </select>
    <//>
    ${strategy.name === MODEL &&
    html`<${Field} id=${`${prefix}-model`} label="Model file" help=${modelHelp}>
      <select id=${`${prefix}-model`} aria-describedby=${`${prefix}-model-help`} value=${file ?? ""} onChange=${(event) => onFile(event.currentTarget.value)}>
        <option value="">choose a file</option>
        ${models.map(({ filename, model_name: name }) => html`<option key=${filename} value=${filename}>${name}</option>`)}
      </select>
    <//>`}
  `;
}

/** Parameters as labeled controls. */
export function Fields({ prefix, parameters, values, onChange, errors }) {
  return html`<div class="form-grid">
    ${parameters.map(
      (parameter) =>
        html`<${ParameterField}
          key=${parameter.name}
          prefix=${prefix}
          parameter=${parameter}
          value=${values[ownName(parameter)]}
          onChange=${(text) => onChange(ownName(parameter), text)}
          error=${errors[ownName(parameter)]}
        />`,
    )}
  </div>`;
}

export function Panel({ id, title, children }) {
  return html`<section class="panel" aria-labelledby=${id}>
    <div class="panel-head"><h2 id=${id}>${title}</h2></div>
    <div class="panel-body stack">${children}</div>
  </section>`;
}
