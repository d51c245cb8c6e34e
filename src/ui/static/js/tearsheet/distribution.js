// The histogram of returns per bar, with value at risk; and the same as a table.

import { html } from "../../vendor/preact-htm.mjs";
import { formatCount, formatNumber, formatPercent, formatSigned, formatSignedPercent } from "../format.js";

const WIDTH = 640;
const HEIGHT = 180;
const BASE = 156;
const TOP = 12;
const LABELS = 6;
const CUT_AT = 4;

/** Where a value lies on an axis on which all bins are equally wide, the outer ones as well. */
function xOf(bins, value) {
  const at = bins.findIndex((bin) => value <= bin.high);
  const index = at < 0 ? bins.length - 1 : at;
  const { low, high } = bins[index];
  const share = high > low ? (value - low) / (high - low) : 0.5;
  return ((index + Math.min(1, Math.max(0, share))) / bins.length) * WIDTH;
}

function limitText(bins, index) {
  return `${formatSigned(index < bins.length ? bins[index].low : bins.at(-1).high, 2)}`;
}

/** The bin of the bars that returned exactly 0, which the service counts apart. */
function isFlat({ low, high }) {
  return low === high;
}

function rangeText({ low, high }) {
  return low === high ? `Exactly ${formatSignedPercent(low)}` : `${formatSignedPercent(low)} to ${formatSignedPercent(high)}`;
}

function Histogram({ bins, risk }) {
  // Bars without a position all return 0: that bin would leave nothing of the others, so it is cut and says its count.
  const [tallest, second = 0] = bins.map((bin) => bin.count).sort((one, other) => other - one);
  const isCut = second > 0 && tallest > CUT_AT * second;
  const most = isCut ? second * 1.35 : tallest;
  const wide = WIDTH / bins.length;
  const step = Math.max(1, Math.ceil(bins.length / LABELS));
  const x = xOf(bins, risk);
  return html`<svg class="histogram" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label="Histogram of returns per bar; the table below has its numbers">
    ${bins.map((bin, index) => {
      const height = Math.min(1, bin.count / most) * (BASE - TOP);
      const side = isFlat(bin) ? "even" : bin.high <= 0 ? "loss" : bin.low >= 0 ? "gain" : "even";
      return html`<rect key=${index} class=${`bin bin-${side}`} data-count=${bin.count} x=${index * wide + 0.75} y=${BASE - height} width=${Math.max(1, wide - 1.5)} height=${height}>
        <title>${rangeText(bin)}: ${formatCount(bin.count)}</title>
      </rect>`;
    })}
    <line class="axis" x1="0" x2=${WIDTH} y1=${BASE} y2=${BASE} />
    ${bins.map((bin, index) => index > 0 && index % step === 0 && html`<text key=${index} class="tick" x=${index * wide} y=${HEIGHT - 6} text-anchor="middle">${limitText(bins, index)}</text>`)}
    ${isCut && bins.map((bin, index) => bin.count === tallest && html`<g key=${index}>
        <path class="cut" d=${`M${index * wide - 3} ${TOP + 26} l${wide + 6} -7`} />
        <text class="risk-text" x=${(index + 1) * wide + 6} y=${TOP + 26}>${formatCount(bin.count)} bars</text>
      </g>`)}
    <line class="risk" x1=${x} x2=${x} y1=${TOP} y2=${BASE} />
    <text class="risk-text risk-label" x=${x - 6} y=${TOP + 8} text-anchor="end">VaR 95 % ${formatSignedPercent(risk)}</text>
  </svg>`;
}

const FIGURES = [
  ["value_at_risk_95", "Value at risk, 95 %"],
  ["expected_shortfall_95", "Expected shortfall, 95 %"],
  ["mean", "Mean"],
  ["median", "Median"],
  ["worst", "Worst bar"],
  ["best", "Best bar"],
];

export function Distribution({ distribution }) {
  const { bins } = distribution;
  return html`<section class="panel" aria-labelledby="distribution-title">
    <div class="panel-head">
      <h2 id="distribution-title">Returns per bar</h2>
      <span class="muted small">The outer bins reach to the worst and the best bar${bins.length > 1 && bins.some(isFlat) && "; the gray one has the bars that returned 0"}</span>
    </div>
    <div class="panel-body">
      ${bins.length > 1
        ? html`<${Histogram} bins=${bins} risk=${distribution.value_at_risk_95} />`
        : html`<p class="muted">Every bar returned ${formatSignedPercent(bins[0].low)}.</p>`}
      <dl class="facts">
        ${FIGURES.map(([name, label]) => html`<div key=${name}><dt>${label}</dt><dd>${formatSignedPercent(distribution[name])}</dd></div>`)}
        <div><dt>Deviation</dt><dd>${formatPercent(distribution.deviation)}</dd></div>
        <div><dt>Bars up / down</dt><dd>${formatCount(distribution.gaining_bars)} / ${formatCount(distribution.losing_bars)}</dd></div>
      </dl>
    </div>
    <details class="twin">
      <summary>Histogram as a table</summary>
      <div class="table-wrap table-tall" tabindex="0" role="region" aria-label="Histogram">
        <table class="table">
          <thead><tr><th scope="col" class="number">From, %</th><th scope="col" class="number">To, %</th><th scope="col" class="number">Bars</th></tr></thead>
          <tbody>
            ${bins.map((bin, index) => html`<tr key=${index}><td class="number">${formatSigned(bin.low)}</td><td class="number">${formatSigned(bin.high)}</td><td class="number">${formatNumber(bin.count, 0)}</td></tr>`)}
          </tbody>
        </table>
      </div>
    </details>
  </section>`;
}
