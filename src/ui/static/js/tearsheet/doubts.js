// What makes a result doubtful: the first thing on the sheet, and never collapsed.

import { html } from "../../vendor/preact-htm.mjs";
import { Verdict, verdictWords } from "../components.js";

const MARKS = { DISPROVED: "✕", TOO_LITTLE_DATA: "○", UNDERPOWERED: "◔", DOUBTFUL: "!" };

function Reason({ reason }) {
  return html`<li class="reason" data-level=${reason.level ?? "NOTE"}>
    <span class="reason-mark" aria-hidden="true">${MARKS[reason.level] ?? "i"}</span>
    <span>
      <span class="visually-hidden">${reason.level ? `${verdictWords(reason.level)[0]}: ` : "Note: "}</span>
      ${reason.text}
    </span>
  </li>`;
}

/** The verdict in words, its reasons, other warnings of the run, and what was not checked. */
export function Doubts({ run }) {
  const verdict = run.judgement?.verdict ?? null;
  const reasons = verdict?.reasons ?? [];
  const texts = new Set(reasons.map((reason) => reason.text));
  const others = run.warnings.filter((text) => !texts.has(text)).map((text) => ({ level: null, text }));
  const all = [...reasons, ...others];
  const level = run.verdict_level;
  return html`<section class="doubts" data-level=${level ?? "NONE"} aria-labelledby="doubts-title">
    <div class="doubts-head">
      <h2 id="doubts-title"><span class="visually-hidden">Verdict: </span><${Verdict} level=${level} /></h2>
      <p>${verdictWords(level)[1]}</p>
    </div>
    ${all.length > 0 &&
    html`<ul class="reasons">
      ${all.map((reason, index) => html`<${Reason} key=${index} reason=${reason} />`)}
    </ul>`}
    ${verdict?.not_checked.length > 0 &&
    html`<div class="unchecked">
      <h3>Not checked</h3>
      <ul>
        ${verdict.not_checked.map((item) => html`<li key=${item.code}>${item.why}</li>`)}
      </ul>
    </div>`}
  </section>`;
}
