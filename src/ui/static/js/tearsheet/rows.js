// The rows that the charts draw: an overview of the whole run, and finer rows of a part of it in their place.

const SECOND_MS = 1000;

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

/** The overview's columns with the detail's rows in place of those that they cover. */
export function splice(overview, detail) {
  if (!detail || detail.columns.date.length === 0) return overview.columns;
  const from = indexAt(overview.columns.date, detail.from);
  const to = detail.to === null ? overview.columns.date.length : indexAt(overview.columns.date, detail.to);
  const merged = {};
  for (const [name, values] of Object.entries(overview.columns)) {
    const finer = detail.columns[name];
    merged[name] = values && finer ? [...values.slice(0, from), ...finer, ...values.slice(to)] : values;
  }
  return merged;
}

/**
 * What to ask of the server when the rows from one instant to another are in view; null if the rows at hand are fine
 * enough. The part asked for begins and ends with rows of the overview, and reaches half a view beyond both ends.
 */
export function finerRequest(overview, detail, fromIso, toIso, mostPoints) {
  const { date } = overview.columns;
  const first = rowOf(date, fromIso);
  const last = rowOf(date, toIso);
  const margin = Math.ceil((last - first + 1) / 2);
  const start = Math.max(0, first - margin);
  const stop = Math.min(date.length, last + 1 + margin);
  const wanted = Math.ceil(((stop - start) * overview.bars_per_point) / mostPoints);
  const isCovered =
    detail &&
    Date.parse(detail.from) <= Date.parse(date[first]) &&
    (detail.to === null || (last + 1 < date.length && Date.parse(detail.to) >= Date.parse(date[last + 1])));
  const atHand = isCovered ? detail.bars_per_point : overview.bars_per_point;
  if (atHand === 1 || wanted * 2 > atHand + (wanted === 1 ? 1 : 0)) return null;
  const to = date[stop] ?? null;
  return { from: date[start], to, end: to && new Date(Date.parse(to) - SECOND_MS).toISOString(), points: mostPoints };
}
