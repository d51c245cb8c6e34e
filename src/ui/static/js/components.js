// Parts that several pages use. Text from the service is only ever inserted as text.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.mjs";
import { urlOf } from "./api.js";

/** As many runs as the comparison has colors for. */
export const MAX_COMPARED = 6;

const VERDICTS = {
  DISPROVED: ["Disproved", "Wrong by construction: the figures cannot be believed.", "✕"],
  TOO_LITTLE_DATA: ["Too little data", "Too few trades or bars for any statement.", "○"],
  UNDERPOWERED: ["Luck not excluded", "An edge of this size cannot be told from luck on so few bars.", "◔"],
  DOUBTFUL: ["Doubtful", "At least one check objects.", "!"],
  NO_OBJECTION: ["No objection", "No check objects, which does not mean that the result is good.", "✓"],
};

/** The verdict's level in words; [words, meaning, mark]. */
export function verdictWords(level) {
  return VERDICTS[level] ?? ["Not judged", "Stored by a version that did not judge.", "·"];
}

export function Verdict({ level }) {
  const [words, meaning, mark] = verdictWords(level);
  return html`<span class="verdict" data-level=${level ?? "NONE"} title=${meaning}>
    <span class="verdict-mark" aria-hidden="true">${mark}</span>${words}
  </span>`;
}

/** Load something once its inputs change: [state, reload], state = {data, error, isLoading}. */
export function useLoad(load, inputs) {
  const [state, setState] = useState({ data: null, error: null, isLoading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    setState((old) => ({ data: old.data, error: null, isLoading: true }));
    load(controller.signal).then(
      (data) => setState({ data, error: null, isLoading: false }),
      (error) => {
        if (error.name !== "AbortError") setState({ data: null, error, isLoading: false });
      },
    );
    return () => controller.abort();
  }, [...inputs, round]);
  return [state, () => setRound((old) => old + 1)];
}

export function ErrorNotice({ error, onRetry, title = "That did not work" }) {
  return html`<div class="notice notice-error" role="alert">
    <strong>${title}</strong>
    <p>${error.message}</p>
    ${error.hint && html`<p>${error.hint}</p>`}
    <p class="notice-actions">
      ${onRetry && html`<button type="button" class="button" onClick=${onRetry}>Try again</button>`}
      ${error.helpPath && html`<a href=${urlOf(error.helpPath)}>What ${error.code} means</a>`}
    </p>
  </div>`;
}

/** Gray lines in place of what is loading; announced once to screen readers. */
export function Skeleton({ lines = 4, label = "Loading" }) {
  return html`<div class="skeleton" role="status">
    <span class="visually-hidden">${label} …</span>
    ${Array.from({ length: lines }, (_, index) => html`<span class="skeleton-line" key=${index}></span>`)}
  </div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

/** A labeled control: `children` is the control, which takes the id; the help and the error are read out with it. */
export function Field({ id, label, unit, help, error, isOptional, wide, children }) {
  return html`<div class=${`field${wide ? " field-wide" : ""}${error ? " has-error" : ""}`}>
    <label for=${id}>
      <span>${label}</span>
      ${unit && html`<span class="unit">${unit}</span>`}
      ${isOptional && html`<span class="unit">optional</span>`}
    </label>
    ${children}
    ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
    ${help && html`<p class="help" id=${`${id}-help`}>${help}</p>`}
  </div>`;
}

/** Tabs by the pattern of WAI-ARIA: arrows move, Home and End jump. tabs = [{key, label}] */
export function Tabs({ tabs, current, onChange, label }) {
  const list = useRef(null);
  function onKeyDown(event) {
    const at = tabs.findIndex((tab) => tab.key === current);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const index = (next + tabs.length) % tabs.length;
    onChange(tabs[index].key);
    list.current.children[index].focus();
  }
  return html`<div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${onKeyDown}>
    ${tabs.map(
      (tab) => html`<button
        type="button"
        role="tab"
        key=${tab.key}
        id=${`tab-${tab.key}`}
        aria-controls=${`panel-${tab.key}`}
        aria-selected=${tab.key === current ? "true" : "false"}
        tabindex=${tab.key === current ? 0 : -1}
        onClick=${() => onChange(tab.key)}
      >
        ${tab.label}
      </button>`,
    )}
  </div>`;
}

/** A modal dialog of the browser; Escape and the backdrop's button close it. */
export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.showModal();
    return () => element.current?.close();
  }, []);
  return html`<dialog
    class="dialog"
    ref=${element}
    aria-label=${title}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}
  >
    <h2>${title}</h2>
    ${children}
  </dialog>`;
}

const GONE = "The results are gone for good. The trials stay counted in the ledger.";

/** Asks before results are deleted; `onDelete` may be called a second time if the first one failed. */
export function ConfirmDelete({ title, text = GONE, onDelete, onClose }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${text}</p>
    <div class="row">
      <button type="button" class="button button-primary" onClick=${onDelete}>Delete</button>
      <button type="button" class="button" onClick=${onClose}>Cancel</button>
    </div>
  <//>`;
}

/** A progress bar; `share` is 0 to 1, null if it is not known. */
export function Progress({ share, label }) {
  return html`<progress class="progress" max="1" value=${share ?? undefined} aria-label=${label}></progress>`;
}
