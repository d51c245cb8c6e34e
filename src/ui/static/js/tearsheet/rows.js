// The rows that the charts draw: an overview of the whole run, and finer rows of a part of it in their place.

const LONG_ROWS = 4;

/** Index of the first date that is not before an instant; dates ascend. */
export function indexAt(dates, iso) {
  const wanted = Date.parse(iso);
  let low = 0;
  let high = dates.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Date.parse(dates[middle]) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the row that holds an instant: the last one that does not begin after it. */
export function rowOf(dates, iso) {
  const at = indexAt(dates, iso);
  return dates[at] !== undefined && Date.parse(dates[at]) === Date.parse(iso) ? at : Math.max(0, at - 1);
}

const CANDLES = ["open", "high", "low"];

function nulls(length) {
  return Array(length).fill(null);
}

/**
 * The overview's columns with the detail's rows in place of those that they cover. Either may lack columns that the
 * other has: candles of a long run are at hand for a few bars only.
 */
export function splice(overview, detail) {
  if (!detail || detail.columns.date.length === 0) return overview.columns;
  const from = indexAt(overview.columns.date, detail.from);
  const to = detail.to === null ? overview.columns.date.length : indexAt(overview.columns.date, detail.to);
  const { length } = overview.columns.date;
  const merged = {};
  for (const name of new Set([...Object.keys(overview.columns), ...CANDLES])) {
    const values = overview.columns[name] ?? nulls(length);
    const finer = detail.columns[name] ?? nulls(detail.columns.date.length);
    const isKnown = overview.columns[name] || detail.columns[name];
    merged[name] = isKnown ? [...values.slice(0, from), ...finer, ...values.slice(to)] : null;
  }
  return merged;
}

/** About where the last of at least two rows ends. */
function endOf(dates) {
  const first = Date.parse(dates[0]);
  const last = Date.parse(dates.at(-1));
  return new Date(last + (last - first) / (dates.length - 1)).toISOString();
}

/** Whether all rows from one instant to another are rows of the detail. */
function isInside(detail, fromIso, toIso) {
  if (!detail || Date.parse(detail.from) > Date.parse(fromIso)) return false;
  return detail.to === null || Date.parse(toIso) < Date.parse(detail.to);
}

/**
 * What to ask of the server when the rows from one instant to another are in view; null if the rows at hand are fine
 * enough. The part asked for reaches half a view beyond both ends. It begins and ends with rows of the overview, unless
 * these are long beside the view: then single bars could not be reached.
 */
export function finerRequest(overview, detail, fromIso, toIso, mostPoints) {
  const rows = isInside(detail, fromIso, toIso) ? detail : overview;
  if (rows.bars_per_point === 1) return null;
  const dates = rows.columns.date;
  const first = rowOf(dates, fromIso);
  const last = rowOf(dates, toIso);
  const bars = (last - first + 1) * rows.bars_per_point;
  const whole = overview.columns.date;
  const stop = Date.parse(dates[last + 1] ?? rows.to ?? endOf(whole));
  const margin = (stop - Date.parse(dates[first])) / 2;
  const isLong = bars >= LONG_ROWS * overview.bars_per_point;
  const wanted = Math.ceil((2 * bars + (isLong ? 2 * overview.bars_per_point : 0)) / mostPoints);
  if (wanted * 2 > rows.bars_per_point + (wanted === 1 ? 1 : 0)) return null;
  const start = Math.max(Date.parse(whole[0]), Date.parse(dates[first]) - margin);
  const startIso = new Date(start).toISOString();
  const stopIso = new Date(stop + margin).toISOString();
  const next = whole[indexAt(whole, stopIso)] ?? null;
  const from = isLong ? whole[rowOf(whole, startIso)] : startIso;
  const to = isLong || next === null ? next : stopIso;
  // Bars at `to` belong to the rows after it.
  return { from, to, end: to && new Date(Date.parse(to) - 1).toISOString(), points: mostPoints, isEveryBar: wanted === 1 };
}
