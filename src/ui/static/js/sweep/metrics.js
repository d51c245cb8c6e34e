// How the metrics of a sweep's rows are written.

import { formatCount, formatNumber, formatPercent, formatSigned, formatSignedPercent } from "../format.js";

const SIGNED_PERCENT = ["total_return", "cagr"];
const PERCENT = ["annual_volatility", "max_drawdown", "exposure", "win_rate"];
const COUNTS = ["total_trades", "open_trades", "winning_trades", "losing_trades"];

/** A metric of a row with its unit. */
export function formatMetric(name, value) {
  if (SIGNED_PERCENT.includes(name)) return formatSignedPercent(value);
  if (PERCENT.includes(name)) return formatPercent(value);
  if (COUNTS.includes(name)) return formatCount(value);
  if (name === "expectancy") return formatSigned(value);
  return formatNumber(value, 2);
}

/** A value of a swept parameter: numbers as they are, without the digits that binary fractions add. */
export function formatValue(value) {
  return typeof value === "number" ? formatNumber(value, 6, false) : String(value);
}

/** "fast 20 · slow 50" */
export function describeValues(values) {
  return Object.entries(values)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${formatValue(value)}`)
    .join(" · ");
}
