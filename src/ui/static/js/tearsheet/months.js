// Returns by calendar month, with years; the color repeats what sign and number say.

import { html } from "../../vendor/preact-htm.mjs";
import { formatSigned } from "../format.js";

const NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const LIMITS = [0.5, 2, 5, 10];

/** "heat-gain-3": the class of a return in per cent. */
export function heatClass(value) {
  if (value === null) return "";
  if (value === 0) return "heat-none";
  const step = LIMITS.filter((limit) => Math.abs(value) >= limit).length;
  return `heat-${value > 0 ? "gain" : "loss"}-${step}`;
}

function Cell({ value, isTotal }) {
  return html`<td class=${`number ${heatClass(value)} ${isTotal ? "total" : ""}`}>${value === null ? "" : formatSigned(value, 1)}</td>`;
}

export function Months({ months }) {
  return html`<section class="panel" aria-labelledby="months-title">
    <div class="panel-head">
      <h2 id="months-title">Monthly returns</h2>
      <span class="muted small">Per cent, after costs, UTC months</span>
    </div>
    <div class="table-wrap" tabindex="0" role="region" aria-labelledby="months-title">
      <table class="table months">
        <thead>
          <tr>
            <th scope="col">Year</th>
            ${NAMES.map((name) => html`<th key=${name} scope="col" class="number">${name}</th>`)}
            <th scope="col" class="number total">Year</th>
          </tr>
        </thead>
        <tbody>
          ${months.years.map(
            (year) => html`<tr key=${year.year}>
              <th scope="row">${year.year}</th>
              ${year.months.map((value, index) => html`<${Cell} key=${index} value=${value} />`)}
              <${Cell} value=${year.total} isTotal />
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
