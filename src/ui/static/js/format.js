// Writes numbers, signs and dates. It computes no figure: every number is as the service returned it.

/** The two figures of buying and holding, never one name for both: the metric has no costs, the benchmark has the run's. */
export const HELD_WITHOUT_COSTS = "Buy and hold, no costs";
export const HELD_AFTER_COSTS = "Buy and hold, after costs";

const NOTHING = "–";
const MINUS = "−";
const LARGE = 1e9;
const formats = new Map();

function formatWith(digits, isFixed) {
  const key = `${digits} ${isFixed}`;
  if (!formats.has(key)) {
    formats.set(
      key,
      new Intl.NumberFormat("en-US", { maximumFractionDigits: digits, minimumFractionDigits: isFixed ? digits : 0 }),
    );
  }
  return formats.get(key);
}

/** A number with a true minus sign and grouped thousands; null is a dash. */
export function formatNumber(value, digits = 2, isFixed = true) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const text =
    Math.abs(value) >= LARGE ? value.toExponential(2).replace("e+", "e") : formatWith(digits, isFixed).format(value);
  return /[1-9]/.test(text) ? text.replaceAll("-", MINUS) : text.replace("-", "");
}

/** A price or an amount of any size: more digits the smaller it is. */
export function formatAdaptive(value) {
  const size = Math.abs(value);
  if (size >= 10_000) return formatNumber(value, 0);
  if (size >= 10 || size === 0) return formatNumber(value, 2);
  return formatNumber(value, size >= 0.1 ? 4 : 8, false);
}

/** As `formatNumber`, with the sign always printed: colors are never the only sign of gain or loss. */
export function formatSigned(value, digits = 2) {
  const text = formatNumber(value, digits);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** A value that already is in per cent. */
export function formatPercent(value, digits = 2) {
  const text = formatNumber(value, digits);
  return text === NOTHING ? text : `${text} %`;
}

export function formatSignedPercent(value, digits = 2) {
  const text = formatSigned(value, digits);
  return text === NOTHING ? text : `${text} %`;
}

export function formatCount(value) {
  return formatNumber(value, 0);
}

/** A count with its noun: "1 bar", "1,000 bars". */
export function formatCounted(value, noun, plural = `${noun}s`) {
  return `${formatCount(value)} ${value === 1 ? noun : plural}`;
}

export function formatBytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let size = value;
  let unit = 0;
  for (; size >= 1000 && unit < units.length - 1; unit += 1) size /= 1000;
  return `${formatNumber(size, size < 10 && unit ? 1 : 0, false)} ${units[unit]}`;
}

/** "40 s", "12 min", "3.5 h": a time to wait, as exact as one needs it. */
export function formatDuration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  if (seconds < 1) return "under 1 s";
  if (seconds < 90) return `${formatNumber(seconds, 0)} s`;
  if (seconds < 5400) return `${formatNumber(seconds / 60, 0)} min`;
  return seconds < 172_800 ? `${formatNumber(seconds / 3600, 1)} h` : `${formatNumber(seconds / 86_400, 1)} days`;
}

/** "2024-03-04": the UTC day of an ISO 8601 instant. */
export function formatDay(iso) {
  return typeof iso === "string" ? iso.slice(0, 10) : NOTHING;
}

/** "2024-03-04 12:30": an ISO 8601 instant of UTC, to the minute. */
export function formatInstant(iso) {
  return typeof iso === "string" ? iso.slice(0, 16).replace("T", " ") : NOTHING;
}

/** Whether a value says nothing: null, an empty text, an empty list or object. */
export function isNothing(value) {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** A setting as words, "n = 14, m = 3" if it has parts; `formatOne` writes a value without parts. */
export function formatSetting(value, formatOne = String) {
  if (isNothing(value)) return NOTHING;
  if (Array.isArray(value)) {
    const isOfObjects = typeof value[0] === "object";
    return value.map((one) => formatSetting(one, formatOne)).join(isOfObjects ? "; " : ", ");
  }
  if (typeof value !== "object") return formatOne(value);
  return Object.entries(value)
    .map(([name, one]) => `${name} = ${formatSetting(one, formatOne)}`)
    .join(", ");
}

/** "gain", "loss" or "": the class of a figure by its sign. */
export function signClass(value) {
  if (typeof value !== "number" || value === 0) return "";
  return value > 0 ? "gain" : "loss";
}

const NAMES = { buy_and_hold_return: HELD_WITHOUT_COSTS, init_cash: "Starting cash", cagr: "CAGR" };

/** "max_drawdown" or "maxDrawdown" → "Max drawdown". */
export function formatName(name) {
  if (NAMES[name]) return NAMES[name];
  const words = String(name)
    .replace(/([a-z])([A-Z])/g, (_, one, other) => `${one} ${other.toLowerCase()}`)
    .replaceAll("_", " ")
    .trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
