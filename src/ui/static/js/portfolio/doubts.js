// Whether to believe a portfolio: its verdict as that of a run, and its Sharpe ratio after all that its user has tried.

import { html } from "../../vendor/preact-htm.mjs";
import { formatCounted, formatNumber, formatPercent } from "../format.js";
import { Doubts } from "../tearsheet/doubts.js";

/** What a deflation says, in one sentence. */
function describe({ dsr, dsr_dependent, trials, trials_effective: effective, sharpe_hurdle: hurdle }) {
  const known = [dsr, dsr_dependent].filter((one) => one !== null);
  if (!known.length) return "Whether its Sharpe ratio is luck is not known: it has too few bars, or none moved.";
  const among = `, which the best of ${formatCounted(trials, "portfolio")} without an edge is expected to reach (they amount to ${formatCounted(effective, "independent one")})`;
  return `The true Sharpe ratio is over ${formatNumber(hurdle)}${trials > 1 ? among : ""} with a probability of ${formatPercent(Math.min(...known) * 100, 1)}.`;
}

export function PortfolioDoubts({ conclusion }) {
  const { verdict, warnings, deflation } = conclusion;
  return html`
    <${Doubts} run=${{ judgement: { verdict }, verdict_level: verdict.level, warnings }} />
    <p class="notice deflation">${describe(deflation)}</p>
  `;
}
