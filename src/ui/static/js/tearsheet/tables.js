// The worst trades and the worst drawdowns; a row leads to its place in the charts.

import { html } from "../../vendor/preact-htm.mjs";
import { Empty } from "../components.js";
import {
  formatAdaptive,
  formatCount,
  formatCounted,
  formatDay,
  formatInstant,
  formatNumber,
  formatPercent,
  formatSigned,
  formatSignedPercent,
  signClass,
} from "../format.js";
import { REASONS, Shape } from "./panes.js";
import { shapeOf } from "../shapes.js";

/** Days if all bars are days or longer, else minutes. */
export function instantFormat(run) {
  return /^\d*[dwM]$|^1M$/.test(run.interval) ? formatDay : formatInstant;
}

function PlaceButton({ label, onClick, children }) {
  return html`<button type="button" class="link-button" aria-label=${label} onClick=${onClick}>${children}</button>`;
}

export function Trades({ run, trades, onShow }) {
  const format = instantFormat(run);
  if (trades.total === 0) {
    return html`<section class="panel" aria-labelledby="trades-title">
      <div class="panel-head"><h2 id="trades-title">Worst trades</h2></div>
      <${Empty} title="No trades"><p>The strategy never entered the market, so its equity is the starting cash.</p><//>
    </section>`;
  }
  return html`<section class="panel" aria-labelledby="trades-title">
    <div class="panel-head">
      <h2 id="trades-title">Worst trades</h2>
      <span class="muted small">${formatCount(trades.items.length)} of ${formatCounted(trades.total, "trade")}</span>
    </div>
    <div class="table-wrap" tabindex="0" role="region" aria-labelledby="trades-title">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Entry</th><th scope="col">Exit</th><th scope="col">Side</th>
            <th scope="col" class="number">Bars</th><th scope="col" class="number">Entry at</th><th scope="col" class="number">Exit at</th>
            <th scope="col" class="number">Profit</th><th scope="col" class="number">Return</th><th scope="col">Exit by</th>
          </tr>
        </thead>
        <tbody>
          ${trades.items.map(
            (trade) => html`<tr key=${`${trade.entry_bar} ${trade.exit_bar}`}>
              <td class="nowrap">
                <${PlaceButton} label=${`Show the trade of ${format(trade.entry_time)} in the charts`} onClick=${() => onShow(trade.entry_time, trade.exit_time)}>
                  ${format(trade.entry_time)}
                <//>
              </td>
              <td class="nowrap">${trade.is_open ? "open" : format(trade.exit_time)}</td>
              <td>${trade.direction}</td>
              <td class="number">${formatCount(trade.bars_held)}</td>
              <td class="number">${formatAdaptive(trade.entry_price)}</td>
              <td class="number">${formatAdaptive(trade.exit_price)}</td>
              <td class=${`number ${signClass(trade.profit)}`}>${formatSigned(trade.profit, 2)}</td>
              <td class=${`number ${signClass(trade.return)}`}>${formatSignedPercent(trade.return)}</td>
              <td class="nowrap">
                ${trade.exit_reason
                  ? html`<${Shape} name=${shapeOf(trade.direction === "long" ? "sell" : "buy", trade.exit_reason)} /> ${REASONS[trade.exit_reason] ?? trade.exit_reason}`
                  : "–"}
              </td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

export function Drawdowns({ run, drawdowns, onShow }) {
  const format = instantFormat(run);
  return html`<section class="panel" aria-labelledby="drawdowns-title">
    <div class="panel-head"><h2 id="drawdowns-title">Worst drawdowns</h2></div>
    ${drawdowns.items.length === 0
      ? html`<${Empty} title="No drawdown"><p>Equity never fell below its peak.</p><//>`
      : html`<div class="table-wrap" tabindex="0" role="region" aria-labelledby="drawdowns-title">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">From</th><th scope="col">Lowest</th><th scope="col">Recovered</th>
                <th scope="col" class="number">Bars</th><th scope="col" class="number">Depth</th>
              </tr>
            </thead>
            <tbody>
              ${drawdowns.items.map(
                (period) => html`<tr key=${period.start}>
                  <td class="nowrap">
                    <${PlaceButton} label=${`Show the drawdown of ${format(period.start)} in the charts`} onClick=${() => onShow(period.start, period.end ?? run.metrics.end)}>
                      ${format(period.start)}
                    <//>
                  </td>
                  <td class="nowrap">${format(period.bottom)}</td>
                  <td class="nowrap">${period.end ? format(period.end) : "not yet"}</td>
                  <td class="number">${formatCount(period.bars)}</td>
                  <td class="number loss">${formatPercent(period.depth)}</td>
                </tr>`,
              )}
            </tbody>
          </table>
        </div>`}
  </section>`;
}

/** Gross profit, what slippage, fees and funding took, and net profit, each with a bar on one scale. */
export function Costs({ run, costs }) {
  const rows = [
    ["gross_profit", "Gross profit", costs.gross_profit],
    ["slippage", "Slippage", -costs.slippage],
    ["fees", "Fees", -costs.fees],
    ...(costs.funding ? [["funding", "Funding", -costs.funding]] : []),
    ["net_profit", "Net profit", costs.net_profit],
  ];
  const largest = Math.max(...rows.map(([, , value]) => Math.abs(value))) || 1;
  const fee = run.judgement?.benchmarks.break_even_fee ?? null;
  const charged = run.settings.fees;
  return html`<section class="panel" aria-labelledby="costs-title">
    <div class="panel-head">
      <h2 id="costs-title">Costs, gross to net</h2>
      <span class="muted small">Quote currency</span>
    </div>
    <div class="table-wrap">
      <table class="table costs">
        <tbody>
          ${rows.map(
            ([name, label, value]) => html`<tr key=${name} class=${name === "net_profit" ? "total" : ""}>
              <th scope="row">${label}</th>
              <td class="bar-cell" aria-hidden="true">
                <i class=${`cost-bar ${value < 0 ? "cost-loss" : "cost-gain"}`} style=${{ width: `${(Math.abs(value) / largest) * 100}%` }}></i>
              </td>
              <td class=${`number ${signClass(value)}`}>${formatSigned(value, 2)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${fee !== null &&
    html`<p class="panel-note small muted">
      The return is 0 at a fee of ${formatNumber(fee * 100, 3, false)} % a side${typeof charged === "number" ? `; charged were ${formatNumber(charged * 100, 3, false)} %.` : "."}
    </p>`}
  </section>`;
}
