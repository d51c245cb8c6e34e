// What makes a portfolio doubtful: its Sharpe ratio after all that its user has tried, then its warnings.

import { html } from "../../vendor/preact-htm.mjs";
import { formatCounted, formatNumber, formatPercent } from "../format.js";

const USUAL = 0.05;

/** The smaller of both probabilities; null if neither is known. */
function chanceOf({ dsr, dsr_dependent }) {
  const known = [dsr, dsr_dependent].filter((one) => one !== null);
  return known.length ? Math.min(...known) : null;
}

/** {text, isObjection} of a deflation. */
export function judge(deflation) {
  const chance = deflation && chanceOf(deflation);
  if (chance === null) return { isObjection: true, text: "Whether its Sharpe ratio is luck is not known: it has too few bars, or none moved." };
  const { trials, trials_effective: effective, sharpe_hurdle: hurdle } = deflation;
  const isObjection = chance < 1 - USUAL;
  const among = `which the best of ${formatCounted(trials, "portfolio")} without an edge is expected to reach (they amount to ${formatCounted(effective, "independent one")})`;
  const words = isObjection ? "Its Sharpe ratio is not told from luck" : "Its Sharpe ratio is not explained by luck";
  return {
    isObjection,
    text: `${words}: the true one is over ${formatNumber(hurdle)}${trials > 1 ? `, ${among},` : ""} with a probability of ${formatPercent(chance * 100, 1)}.`,
  };
}

export function PortfolioDoubts({ conclusion }) {
  const { isObjection, text } = judge(conclusion.deflation);
  return html`<section class="doubts" data-level=${isObjection ? "DOUBTFUL" : "NONE"} aria-labelledby="doubts-title">
    <div class="doubts-head"><h2 id="doubts-title">Whether to believe it</h2></div>
    <ul class="reasons">
      <li class="reason" data-level=${isObjection ? "DOUBTFUL" : "NOTE"}>
        <span class="reason-mark" aria-hidden="true">${isObjection ? "!" : "i"}</span><span class="deflation">${text}</span>
      </li>
      ${conclusion.warnings.map(
        (warning, index) => html`<li class="reason" data-level="NOTE" key=${index}>
          <span class="reason-mark" aria-hidden="true">i</span><span>${warning}</span>
        </li>`,
      )}
    </ul>
  </section>`;
}
