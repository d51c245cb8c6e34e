// Each symbol's share in a portfolio, as a table that can be sorted by any column.

import { html, useState } from "../../vendor/preact-htm.mjs";
import { formatAdaptive, formatCount, formatNumber, formatPercent, formatSigned, formatSignedPercent, signClass } from "../format.js";
import { announce } from "../shell.js";
import { SortButton } from "../sweep/rows.js";

const percent = (value) => formatPercent(value, 1);
const signedPercent = (value) => formatSignedPercent(value, 2);

/** [name, label, format, whether its sign has a color] */
const COLUMNS = [
  ["profit", "Profit", (value) => formatSigned(value, 2), true],
  ["contribution", "Of the starting cash", signedPercent, true],
  ["buy_and_hold_return", "Held, no costs", signedPercent, true],
  ["total_trades", "Closed trades", formatCount],
  ["open_trades", "Open", formatCount],
  ["win_rate", "Win rate", percent],
  ["profit_factor", "Profit factor", (value) => formatNumber(value, 2)],
  ["best_trade", "Best trade", signedPercent, true],
  ["worst_trade", "Worst trade", signedPercent, true],
  ["average_trade_duration", "Bars held", (value) => formatNumber(value, 1)],
  ["exposure", "In the market", percent],
  ["total_fees", "Fees", formatAdaptive],
  ["total_funding", "Funding", formatAdaptive],
  ["refused_entries", "Refused entries", formatCount],
  ["reduced_entries", "Cut entries", formatCount],
  ["dropped_entries", "Dropped entries", formatCount],
  ["ambiguous_bars", "Ambiguous bars", formatCount],
  ["liquidations", "Liquidations", formatCount],
  ["bars", "Bars", formatCount],
];
/** Columns that are left out if they have nothing to say of any symbol. */
const OFTEN_EMPTY = new Set(["total_funding", "reduced_entries", "dropped_entries", "ambiguous_bars", "liquidations"]);
const SYMBOL = "symbol";

/** Rows in order: what has no figure stays last, whichever the direction. */
function inOrder(symbols, { by, descending }) {
  if (by === null) return symbols;
  const direction = descending ? -1 : 1;
  return [...symbols].sort((one, other) => {
    if (one[by] === null || other[by] === null) return (one[by] === null) - (other[by] === null);
    if (by === SYMBOL) return direction * one[by].localeCompare(other[by]);
    return direction * (one[by] - other[by]);
  });
}

export function Symbols({ symbols }) {
  const [sort, setSort] = useState({ by: null, descending: false });
  function onSort(name) {
    setSort((old) => ({ by: name, descending: old.by === name ? !old.descending : name !== SYMBOL }));
    announce(`Sorted by ${name.replaceAll("_", " ")}`);
  }
  const columns = COLUMNS.filter(([name]) => !OFTEN_EMPTY.has(name) || symbols.some((one) => one[name]));
  return html`<section class="panel" aria-labelledby="symbols">
    <div class="panel-head">
      <h2 id="symbols">By symbol</h2>
      ${sort.by !== null &&
      html`<button type="button" class="button button-quiet button-small" onClick=${() => setSort({ by: null, descending: false })}>As listed</button>`}
    </div>
    <div class="table-wrap" role="region" aria-labelledby="symbols" tabindex="0">
      <table class="table table-wraps symbol-rows">
        <caption class="visually-hidden">What each symbol gained, and how it was traded</caption>
        <thead>
          <tr>
            <${SortButton} name=${SYMBOL} label="Symbol" sort=${sort} onSort=${onSort} isText />
            ${columns.map(([name, label]) => html`<${SortButton} key=${name} name=${name} label=${label} sort=${sort} onSort=${onSort} />`)}
          </tr>
        </thead>
        <tbody>
          ${inOrder(symbols, sort).map(
            (one) => html`<tr key=${one.symbol} data-symbol=${one.symbol}>
              <th scope="row">${one.symbol}</th>
              ${columns.map(
                ([name, , format, isSigned]) => html`<td key=${name} data-name=${name} class=${`number ${isSigned ? signClass(one[name]) : ""}`}>${format(one[name])}</td>`,
              )}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
