// How alike the symbols of a portfolio moved: a matrix whose numbers can be read, on the colors of heat maps.

import { html, useEffect, useState } from "../../vendor/preact-htm.mjs";
import { formatNumber, formatSigned } from "../format.js";
import { colorOf, isDarkNow } from "../sweep/heat_canvas.js";

const SCALE = { low: -1, high: 1, isSigned: true };
/** The luminance at which black and white text are read equally well. */
const HALF_WAY = 0.179;

function luminance(color) {
  const [red, green, blue] = color.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function Cell({ value, isDark, isOwn }) {
  if (value === null) return html`<td class="number muted">–</td>`;
  const color = colorOf(value, SCALE, isDark);
  const style = { background: `rgb(${color.join(",")})`, color: luminance(color) > HALF_WAY ? "#000" : "#fff" };
  return html`<td class="number" style=${style}>${isOwn ? formatNumber(value, 0) : formatSigned(value)}</td>`;
}

/** correlations: {symbols, values, mean}, the values row after row. */
export function Correlations({ correlations }) {
  const { symbols, values, mean } = correlations;
  const [isDark, setDark] = useState(isDarkNow());
  useEffect(() => {
    const onTheme = () => setDark(isDarkNow());
    document.documentElement.addEventListener("themechange", onTheme);
    return () => document.documentElement.removeEventListener("themechange", onTheme);
  }, []);
  return html`<section class="panel" aria-labelledby="correlations">
    <div class="panel-head">
      <h2 id="correlations">Correlations</h2>
      <span class="small muted">${mean === null ? "No pair has one" : `Mean of the pairs ${formatSigned(mean)}`}</span>
    </div>
    ${symbols.length === 0
      ? html`<p class="panel-body muted">No symbol was ever traded.</p>`
      : html`<div class="table-wrap" tabindex="0" role="region" aria-labelledby="correlations">
          <table class="table correlations">
            <caption class="visually-hidden">Correlation of the profits of each two symbols</caption>
            <thead>
              <tr><td></td>${symbols.map((symbol) => html`<th scope="col" class="number" key=${symbol}>${symbol}</th>`)}</tr>
            </thead>
            <tbody>
              ${symbols.map(
                (symbol, row) => html`<tr key=${symbol}>
                  <th scope="row">${symbol}</th>
                  ${symbols.map((other, column) => html`<${Cell} key=${other} value=${values[row * symbols.length + column]} isDark=${isDark} isOwn=${row === column} />`)}
                </tr>`,
              )}
            </tbody>
          </table>
        </div>`}
    <p class="panel-note small muted">
      Of the profits at each time ÷ the equity before it, where both were held: orange moves against each other, blue together. A dash: too few such times.
    </p>
  </section>`;
}
