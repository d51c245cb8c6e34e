// The rows of a sweep: sorted and paged by the service, with a link to each one's run if it was stored.

import { html, useEffect, useState } from "../../vendor/preact-htm.mjs";
import { listSweepRows, sweepRowsUrl } from "../api.js";
import { Empty, ErrorNotice, Skeleton, useLoad } from "../components.js";
import { formatCount, formatCounted, formatName, signClass } from "../format.js";
import { announce } from "../shell.js";
import { formatMetric, formatValue } from "./metrics.js";

const PAGE_ROWS = 25;
const SIGNED = ["total_return", "cagr", "expectancy"];

/** The head of a column by which a table can be sorted; sort = {by, descending}. */
export function SortButton({ name, label, sort, onSort, isText = false }) {
  const isSorted = sort.by === name;
  const direction = isSorted ? (sort.descending ? "descending" : "ascending") : undefined;
  return html`<th scope="col" class=${isText ? "" : "number"} aria-sort=${direction}>
    <button type="button" class="sort-button" onClick=${() => onSort(name)}>
      ${label}<span aria-hidden="true">${isSorted ? (sort.descending ? " ↓" : " ↑") : ""}</span>
    </button>
  </th>`;
}

function Row({ row, parameters, metrics, run }) {
  return html`<tr data-row=${row.row}>
    <td class="number">${run ? html`<a href=${run}>${formatCount(row.row)}<span class="visually-hidden"> (its run)</span></a>` : formatCount(row.row)}</td>
    ${parameters.map(({ key }) => html`<td class="number" key=${key}>${formatValue(row[key])}</td>`)}
    ${metrics.map(
      (name) => html`<td key=${name} class=${`number ${SIGNED.includes(name) ? signClass(row[name]) : ""}`}>${formatMetric(name, row[name])}</td>`,
    )}
  </tr>`;
}

/** `parameters`: [{name, key}], key being the name of a row's field. */
export function Rows({ id, round, parameters, metrics, runOf }) {
  const [sort, setSort] = useState({ by: "rank", descending: false });
  const [offset, setOffset] = useState(0);
  const [{ data, error, isLoading }, reload] = useLoad(
    (signal) => listSweepRows(id, { sort_by: sort.by, descending: sort.descending, first: PAGE_ROWS, offset }, signal),
    [id, round, sort.by, sort.descending, offset],
  );
  useEffect(() => {
    // A row may cease to be the best, so that fewer are ranked than before.
    if (data && offset && offset >= data.total) setOffset(0);
  }, [data]);
  function onSort(name) {
    setOffset(0);
    // The first click shows the largest figures first, and the smallest values of a parameter.
    const isMetric = metrics.includes(name);
    setSort((old) => ({ by: name, descending: old.by === name ? !old.descending : isMetric }));
    announce(`Sorted by ${formatName(name).toLowerCase()}`);
  }
  const last = data ? Math.min(offset + data.items.length, data.total) : 0;
  return html`<section class="panel" aria-labelledby="rows">
    <div class="panel-head">
      <h2 id="rows">Rows</h2>
      ${sort.by !== "rank" &&
      html`<button type="button" class="button button-quiet button-small" onClick=${() => {
        setOffset(0);
        setSort({ by: "rank", descending: false });
      }}>Best first</button>`}
      <a class="button button-small" href=${sweepRowsUrl(id, { sort_by: "row", format: "csv" })} download>CSV</a>
      <a class="button button-small" href=${sweepRowsUrl(id, { sort_by: "row", format: "parquet" })} download>Parquet</a>
    </div>
    ${error && html`<div class="panel-body"><${ErrorNotice} error=${error} onRetry=${reload} title="The rows cannot be shown" /></div>`}
    ${!data && !error && html`<${Skeleton} lines=${8} label="Loading the rows" />`}
    ${data && data.total === 0 &&
    html`<${Empty} title=${sort.by === "rank" ? "No row can be the best yet" : "No rows yet"}>
      <p>Rows appear as they are computed. Those with too few trades, or against the constraints, are listed when you sort by a column.</p>
      <div class="row"><button type="button" class="button" onClick=${() => onSort("row")}>Show all rows</button></div>
    <//>`}
    ${data && data.total > 0 &&
    html`<div class="table-wrap" role="region" aria-labelledby="rows" tabindex="0" aria-busy=${isLoading}>
      <table class="table sweep-rows">
        <caption class="visually-hidden">Rows of the sweep. A row with a link was run on its own, and stored.</caption>
        <thead>
          <tr>
            <${SortButton} name="row" label="Row" sort=${sort} onSort=${onSort} />
            ${parameters.map(({ name, key }) => html`<${SortButton} key=${key} name=${name} label=${formatName(name)} sort=${sort} onSort=${onSort} />`)}
            ${metrics.map((name) => html`<${SortButton} key=${name} name=${name} label=${formatName(name)} sort=${sort} onSort=${onSort} />`)}
          </tr>
        </thead>
        <tbody>
          ${data.items.map((row) => html`<${Row} key=${row.row} row=${row} parameters=${parameters} metrics=${metrics} run=${runOf(row.row)} />`)}
        </tbody>
      </table>
    </div>
    <div class="panel-foot">
      <span class="small muted">${formatCount(offset + 1)} – ${formatCount(last)} of ${formatCounted(data.total, "row")}${sort.by === "rank" ? ", the best first" : ""}</span>
      <button type="button" class="button button-small" disabled=${offset === 0} onClick=${() => setOffset(Math.max(0, offset - PAGE_ROWS))}>Previous</button>
      <button type="button" class="button button-small" disabled=${last >= data.total} onClick=${() => setOffset(offset + PAGE_ROWS)}>Next</button>
    </div>`}
  </section>`;
}
