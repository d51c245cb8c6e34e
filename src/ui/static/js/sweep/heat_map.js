// The heat map of a sweep: which parameters, which metric; the numbers of a cell under the pointer or the arrow keys,
// and the best row among its neighbors.

import { html, useEffect, useMemo, useRef, useState } from "../../vendor/preact-htm.mjs";
import { getHeatMap } from "../api.js";
import { ErrorNotice, Skeleton, useLoad } from "../components.js";
import { formatCounted, formatName } from "../format.js";
import { pageUrl } from "../shell.js";
import { colorOf, HeatCanvas, isDarkNow, scaleOf } from "./heat_canvas.js";
import { formatMetric, formatValue } from "./metrics.js";

const REDUCED = [
  ["BEST", "the best"],
  ["MEAN", "the mean"],
  ["MEDIAN", "the median"],
];
const LEGEND_STEPS = 40;

/** The place of a value on an axis: the same word, or the nearest number (drawn values stand in bins). */
function placeOn(axis, value) {
  const exact = axis.values.indexOf(value);
  if (exact >= 0 || typeof value !== "number") return exact;
  let nearest = -1;
  axis.values.forEach((one, index) => {
    if (nearest < 0 || Math.abs(one - value) < Math.abs(axis.values[nearest] - value)) nearest = index;
  });
  return nearest;
}

function placeOf(map, values) {
  if (!map || !values) return null;
  const place = [placeOn(map.x, values[map.x.name]), placeOn(map.y, values[map.y.name])];
  return place.includes(-1) ? null : place;
}

function Choice({ label, value, options, onChange }) {
  return html`<label class="filter"
    ><span>${label}</span>
    <select value=${value} onChange=${(event) => onChange(event.currentTarget.value)}>
      ${options.map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}
    </select>
  </label>`;
}

function Legend({ map }) {
  const [isDark, setDark] = useState(isDarkNow());
  useEffect(() => {
    const onTheme = () => setDark(isDarkNow());
    document.documentElement.addEventListener("themechange", onTheme);
    return () => document.documentElement.removeEventListener("themechange", onTheme);
  }, []);
  const scale = useMemo(() => scaleOf(map.cells), [map]);
  const isCrossed = map.cells.some((line, row) => line.some((value, column) => value !== null && !map.can_be_best[row][column]));
  if (scale.isEmpty) return null;
  const at = (share) => scale.low + (scale.high - scale.low) * share;
  const color = (share) => `rgb(${colorOf(at(share), scale, isDark).join(",")})`;
  const zero = scale.isSigned ? -scale.low / (scale.high - scale.low) : null;
  return html`<div class="heat-legend small" data-low=${scale.low} data-high=${scale.high}>
    <span>${formatMetric(map.metric, scale.low)}</span>
    <svg role="img" aria-label=${`Colors from ${formatMetric(map.metric, scale.low)} to ${formatMetric(map.metric, scale.high)}`} height="12" viewBox=${`0 0 ${LEGEND_STEPS} 12`} preserveAspectRatio="none">
      ${Array.from(
        { length: LEGEND_STEPS },
        (_, step) => html`<rect key=${step} x=${step} y="0" width="1.05" height="12" fill=${color(step / (LEGEND_STEPS - 1))} />`,
      )}
      ${zero !== null && html`<line class="heat-zero" x1=${zero * LEGEND_STEPS} x2=${zero * LEGEND_STEPS} y1="0" y2="12" />`}
    </svg>
    <span>${formatMetric(map.metric, scale.high)}</span>
    ${zero !== null && html`<span class="muted">orange under 0, blue over it</span>`}
    ${isCrossed && html`<span class="muted">crossed out: cannot be the best</span>`}
  </div>`;
}

/** What is in a cell, in one sentence. */
function describeCell(map, [column, row]) {
  const head = `${formatName(map.x.name)} ${formatValue(map.x.values[column])}, ${formatName(map.y.name).toLowerCase()} ${formatValue(map.y.values[row])}`;
  const value = map.cells[row][column];
  if (value === null) return `${head}: no row`;
  const count = map.counts[row][column];
  const rows = count === 1 ? `row ${map.best_rows[row][column]}` : `${formatCounted(count, "row")}, the best is ${map.best_rows[row][column]}`;
  const mark = map.can_be_best[row][column] ? "" : "; it cannot be the best: too few trades, or a constraint";
  return `${head}: ${formatMetric(map.metric, value)} (${rows}${mark})`;
}

/** The best cell and those around it, as numbers. */
function Neighbors({ map, place }) {
  const [column, row] = place;
  const columns = [column - 1, column, column + 1].filter((one) => one >= 0 && one < map.x.values.length);
  const rows = [row + 1, row, row - 1].filter((one) => one >= 0 && one < map.y.values.length);
  return html`<div class="table-wrap" tabindex="0" role="region" aria-label="The best row's cell and its neighbors">
    <table class="table neighbors">
      <caption>The best row's cell and its neighbors</caption>
      <thead>
        <tr>
          <td></td>
          ${columns.map((one) => html`<th scope="col" class="number" key=${one}>${map.x.name} ${formatValue(map.x.values[one])}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (line) => html`<tr key=${line}>
            <th scope="row">${map.y.name} ${formatValue(map.y.values[line])}</th>
            ${columns.map((one) => {
              const isBest = one === column && line === row;
              return html`<td key=${one} class=${`number${isBest ? " strong" : ""}`}>
                ${map.cells[line][one] === null ? "no row" : formatMetric(map.metric, map.cells[line][one])}
                ${map.cells[line][one] !== null && !map.can_be_best[line][one] && html`<span class="muted"> (cannot be the best)</span>`}
                ${isBest && html`<span class="visually-hidden"> (the best)</span>`}
              </td>`;
            })}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function Drawing({ map, best, runs }) {
  const canvas = useRef(null);
  const drawing = useRef(null);
  const [cursor, setCursor] = useState(null);
  useEffect(() => {
    drawing.current = new HeatCanvas(canvas.current);
    return () => drawing.current.close();
  }, []);
  const shown = cursor && cursor[0] < map.x.values.length && cursor[1] < map.y.values.length ? cursor : null;
  useEffect(() => drawing.current.show(map, { best, cursor: shown }), [map, best?.join(), shown?.join()]);
  const at = shown ?? best;
  const rowOf = ([column, line]) => map.best_rows[line]?.[column] ?? null;
  const row = at ? rowOf(at) : null;
  const run = row === null ? null : runs.addressOf(row);
  const openAt = (place) => place && rowOf(place) !== null && runs.open(rowOf(place));
  function onKeyDown(event) {
    const [column, line] = at ?? [0, 0];
    const next = {
      ArrowRight: [column + 1, line],
      ArrowLeft: [column - 1, line],
      ArrowUp: [column, line + 1],
      ArrowDown: [column, line - 1],
      Home: best ?? [0, 0],
      Escape: null,
    }[event.key];
    if (event.key === "Enter") openAt(at);
    if (next === undefined) return;
    event.preventDefault();
    if (next === null) setCursor(null);
    else if (map.cells[next[1]]?.[next[0]] !== undefined) setCursor(next);
  }
  function onClick(event) {
    openAt(drawing.current.cellAt(event.clientX, event.clientY));
  }
  return html`
    <div class="heat">
      <canvas
        class="heat-canvas"
        ref=${canvas}
        tabindex="0"
        role="application"
        aria-roledescription="heat map"
        aria-label=${`${formatName(map.metric)} by ${map.x.name} and ${map.y.name}. Arrow keys move, Home goes to the best, Enter opens the cell's run${runs.canRun ? ", and makes it if there is none" : " if it is stored"}.`}
        aria-describedby="heat-cell"
        onPointerMove=${(event) => setCursor(drawing.current.cellAt(event.clientX, event.clientY))}
        onPointerLeave=${() => setCursor(null)}
        onKeyDown=${onKeyDown}
        onClick=${onClick}
      ></canvas>
    </div>
    <p class="heat-axes small muted">Across: ${formatName(map.x.name).toLowerCase()} · up: ${formatName(map.y.name).toLowerCase()}</p>
    <p class="heat-cell" id="heat-cell" aria-live="polite">
      ${at
        ? html`${!shown && "Best: "}${describeCell(map, at)} ${run && html`· <a href=${run}>open its run</a>`} ${
            !run && row !== null && runs.canRun && (runs.running === row ? "· running …" : "· click or press Enter to run it")
          }`
        : "Point at a cell, or move with the arrow keys."}
    </p>
    ${runs.running !== null && html`<p class="small muted" role="status">Running row ${runs.running} …</p>`}
    ${runs.error && html`<${ErrorNotice} error=${runs.error} title="It was not run" />`}
  `;
}

/** `best`: the values of the best row by name; `runs`: what `useRowRuns` returns. */
export function HeatMap({ id, settings, round, best, runs, metrics }) {
  const names = settings.parameters.map(({ name }) => name);
  const [chosen, setChosen] = useState({ x: names[0], y: names[1], metric: settings.objective.metric, reduce: "BEST" });
  const [{ data: map, error, isLoading }, reload] = useLoad(
    async (signal) => (names.length > 1 ? getHeatMap(id, chosen, signal) : null),
    [id, round, ...Object.values(chosen)],
  );
  const place = useMemo(() => placeOf(map, best), [map, best]);
  if (names.length < 2) {
    return html`<section class="panel" aria-labelledby="heat">
      <div class="panel-head"><h2 id="heat">Heat map</h2></div>
      <p class="panel-body muted">A heat map needs two swept parameters; this sweep has one.</p>
    </section>`;
  }
  const options = names.map((name) => [name, formatName(name)]);
  // Two axes of the same parameter would be a line: the other one takes the place of the chosen one.
  const choose = (axis, other) => (name) =>
    setChosen((old) => ({ ...old, [axis]: name, [other]: old[other] === name ? old[axis] : old[other] }));
  const isEmpty = map && !map.cells.some((row) => row.some((value) => value !== null));
  return html`<section class="panel" aria-labelledby="heat">
    <div class="panel-head">
      <h2 id="heat">Heat map</h2>
      <${Choice} label="Across" value=${chosen.x} options=${options} onChange=${choose("x", "y")} />
      <${Choice} label="Up" value=${chosen.y} options=${options} onChange=${choose("y", "x")} />
      <${Choice} label="Metric" value=${chosen.metric} options=${metrics.map((name) => [name, formatName(name)])} onChange=${(metric) => setChosen((old) => ({ ...old, metric }))} />
      <${Choice} label="Of a cell's rows" value=${chosen.reduce} options=${REDUCED} onChange=${(reduce) => setChosen((old) => ({ ...old, reduce }))} />
    </div>
    <div class="panel-body stack" aria-busy=${isLoading}>
      ${error && html`<${ErrorNotice} error=${error} onRetry=${reload} title="The heat map cannot be shown" />`}
      ${!map && !error && html`<${Skeleton} lines=${8} label="Loading the heat map" />`}
      ${isEmpty && html`<p class="muted">No row has this metric yet.</p>`}
      ${map &&
      !isEmpty &&
      html`<${Drawing} map=${map} best=${place} runs=${runs} />
        <${Legend} map=${map} />
        ${place && html`<${Neighbors} map=${map} place=${place} />`}`}
    </div>
  </section>`;
}
