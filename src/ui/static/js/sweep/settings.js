// What a sweep was asked to be, in words.

import { html } from "../../vendor/preact-htm.mjs";
import { formatCounted, formatName, formatSetting, isNothing } from "../format.js";
import { formatValue } from "./metrics.js";

/** The strategy's name in the catalog; its own until that is there. */
export function labelOf({ name }, catalog) {
  return catalog?.strategies.find((one) => one.name === name)?.label ?? formatName(name);
}

/** "MA Crossover on BTCUSDT 1d". */
export function titleOf({ backtest }, catalog) {
  return `${labelOf(backtest.strategy, catalog)} on ${backtest.symbol} ${backtest.interval}`;
}

function describeRange({ values, range }) {
  if (values) return values.map(formatValue).join(", ");
  const step = range.step === null ? "" : `, step ${formatValue(range.step)}`;
  return `${formatValue(range.from)} to ${formatValue(range.to)}${step}${range.scale === "LOGARITHMIC" ? ", logarithmic" : ""}`;
}

/** "Seed 7 · limit 2000": the settings that say something. */
export function describeSettings(values) {
  return Object.entries(values)
    .filter(([, value]) => !isNothing(value) && value !== false)
    .map(([name, value]) => `${formatName(name)} ${formatSetting(value)}`)
    .join(" · ");
}

const COMPARISONS = { LESS: "<", AT_MOST: "≤", GREATER: ">", AT_LEAST: "≥", EQUAL: "=", NOT_EQUAL: "≠" };

const SEARCHES = { GRID: "All combinations", LIST: "The values side by side" };

function describeConstraint({ left, metric, operator, right, value }) {
  return `${formatName(left ?? metric)} ${COMPARISONS[operator] ?? operator} ${right ? formatName(right) : formatValue(value)}`;
}

function describeObjective({ metric, direction, min_trades }) {
  const best = direction === "MINIMIZE" ? "the less the better" : "the more the better";
  return `${formatName(metric)}, ${best}; at least ${formatCounted(min_trades, "closed trade")}`;
}

export function Settings({ settings, catalog }) {
  const { search, constraints, objective } = settings;
  const { strategy, ...backtest } = settings.backtest;
  const swept = settings.parameters.map(({ name }) => name);
  const fixed = Object.fromEntries(Object.entries(strategy.parameters).filter(([name]) => !swept.includes(name)));
  const isDrawn = !["GRID", "LIST"].includes(search.kind);
  const rows = [
    ...settings.parameters.map((item) => [formatName(item.name), describeRange(item)]),
    ["Search", isDrawn ? describeSettings(search) : SEARCHES[search.kind]],
    ["Objective", describeObjective(objective)],
    ...(constraints.length ? [["Constraints", constraints.map(describeConstraint).join("; ")]] : []),
    ["Strategy", [labelOf(strategy, catalog), describeSettings(fixed)].filter(Boolean).join(" · ")],
    ["Backtest", describeSettings(backtest)],
  ];
  return html`<${SettingRows} rows=${rows} />`;
}

/** What was asked for: rows = [[name, text], …]. */
export function SettingRows({ rows }) {
  return html`<section class="panel" aria-labelledby="settings">
    <div class="panel-head"><h2 id="settings">What was asked for</h2></div>
    <dl class="panel-body settings">
      ${rows.map(
        ([name, text]) => html`<div key=${name}>
          <dt>${name}</dt>
          <dd>${text}</dd>
        </div>`,
      )}
    </dl>
  </section>`;
}
