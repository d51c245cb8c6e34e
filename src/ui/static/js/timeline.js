// Bars on a time line: what is present, and every gap at its place. Positions on the line are drawing, not figures.

import { html } from "../vendor/preact-htm.mjs";
import { formatCount, formatDay, formatInstant } from "./format.js";

const MAX_DRAWN = 2000;
const MIN_WIDTH = 0.25; // per cent of the line, so that a single missing bar can be seen

/** `quality`: the report of the service on the bars. */
export function TimeLine({ quality, isSmall }) {
  if (!quality.first_open || !quality.last_close) return html`<p class="muted small">No bars.</p>`;
  const from = Date.parse(quality.first_open);
  const span = Date.parse(quality.last_close) - from || 1;
  const percent = (iso) => ((Date.parse(iso) - from) / span) * 100;
  const gaps = quality.gaps.slice(0, MAX_DRAWN);
  const label = quality.gaps.length
    ? `${formatCount(quality.missing_bars)} bars missing in ${formatCount(quality.gaps.length)} gaps between ${formatDay(quality.first_open)} and ${formatDay(quality.last_close)}`
    : `No gap between ${formatDay(quality.first_open)} and ${formatDay(quality.last_close)}`;
  return html`<div class=${`timeline${isSmall ? " is-small" : ""}`}>
    <svg role="img" aria-label=${label} width="100%" height=${isSmall ? 10 : 24} data-gaps=${quality.gaps.length}>
      <rect class="timeline-bars" x="0" y="0" width="100%" height="100%" rx="2" />
      ${gaps.map((gap) => {
        const x = percent(gap.after);
        const width = Math.max(MIN_WIDTH, percent(gap.next) - x);
        return html`<rect class="timeline-gap" key=${gap.after} x=${`${x}%`} y="0" width=${`${width}%`} height="100%">
          <title>${`${formatInstant(gap.after)} – ${formatInstant(gap.next)}: ${formatCount(gap.missing_bars)} missing`}</title>
        </rect>`;
      })}
    </svg>
    ${!isSmall &&
    html`<div class="timeline-ends small muted">
      <span>${formatInstant(quality.first_open)}</span>
      <span class="timeline-key"><i class="key-bars"></i> present <i class="key-gap"></i> missing</span>
      <span>${formatInstant(quality.last_close)}</span>
    </div>`}
  </div>`;
}
