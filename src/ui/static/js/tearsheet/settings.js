// How the result came about: settings, hashes, versions, all metrics, and running it again.

import { html, useState } from "../../vendor/preact-htm.mjs";
import { ErrorNotice } from "../components.js";
import {
  formatAdaptive,
  formatCount,
  formatCounted,
  formatInstant,
  formatName,
  formatNumber,
  formatSetting,
  isNothing,
} from "../format.js";

function wordOf(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : formatNumber(value, 10, false);
  return /^\d{4}-\d\d-\d\dT/.test(value) ? formatInstant(value) : String(value);
}

function Facts({ entries }) {
  return html`<dl class="facts">
    ${entries.map(([name, value, isMono]) => html`<div key=${name} class=${isMono ? "fact-wide" : ""}><dt>${formatName(name)}</dt><dd class=${isMono ? "mono" : ""}>${formatSetting(value, wordOf)}</dd></div>`)}
  </dl>`;
}

function Rerun({ actions }) {
  const [state, setState] = useState({});
  async function onClick() {
    setState({ isBusy: true });
    try {
      setState({ rerun: await actions.rerun() });
    } catch (error) {
      setState({ error });
    }
  }
  const { rerun, error, isBusy } = state;
  return html`<div class="stack">
    <div class="row">
      <button type="button" class="button" disabled=${isBusy} onClick=${onClick}>${isBusy ? "Running …" : "Run again"}</button>
      <span class="muted small">On the same bars, and compares every figure.</span>
    </div>
    <div role="status">
      ${rerun &&
      html`<div class=${`notice ${rerun.is_reproduced ? "notice-good" : ""}`}>
        <strong>${rerun.is_reproduced ? "Reproduced to the last bit" : "The new result differs"}</strong>
        ${rerun.differences.map((text) => html`<p key=${text}>${text}</p>`)}
        <p><a href=${actions.runUrl(rerun.result.id)}>The new result</a></p>
      </div>`}
    </div>
    ${error && html`<${ErrorNotice} error=${error} title="It could not be run again" />`}
  </div>`;
}

const TEXTS = new Set(["strategy_name", "start", "end", "annualisation"]);
const COUNTS = new Set(["bars", "total_trades", "open_trades", "winning_trades", "losing_trades", "max_drawdown_duration", "max_consecutive_wins", "max_consecutive_losses"]); // prettier-ignore

export function Metrics({ metrics }) {
  const shown = Object.entries(metrics).filter(([name]) => !TEXTS.has(name));
  return html`<details class="twin">
    <summary>All ${formatCount(shown.length)} metrics</summary>
    <div class="panel-body">
      <dl class="facts">
        ${shown.map(([name, value]) => html`<div key=${name}><dt>${formatName(name)}</dt><dd>${COUNTS.has(name) ? formatCount(value) : value === null ? "–" : formatAdaptive(value)}</dd></div>`)}
      </dl>
    </div>
  </details>`;
}

/** Whether a setting is a list of objects, as scaled targets are. */
function isLadder(value) {
  return Array.isArray(value) && value.length > 0 && typeof value[0] === "object";
}

export function Settings({ run, actions }) {
  const { strategy } = run;
  const parameters = Object.entries(strategy.parameters ?? {}).filter(([, value]) => !isNothing(value));
  const own = new Set(parameters.map(([name]) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)));
  const settings = Object.entries(run.settings).filter(
    ([name, value]) => value !== null && (typeof value !== "object" || isLadder(value)) && !own.has(name),
  );
  return html`<section class="panel" aria-labelledby="settings-title">
    <div class="panel-head"><h2 id="settings-title">How it was made</h2></div>
    <div class="panel-body stack-large">
      <div>
        <h3>Strategy: ${strategy.name}</h3>
        ${parameters.length > 0 && html`<${Facts} entries=${parameters} />`}
      </div>
      <div>
        <h3>Settings</h3>
        <${Facts} entries=${[["symbol", run.symbol], ["interval", run.interval], ["engine", run.engine], ["bars from", run.origin], ...settings]} />
      </div>
      <div>
        <h3>Fingerprints</h3>
        <${Facts}
          entries=${[
            ["id", run.id, true],
            ["SHA-256 of the bars", run.data_fingerprint, true],
            ...(run.model_sha256 ? [["SHA-256 of the model", run.model_sha256, true]] : []),
            ["versions", run.versions.map(({ name, version }) => `${name} ${version}`), true],
          ]}
        />
        <p class="small muted">${formatCounted(run.data_quality.missing_bars, "bar")} missing, made ${formatInstant(run.created_at)} UTC by ${run.user_id}.</p>
      </div>
      ${actions && html`<${Rerun} actions=${actions} />`}
    </div>
    <${Metrics} metrics=${run.metrics} />
  </section>`;
}
