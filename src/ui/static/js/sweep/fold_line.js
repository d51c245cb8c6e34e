// The folds of a walk-forward on one time line: training, gap and test of each. Places on the line are drawing, not
// figures.

import { html } from "../../vendor/preact-htm.mjs";
import { formatDay, formatSignedPercent, signClass } from "../format.js";

const ROW = 22;
const BAR = 14;
const TOP = 2;
const MAX_DRAWN = 120;
const MIN_WIDTH = 0.3; // per cent of the line
const KEY = [
  ["key-train", "training"],
  ["key-gap", "left out"],
  ["key-gain", "test that gained"],
  ["key-loss", "test that lost"],
];

function describe(fold) {
  return `Fold ${fold.number}: training ${formatDay(fold.train_start)} – ${formatDay(fold.train_end)} ${formatSignedPercent(fold.return_in_sample)}, test ${formatDay(fold.test_start)} – ${formatDay(fold.test_end)} ${formatSignedPercent(fold.return_out_of_sample)}`;
}

function Bar({ className, from, to, percent, top }) {
  const x = percent(from);
  return html`<rect class=${className} x=${`${x}%`} width=${`${Math.max(MIN_WIDTH, percent(to) - x)}%`} y=${top} height=${BAR} rx="2" />`;
}

export function FoldLine({ folds }) {
  const drawn = folds.slice(0, MAX_DRAWN);
  const start = Math.min(...drawn.map((fold) => Date.parse(fold.train_start)));
  const end = Math.max(...drawn.map((fold) => Date.parse(fold.test_end)));
  const percent = (iso) => ((Date.parse(iso) - start) / (end - start || 1)) * 100;
  return html`<div class="fold-line">
    <svg role="img" aria-label=${`${folds.length} folds from ${formatDay(folds[0].train_start)} to ${formatDay(drawn.at(-1).test_end)}; the table below has their figures`} width="100%" height=${drawn.length * ROW + TOP}>
      ${drawn.map((fold, index) => {
        const top = index * ROW + TOP;
        return html`<g key=${fold.number} data-fold=${fold.number}>
          <title>${describe(fold)}</title>
          <${Bar} className="fold-train" from=${fold.train_start} to=${fold.train_end} percent=${percent} top=${top} />
          <${Bar} className="fold-gap" from=${fold.train_end} to=${fold.test_start} percent=${percent} top=${top} />
          <${Bar} className=${`fold-test ${signClass(fold.return_out_of_sample)}`} from=${fold.test_start} to=${fold.test_end} percent=${percent} top=${top} />
        </g>`;
      })}
    </svg>
    <div class="fold-ends small muted">
      <span>${formatDay(folds[0].train_start)}</span>
      <span class="fold-key">
        ${KEY.map(([name, words]) => html`<span class="nowrap" key=${name}><i class=${name}></i> ${words}</span> `)}
      </span>
      <span>${formatDay(drawn.at(-1).test_end)}</span>
    </div>
    ${folds.length > MAX_DRAWN && html`<p class="small muted">The first ${MAX_DRAWN} folds are drawn; the table has all.</p>`}
  </div>`;
}
