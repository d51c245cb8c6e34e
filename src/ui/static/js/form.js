// Forms made from what the service says about its parameters: name, type, unit, bounds, choices, default, meaning.
// The service checks every value; a page only turns text into what JSON needs.

import { html } from "../vendor/preact-htm.mjs";
import { Field } from "./components.js";
import { formatName } from "./format.js";

/** What to send for the text of a control; undefined if it is empty, so that the default applies. */
export function toValue(parameter, text) {
  if (typeof text === "boolean") return text || undefined;
  const trimmed = String(text ?? "").trim();
  if (trimmed === "") return undefined;
  switch (parameter.type) {
    case "INTEGER":
    case "NUMBER":
      return toNumber(trimmed);
    case "TEXTS":
      return trimmed
        .split(/[,\n]/)
        .map((name) => name.trim())
        .filter(Boolean);
    case "NUMBERS_BY_NAME":
      return toNumbersByName(trimmed);
    case "OBJECTS":
      return toObjects(trimmed);
    default:
      return trimmed;
  }
}

/** The name of a parameter without the object that holds it: model_path of model.model_path. */
export function ownName({ name }) {
  return name.split(".").at(-1);
}

/** What to send for the texts of controls by own name; parameters with a dot stand in objects of their own. */
export function valuesToSend(parameters, values) {
  const found = {};
  for (const parameter of parameters) {
    const value = toValue(parameter, values[ownName(parameter)]);
    if (value === undefined) continue;
    const [name, inner] = parameter.name.split(".");
    if (inner === undefined) found[name] = value;
    else found[name] = { ...found[name], [inner]: value };
  }
  return found;
}

// Text that is no number goes to the service as it is: its message says what is allowed.
function toNumber(text) {
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}

// Text that is no JSON goes to the service as it is, too.
function toObjects(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function toNumbersByName(text) {
  const found = {};
  for (const part of text.split(/[,\n]/).filter((one) => one.trim())) {
    const [name, value = ""] = part.split(/[=:]/);
    found[name.trim()] = toNumber(value.trim());
  }
  return found;
}

const isObject = (value) => typeof value === "object" && value !== null;

/** The text of a control for a value of the service. */
export function toText(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.some(isObject) ? JSON.stringify(value) : value.join(", ");
  if (typeof value === "object") {
    return Object.entries(value)
      .map(([name, one]) => `${name} = ${one}`)
      .join(", ");
  }
  return typeof value === "boolean" ? value : String(value);
}

/** A message of the service with the labels of the controls in place of its names of fields, and of their paths. */
export function withLabels(message, names) {
  const known = [...names].sort((one, other) => other.length - one.length);
  // A name of one word may be a word of the sentence, so that it counts only where messages begin with their field.
  const anywhere = known.filter((name) => name.includes("_"));
  const pattern = (some, before) => new RegExp(`${before}(?:\\w+\\.)*(${some.join("|")})(?![\\w.'])`, "g");
  const replace = (text, some, before) =>
    some.length ? text.replace(pattern(some, before), (_, name) => formatName(name)) : text;
  return replace(replace(message, known, "^"), anywhere, "(?<![\\w.'])");
}

function placeholderOf(parameter) {
  if (parameter.default !== null && parameter.default !== undefined) return toText(parameter.default);
  if (parameter.type === "OBJECTS") return toText(parameter.example);
  return parameter.default_meaning ?? "";
}

function Control({ id, parameter, value, onChange, isInvalid, describedBy }) {
  const common = { id, "aria-invalid": isInvalid ? "true" : undefined, "aria-describedby": describedBy };
  const onInput = (event) => onChange(event.currentTarget.value);
  if (parameter.type === "CHOICE") {
    const fallback = placeholderOf(parameter);
    return html`<select ...${common} value=${value ?? ""} onChange=${onInput}>
      <option value="">${fallback ? `default: ${fallback}` : "not set"}</option>
      ${parameter.choices.map((choice) => html`<option key=${choice} value=${choice}>${choice}</option>`)}
    </select>`;
  }
  if (parameter.type === "BOOLEAN") {
    return html`<input
      ...${common}
      type="checkbox"
      checked=${value === true}
      onChange=${(event) => onChange(event.currentTarget.checked)}
    />`;
  }
  const isNumber = parameter.type === "INTEGER" || parameter.type === "NUMBER";
  // A date control cannot show an instant, which an earlier run may have.
  const isDay = parameter.isDate && /^(\d{4}-\d\d-\d\d)?$/.test(value ?? "");
  return html`<input
    ...${common}
    type=${isDay ? "date" : "text"}
    inputmode=${isNumber ? "decimal" : undefined}
    value=${value ?? ""}
    placeholder=${placeholderOf(parameter)}
    autocomplete="off"
    spellcheck=${false}
    onInput=${onInput}
  />`;
}

/** A parameter as a labeled control; `error` is the service's message about it. */
export function ParameterField({ prefix, parameter, value, onChange, error, label }) {
  const id = `${prefix}-${parameter.name}`;
  const describedBy = [error && `${id}-error`, parameter.meaning && `${id}-help`].filter(Boolean).join(" ") || undefined;
  return html`<${Field}
    id=${id}
    label=${label ?? formatName(parameter.name)}
    unit=${parameter.unit}
    help=${parameter.meaning}
    error=${error}
  >
    <${Control}
      id=${id}
      parameter=${parameter}
      value=${value}
      onChange=${onChange}
      isInvalid=${Boolean(error)}
      describedBy=${describedBy}
    />
  <//>`;
}

const TYPES = { integer: "INTEGER", number: "NUMBER", boolean: "BOOLEAN" };

function typeOf(kind, components) {
  const isOfObjects = kind.type === "array" && resolve(kind.items, components).type === "object";
  return isOfObjects ? "OBJECTS" : TYPES[kind.type];
}

/** A JSON Schema, or the component of the OpenAPI document that it refers to; what stands beside a reference wins. */
export function resolve(schema, components) {
  if (!schema.$ref) return schema;
  return { ...components.schemas[schema.$ref.split("/").at(-1)], ...schema };
}

/** The parameters of a JSON Schema's object, as the catalog of strategies describes its own. */
export function parametersOf(schema, components) {
  return Object.entries(resolve(schema, components).properties).map(([name, property]) => {
    const kinds = [property, ...(property.anyOf ?? [])].map((one) => resolve(one, components));
    const choices = kinds.find((kind) => kind.enum)?.enum ?? [];
    return {
      name,
      meaning: property.description ?? "",
      type: choices.length ? "CHOICE" : (kinds.map((kind) => typeOf(kind, components)).find(Boolean) ?? "TEXT"),
      example: property.examples?.[0],
      unit: null,
      choices,
      default: null,
      default_meaning: /[Dd]efault ([^.]+(?:\.\d+)?)\.?$/.exec(property.description ?? "")?.[1] ?? null,
      isDate: name.endsWith("_date"),
    };
  });
}
