// Small equity curves of the list: the service reduces each to a few points, and this draws them when they come in sight.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.mjs";
import { getSeries } from "./api.js";
import { formatNumber } from "./format.js";

const POINTS = 80;
const MAX_BARS = 500_000; // reading a longer result costs the service more than its curve is worth here
const MAX_RUNNING = 2;
const WIDTH = 120;
const HEIGHT = 32;

const curves = new Map();
const waiting = [];
let running = 0;

function startNext() {
  while (running < MAX_RUNNING && waiting.length) {
    const job = waiting.shift();
    running += 1;
    job().finally(() => {
      running -= 1;
      startNext();
    });
  }
}

/** The equity of a result, reduced; null if the service has none. Each is asked for once. */
function loadCurve(id) {
  if (!curves.has(id)) {
    curves.set(
      id,
      new Promise((resolve) => {
        waiting.push(() =>
          getSeries(id, { columns: "equity", points: POINTS }).then(
            (data) => resolve(data.columns.equity),
            () => resolve(null), // the list is complete without its curves
          ),
        );
        startNext();
      }),
    );
  }
  return curves.get(id);
}

function pathOf(values, low, high) {
  const height = high > low ? high - low : 1;
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, index) => {
    const y = HEIGHT - 2 - ((value - low) / height) * (HEIGHT - 4);
    return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  return points.join(" ");
}

export function Sparkline({ id, bars, start }) {
  const box = useRef(null);
  const [values, setValues] = useState(null);
  useEffect(() => {
    if (bars > MAX_BARS) return undefined;
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      loadCurve(id).then((found) => setValues(found?.filter((value) => value !== null) ?? null));
    });
    seen.observe(box.current);
    return () => seen.disconnect();
  }, [id]);
  if (!values || values.length < 2) return html`<span class="spark" ref=${box}></span>`;
  const all = [...values, start];
  const low = Math.min(...all);
  const high = Math.max(...all);
  const last = values[values.length - 1];
  const label = `Equity from ${formatNumber(start, 0)} to ${formatNumber(last, 0)}`;
  return html`<span class="spark" ref=${box}>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label} data-points=${values.length}>
      <polyline class="spark-start" points=${pathOf([start, start], low, high)} />
      <polyline class=${`spark-line ${last < start ? "loss" : "gain"}`} points=${pathOf(values, low, high)} />
    </svg>
  </span>`;
}
